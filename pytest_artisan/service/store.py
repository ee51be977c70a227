"""Records in a database: SQLite in one file by default, any other by its URL."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from pytest_artisan.fragrance.experiments import Checkpoint
from pytest_artisan.service.schema import CHECKPOINTS, DNA, EXPERIMENTS, FEEDBACK, StoreError, prepare

__all__ = ["DatabaseStore", "StoreError"]

# Seconds that a writer waits for another.
_PATIENCE_S = 10


class DatabaseStore:
    """A `fragrance.experiments.Store` by SQLAlchemy, and where DNA is kept; `url` such as `sqlite:///artisan.db`.

    Every call is one transaction; threads and processes may share a database. SQLite writes ahead of its file and waits
    for the disk at each commit. An older database is migrated. Raises StoreError where the database can not be opened,
    with one line that holds no password. Close it when done.
    """

    def __init__(self, url: str | sql.URL) -> None:
        try:
            address = sql.make_url(url)
            # A server that was started again has closed what the pool still holds: no request is to fail for it.
            self._engine = sql.create_engine(address, pool_pre_ping=True)
            if self._engine.dialect.name == "sqlite":
                sql.event.listen(self._engine, "connect", _write_ahead)
            prepare(self._engine)
        except ArgumentError as error:
            # The text may hold a password, so it is not told.
            raise StoreError(f"the database's URL can not be read: {error}") from None
        except ValueError:
            # Its text quotes what is no number: where a password holds an @, a part of that.
            raise StoreError("the database's URL can not be read: its port, or an option of it, is no number") from None
        except (SQLAlchemyError, ImportError, StoreError) as error:
            cause = getattr(error, "orig", None) or error
            if isinstance(error, ImportError):
                cause = f"its driver {error.name} does not come with this package; install it"
            # An option may be a password, too.
            shown = address.set(query={}).render_as_string(hide_password=True)
            raise StoreError(f"database {shown}: {cause}") from None

    @property
    def in_memory(self) -> bool:
        """Whether it is SQLite's without a file, which every thread has for itself."""
        return self._engine.dialect.name == "sqlite" and self._engine.url.database in (None, "", ":memory:")

    def close(self) -> None:
        self._engine.dispose()

    def add_experiment(self, subject: str, id: str, record: bytes) -> None:
        self._insert(EXPERIMENTS.insert().values(id=id, subject=subject, record=record), id)

    def experiment(self, id: str) -> bytes:
        with self._engine.connect() as connection:
            found = connection.scalar(sql.select(EXPERIMENTS.c.record).where(EXPERIMENTS.c.id == id))
        if found is None:
            raise KeyError(id)
        return bytes(found)

    def count_experiments(self, subject: str) -> int:
        with self._engine.connect() as connection:
            query = sql.select(sql.func.count()).select_from(EXPERIMENTS).where(EXPERIMENTS.c.subject == subject)
            return int(connection.scalar(query) or 0)

    def add_feedback(self, experiment: str, record: bytes) -> None:
        values = {"experiment": experiment, "record": record}
        self._insert(FEEDBACK.insert().values(values), experiment, in_turn=self._engine.dialect.name == "postgresql")

    def feedback(self, subject: str, since: int = 0) -> list[tuple[bytes, bytes]]:
        query = (
            sql.select(EXPERIMENTS.c.record, FEEDBACK.c.record)
            .join(FEEDBACK, FEEDBACK.c.experiment == EXPERIMENTS.c.id)
            .where(EXPERIMENTS.c.subject == subject)
            .order_by(FEEDBACK.c.number)
            .offset(since)
        )
        with self._engine.connect() as connection:
            return [(bytes(asked), bytes(answer)) for asked, answer in connection.execute(query)]

    def save(self, subject: str, algorithm: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint, unless there is one that has learnt more."""
        key = {"subject": subject, "algorithm": algorithm}
        values = {"learnt": checkpoint.learnt, "content": checkpoint.content}
        older = CHECKPOINTS.update().filter_by(**key).where(CHECKPOINTS.c.learnt <= checkpoint.learnt).values(values)
        if self._changed(older):
            return
        try:
            self._insert(CHECKPOINTS.insert().values(**key, **values), subject)
        except KeyError:
            # There is one that has learnt more, or somebody else has just put it there.
            self._changed(older)

    def load(self, subject: str, algorithm: str) -> Checkpoint | None:
        query = sql.select(CHECKPOINTS.c.learnt, CHECKPOINTS.c.content).filter_by(subject=subject, algorithm=algorithm)
        with self._engine.connect() as connection:
            found = connection.execute(query).one_or_none()
        return None if found is None else Checkpoint(found.learnt, bytes(found.content))

    def add_dna(self, id: str, record: bytes) -> None:
        """Raises KeyError where there is one of this id."""
        self._insert(DNA.insert().values(id=id, record=record), id)

    def dna(self, id: str) -> bytes | None:
        """The record of this id, if there is one."""
        with self._engine.connect() as connection:
            found = connection.scalar(sql.select(DNA.c.record).where(DNA.c.id == id))
        return None if found is None else bytes(found)

    def check(self) -> None:
        """Raises SQLAlchemyError where the database does not answer."""
        with self._engine.connect() as connection:
            connection.scalar(sql.select(DNA.c.id).limit(1))

    def _changed(self, rows: sql.Update) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(rows).rowcount > 0

    def _insert(self, row: sql.Insert, key: str, *, in_turn: bool = False) -> None:
        """Raises KeyError where it breaks a rule: a key that is there, or one that is not."""
        try:
            with self._engine.begin() as connection:
                if in_turn:
                    # A number is given before its row can be seen. Without this, a higher one may be seen first, and
                    # who has counted on from it learns from one feedback twice, and from another never.
                    connection.exec_driver_sql(f"LOCK TABLE {row.table.name} IN SHARE ROW EXCLUSIVE MODE")
                connection.execute(row)
        except IntegrityError as error:
            raise KeyError(key) from error


def _write_ahead(connection: Any, _: object) -> None:
    for rule in (f"busy_timeout = {1000 * _PATIENCE_S}", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {rule}")
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            # The first change of mode waits for nobody, whatever the timeout: another process is making the tables.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
