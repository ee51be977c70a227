"""What a revision does on its way up, by the operations that it asks Alembic for; no database is there."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any
from unittest.mock import patch

import msgspec
from alembic import op
from alembic.operations import Operations
from alembic.operations.base import AbstractOperations
from alembic.operations.batch import BatchOperationsImpl
from alembic.operations.ops import CreateTableOp, MigrateOperation
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.engine.url import URL
from sqlalchemy.types import TypeEngine

from pytest_artisan.gates.migrating.operations import steps_of, table_key
from pytest_artisan.gates.migrating.statements import steps_of_statement
from pytest_artisan.gates.migrating.steps import Kind, Step
from pytest_artisan.gates.migrating.untaken import Untaken
from pytest_artisan.settings import one_line

_DIALECTS = ("postgresql", "sqlite")


def recorded(upgrade: Callable[[], object], path: str, dialect: str) -> list[Step]:
    """The steps of the revision at `path`; one that is UNREAD for whatever could not be followed."""
    untaken = Untaken(path)
    steps = _run(upgrade, path, dialect, untaken)
    if any(step.kind is Kind.UNREAD for step in steps):
        return steps
    if untaken.calls():
        # It may be what another dialect needs.
        for other in _DIALECTS:
            _run(upgrade, path, other, untaken)
    for file, line in untaken.calls():
        place = "" if file == path else f"{os.path.relpath(file)} "
        why = f"{place}line {line}: a call there is not made here, and may be elsewhere"
        steps.append(msgspec.structs.replace(_unread(why), line=1 if place else line))
    return steps


def _run(upgrade: Callable[[], object], path: str, dialect: str, untaken: Untaken) -> list[Step]:
    recorder = _Recorder(path, dialect)
    with recorder.watching(), untaken.watching():
        try:
            upgrade()
        except BaseException as error:  # noqa: BLE001  # sys.exit is no way to end a migration either
            line = _line_in(path, _frames_of(error))
            recorder.add([_unread(f"{type(error).__name__}: {error}")], line)
    return recorder.steps


class _Asked(AttributeError):
    """A revision wants to know what only a database, or the way in which it is run, could tell."""


class _NoConnection:
    """In the place of the connection: it knows its dialect, and whatever else it is asked for makes a revision unread."""

    def __init__(self, context: _Context) -> None:
        self.dialect = context.dialect
        self._context = context

    def _run_ddl_visitor(self, visitor: Any, element: object, **options: object) -> None:
        """The type of an enum is made and dropped in this way; of a table nobody can tell whether it is there."""
        if not isinstance(element, TypeEngine):
            self.__getattr__("_run_ddl_visitor")
        visitor(self.dialect, self._context.recorder, **options | {"checkfirst": False}).traverse_single(element)

    def __getattr__(self, name: str) -> Any:
        self._context.recorder.add([_unread(f"asks the database (.{name}), which is not there to answer")])
        raise _Asked(f"no database is there for .{name}")


class _Context(MigrationContext):
    """Alembic's, as for writing SQL to a file; but what asks for that may do something else with a database."""

    def __init__(self, recorder: _Recorder, dialect: str) -> None:
        self.recorder = recorder
        kind: Any = URL.create(dialect).get_dialect()
        super().__init__(kind(paramstyle="named"), None, {"as_sql": True, "output_buffer": io.StringIO()})
        # Past the operations, as `op.get_context().execute` does.
        self.impl._exec = recorder.execute  # type: ignore[method-assign]

    def _stdout_connection(self, connection: object) -> Any:
        return _NoConnection(self)

    @property
    def as_sql(self) -> bool:
        if not sys._getframe(1).f_globals.get("__name__", "").startswith("alembic."):
            self.recorder.add([_unread("asks whether it is run without a database")])
        return True

    @as_sql.setter
    def as_sql(self, value: bool) -> None:
        pass

    @contextmanager
    def autocommit_block(self) -> Iterator[None]:
        before = self.recorder.begin(alone=True)
        yield
        self.recorder.begin(after=before)


class _Recorder:
    def __init__(self, path: str, dialect: str) -> None:
        self.steps: list[Step] = []
        self._path = path
        self._dialect = dialect
        self._transaction = 1
        self._context = _Context(self, dialect)

    def begin(self, *, alone: bool = False, after: int = 0) -> int:
        """The next transaction, or none around each step; the number of the one that ends."""
        ended, self._transaction = self._transaction, 0 if alone else after + 1
        return ended

    def add(self, steps: list[Step], line: int = 0) -> None:
        line = line or _line_in(self._path, _frames())
        self.steps += [msgspec.structs.replace(step, line=line, transaction=self._transaction) for step in steps]

    def execute(self, construct: Any, *args: object, **options: object) -> None:
        """Raw SQL, or what SQLAlchemy makes of an expression."""
        self.add(self._read_sql(construct))

    def _read_sql(self, construct: Any) -> list[Step]:
        clause = text(construct) if isinstance(construct, str) else construct
        # A value without a type can not be written down, but stand as a name.
        for options in ({"literal_binds": True}, {}):
            with suppress(Exception):
                sql = str(clause.compile(dialect=self._context.dialect, compile_kwargs=options))
                return steps_of_statement(sql, self._dialect)
        return [_unread(f"{type(construct).__name__} can not be written down as SQL")]

    def _invoke(self, operations: AbstractOperations, operation: MigrateOperation) -> Any:
        steps = steps_of(operation, self._context)
        if steps is not None:
            self.add(steps)
            return operation.to_table(self._context) if isinstance(operation, CreateTableOp) else None
        if hasattr(operation, "sqltext"):
            return self.execute(operation.sqltext)
        # Somebody's own operation: what counts is what it does in its turn.
        before = len(self.steps)
        result = _INVOKE(operations, operation)
        if len(self.steps) == before:
            self.add([_unread(f"{type(operation).__name__} is no operation of Alembic's")])
        return result

    def _flush(self, batch: Any) -> None:
        if batch.recreate == "always":
            table = table_key(batch.table_name, batch.schema)
            self.add([Step(Kind.REWRITE, table, text=f"writes all of {table} again (recreate)")])

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The operations of `alembic.op` come here, and nowhere else."""
        with (
            patch.object(AbstractOperations, "invoke", lambda *given: self._invoke(*given)),
            patch.object(BatchOperationsImpl, "flush", lambda batch: self._flush(batch)),
            # What a revision does to it, the next one need not find in another process.
            patch.dict(vars(op)),
            patch.object(_Doors, "watcher", self),
            Operations.context(self._context),
        ):
            yield


class _Doors:
    """Ways around Alembic, which are shut while a revision is run."""

    watcher: _Recorder | None = None
    EVENTS = (
        "sqlite3.connect",
        "socket.connect",
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.fork",
        "os.posix_spawn",
    )

    @classmethod
    def heard(cls, event: str, arguments: object) -> None:
        if cls.watcher is not None and event in cls.EVENTS:
            cls.watcher.add([_unread(f"goes its own way ({event})")])
            raise _Asked(f"{event} is not for a revision that is read")


sys.addaudithook(_Doors.heard)
_INVOKE = AbstractOperations.invoke
_LONGEST = 200  # characters of a reason


def _unread(why: str) -> Step:
    return Step(Kind.UNREAD, text=one_line(why)[:_LONGEST])


def _frames() -> Iterator[tuple[FrameType, int]]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame, frame.f_lineno
        frame = frame.f_back


def _frames_of(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    """The innermost first."""
    found, trace = [], error.__traceback__
    while trace is not None:
        found.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return reversed(found)


def _line_in(path: str, frames: Iterator[tuple[FrameType, int]]) -> int:
    """The line of the revision's own file that is being run; what it calls may stand elsewhere."""
    return next((line for frame, line in frames if frame.f_code.co_filename == str(path)), 1)
