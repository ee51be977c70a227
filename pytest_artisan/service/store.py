"""Records in a database: SQLite in one file by default, any other by its URL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from pytest_artisan.fragrance.experiments import Checkpoint
from pytest_artisan.settings import SettingsError, one_line

_TABLES = sql.MetaData()
_EXPERIMENTS = sql.Table(
    "experiments",
    _TABLES,
    sql.Column("id", sql.String(80), primary_key=True),
    sql.Column("subject", sql.String(64), nullable=False, index=True),
    sql.Column("record", sql.LargeBinary, nullable=False),
)
_FEEDBACK = sql.Table(
    "feedback",
    _TABLES,
    # The order in which it was given.
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("experiment", sql.ForeignKey("experiments.id"), nullable=False, unique=True),
    sql.Column("record", sql.LargeBinary, nullable=False),
)
_CHECKPOINTS = sql.Table(
    "checkpoints",
    _TABLES,
    sql.Column("subject", sql.String(64), primary_key=True),
    sql.Column("algorithm", sql.String(16), primary_key=True),
    sql.Column("learnt", sql.Integer, nullable=False),
    sql.Column("content", sql.LargeBinary, nullable=False),
)


class StoreError(SettingsError):
    """A database that can not be used."""


class DatabaseStore:
    """A `fragrance.experiments.Store` by SQLAlchemy; `url` such as `sqlite:///artisan.db`. Close it when done.

    Every call is one transaction. SQLite writes ahead of its file and waits for the disk at each commit. Raises
    StoreError where the database can not be opened, with one line that holds no password.
    """

    def __init__(self, url: str) -> None:
        try:
            address = sql.make_url(url)
            self._engine = sql.create_engine(address)
            if self._engine.dialect.name == "sqlite":
                sql.event.listen(self._engine, "connect", _write_ahead)
            _TABLES.create_all(self._engine)
        except ArgumentError as error:
            # The text may hold a password, so it is not told.
            raise StoreError(f"the database's URL can not be read: {error}") from None
        except (SQLAlchemyError, ImportError) as error:
            cause = getattr(error, "orig", None) or error
            shown = address.render_as_string(hide_password=True)
            raise StoreError(one_line(f"database {shown}: {cause}")) from None

    def close(self) -> None:
        self._engine.dispose()

    def add_experiment(self, subject: str, id: str, record: bytes) -> None:
        self._insert(_EXPERIMENTS.insert().values(id=id, subject=subject, record=record), id)

    def experiment(self, id: str) -> bytes:
        with self._engine.connect() as connection:
            found = connection.scalar(sql.select(_EXPERIMENTS.c.record).where(_EXPERIMENTS.c.id == id))
        if found is None:
            raise KeyError(id)
        return bytes(found)

    def count_experiments(self, subject: str) -> int:
        with self._engine.connect() as connection:
            query = sql.select(sql.func.count()).select_from(_EXPERIMENTS).where(_EXPERIMENTS.c.subject == subject)
            return int(connection.scalar(query) or 0)

    def add_feedback(self, experiment: str, record: bytes) -> None:
        self._insert(_FEEDBACK.insert().values(experiment=experiment, record=record), experiment)

    def feedback(self, subject: str, since: int = 0) -> list[tuple[bytes, bytes]]:
        query = (
            sql.select(_EXPERIMENTS.c.record, _FEEDBACK.c.record)
            .join(_FEEDBACK, _FEEDBACK.c.experiment == _EXPERIMENTS.c.id)
            .where(_EXPERIMENTS.c.subject == subject)
            .order_by(_FEEDBACK.c.number)
            .offset(since)
        )
        with self._engine.connect() as connection:
            return [(bytes(asked), bytes(answer)) for asked, answer in connection.execute(query)]

    def save(self, subject: str, algorithm: str, checkpoint: Checkpoint) -> None:
        key = {"subject": subject, "algorithm": algorithm}
        with self._engine.begin() as connection:
            connection.execute(_CHECKPOINTS.delete().filter_by(**key))
            connection.execute(
                _CHECKPOINTS.insert().values(**key, learnt=checkpoint.learnt, content=checkpoint.content)
            )

    def load(self, subject: str, algorithm: str) -> Checkpoint | None:
        query = sql.select(_CHECKPOINTS.c.learnt, _CHECKPOINTS.c.content).filter_by(
            subject=subject, algorithm=algorithm
        )
        with self._engine.connect() as connection:
            found = connection.execute(query).one_or_none()
        return None if found is None else Checkpoint(found.learnt, bytes(found.content))

    def _insert(self, row: sql.Insert, key: str) -> None:
        """Raises KeyError where it breaks a rule: a key that is there, or one that is not."""
        try:
            with self._engine.begin() as connection:
                connection.execute(row)
        except IntegrityError as error:
            raise KeyError(key) from error


def _write_ahead(connection: Any, _: object) -> None:
    for rule in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 10000"):
        connection.execute(f"PRAGMA {rule}")
