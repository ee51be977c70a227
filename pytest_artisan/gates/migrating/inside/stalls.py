"""New revisions on filled tables under a reader and a writer: how long these wait, and whether anything fails."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
import sqlalchemy as sql
from alembic.script import Script
from sqlalchemy.engine import Connection, Engine

from .messages import Refused, Request, Run, failure_of, line_of
from .rows import fill, names_of, tables_of
from .scripts import Scripts, trouble

_SEED = 0
_PAUSE_S, _ROUND_S = 0.001, 30.0
_KEYS = 100
_ERRORS = 3


def stalls(scripts: Scripts, request: Request) -> Run:
    """What is not new is there already; each new revision runs on tables of at least `rows` rows."""
    run = Run({"revisions": 0, "of": 0})
    unfilled: set[str] = set()
    for revision in scripts.revisions:
        if revision.revision not in request.new:
            scripts.up(revision)
            continue
        run.count("of")
        with scripts.engine.connect() as connection:
            tables = tables_of(connection, names_of(connection, scripts.version_table))
        wanted = [table for table in tables if table.fullname not in unfilled]
        failed = fill(scripts.engine, wanted, request.rows)
        unfilled |= set(failed)
        run.troubles += [
            trouble("no-load", f"was not tried on a filled table: {cause}", revision) for cause in failed.values()
        ]
        if not _under_load(scripts, revision, [table for table in tables if table.fullname not in unfilled], run):
            break
    return run


def _under_load(scripts: Scripts, revision: Script, tables: Sequence[sql.Table], run: Run) -> bool:
    """Whether the revision is done; the longest stalls of all revisions are kept."""
    clients = [_Client(name, scripts.engine, tables) for name in ("reader", "writer")] if tables else []
    with _running(clients):
        error = failure_of(scripts.up, revision)
    for client in clients:
        told = f"{client.name}'s longest stall while {revision.revision} ran"
        run.stalls_ms[told] = 1000 * client.longest_s
        run.counts[told] = client.calls
        run.troubles += [
            trouble("client-error", f"a {client.name} fails meanwhile: {e}", revision) for e in client.errors
        ]
    if error is not None:
        is_lock = isinstance(getattr(error, "orig", None), psycopg.errors.LockNotAvailable)
        rule, told = ("lock-timeout", "gets no lock in time") if is_lock else ("upgrade-fails", "the upgrade fails")
        run.troubles.append(trouble(rule, told, revision, error))
        return False
    run.count("revisions")
    return True


@contextmanager
def _running(clients: Sequence[_Client]) -> Iterator[None]:
    """Each has done everything once when the block begins, and has ended what it was at when it is left."""
    for client in clients:
        client.start()
    try:
        _wait(clients)
        for client in clients:
            client.longest_s, client.calls = 0.0, 0
        yield
        # The first may have begun before the end of the revision.
        for _ in range(2):
            _wait(clients)
    finally:
        for client in clients:
            client.stopped.set()
        for client in clients:
            client.join()


def _wait(clients: Sequence[_Client]) -> None:
    """Until each has done everything once more."""
    for client in clients:
        client.ready.clear()
        if client.stopped.is_set():
            client.ready.set()
    for client in clients:
        if not client.ready.wait(_ROUND_S):
            raise Refused(f"the {client.name} that runs beside the migration gets no answer within {_ROUND_S:g} s")


class _Client(threading.Thread):
    """One that reads, or writes, single rows of all tables in turn, by statements from before the revision."""

    def __init__(self, name: str, engine: Engine, tables: Sequence[sql.Table]) -> None:
        super().__init__(name=name, daemon=True)
        self.ready, self.stopped = threading.Event(), threading.Event()
        self.longest_s, self.calls = 0.0, 0
        self.errors: dict[str, None] = {}
        self._engine, self._random = engine, random.Random(_SEED)  # noqa: S311  # it chooses rows
        with engine.connect() as connection:
            statement = _reading if name == "reader" else _writing
            self._statements = [made for table in tables for made in statement(connection, table)]

    def run(self) -> None:
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                # The migration gives up waiting; a client of the service would wait.
                connection.detach()
                connection.exec_driver_sql("SET lock_timeout = 0")
                while not self.stopped.wait(_PAUSE_S):
                    self._round(connection)
                    self.ready.set()
        except Exception as error:  # noqa: BLE001  # whatever it was, it is an error of a client
            self._fail(error)
        finally:
            # One that has ended keeps nobody waiting.
            self.stopped.set()
            self.ready.set()

    def _round(self, connection: Connection) -> None:
        for statement, keys in self._statements:
            if self.stopped.is_set():
                return
            start = time.perf_counter()
            try:
                connection.execute(statement, {"key_of_row": self._random.choice(keys)})
            except sql.exc.DBAPIError as error:
                self._fail(error)
            self.longest_s = max(self.longest_s, time.perf_counter() - start)
            self.calls += 1

    def _fail(self, error: Exception) -> None:
        if len(self.errors) < _ERRORS:
            self.errors[line_of(error)] = None


def _reading(connection: Connection, table: sql.Table) -> Iterator[tuple[sql.Executable, list[object]]]:
    key = next(iter(table.primary_key or table.columns))
    yield sql.select(table).where(key == sql.bindparam("key_of_row")).limit(1), _keys(connection, key)


def _writing(connection: Connection, table: sql.Table) -> Iterator[tuple[sql.Executable, list[object]]]:
    """It writes what is there already, so that no rule of the table stands against it."""
    key = next(iter(table.primary_key or table.columns))
    free = [column for column in table.columns if column.computed is None and column.identity is None]
    for column in sorted(free, key=lambda column: column.primary_key)[:1]:
        change = table.update().where(key == sql.bindparam("key_of_row")).values({column: column})
        yield change, _keys(connection, key)


def _keys(connection: Connection, key: sql.Column[object]) -> list[object]:
    return list(connection.scalars(sql.select(key).limit(_KEYS)))
