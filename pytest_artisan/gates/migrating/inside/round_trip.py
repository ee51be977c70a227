"""Every revision on its own, on tables with rows: up, down and up again."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sql
from alembic.script import Script

from .messages import Run, failure_of
from .rows import counts_of, fill, tables_of
from .scripts import Scripts, line_of_empty, trouble
from .shape import differences, names_of, shape_of

_ROWS = 4  # in each table: two with all their columns, and two with what they must have
_TOLD = 5


@dataclass(frozen=True)
class _State:
    """What a database is made of, and how many rows each table has."""

    shape: dict[str, str]
    rows: dict[str, int]

    def lost(self, before: _State) -> list[str]:
        """Tables that are still there and have not the rows that they had."""
        both = (table for table in before.rows if table in self.rows)
        return [f"{t} has {self.rows[t]} rows of {before.rows[t]}" for t in both if self.rows[t] != before.rows[t]]


def round_trip(scripts: Scripts) -> Run:
    """What fails is told with its revision, and the walk goes on behind it where it can."""
    return _RoundTrip(scripts).walk()


class _RoundTrip:
    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._run = Run({"revisions": 0, "of": len(scripts.revisions)})
        self._unfilled: set[str] = set()

    def walk(self) -> Run:
        for number, revision in enumerate(self._scripts.revisions):
            self._fill(revision)
            before = self._up(number, revision, self._state())
            if before is None:
                break
            self._run.count("revisions")
            if not self._goes_back(revision, before):
                self._start_again(number + 1)
        return self._run

    def _tell(
        self, rule: str, message: str, revision: Script, error: BaseException | None = None, line: int | None = None
    ) -> None:
        self._run.troubles.append(trouble(rule, message, revision, error, line))

    def _fill(self, revision: Script) -> None:
        """Rows for the tables that this revision finds, but for those that are known to take none."""
        with self._scripts.engine.connect() as connection:
            tables = tables_of(connection, self._scripts.version_table)
        wanted = [table for table in tables if table.fullname not in self._unfilled]
        for table, cause in fill(self._scripts.engine, wanted, _ROWS).items():
            self._unfilled.add(table)
            self._tell("no-rows", f"was tried on a table without rows, as none could be made: {cause}", revision)

    def _state(self) -> _State:
        with self._scripts.engine.connect() as connection:
            shape = shape_of(connection, self._scripts.version_table)
            tables = names_of(connection, self._scripts.version_table)
        named = [sql.table(table, schema=schema) for schema, table in tables]
        return _State(shape, counts_of(self._scripts.engine, named))

    def _start_again(self, upto: int) -> None:
        """An empty database with the first revisions, whatever a failure has left of the one that was there."""
        self._scripts.wipe()
        self._scripts.up(*self._scripts.revisions[:upto])

    def _up(self, number: int, revision: Script, before: _State) -> _State | None:
        """What it was upgraded from, with its rows, or else on empty tables at least; None where it fails on these, too."""
        failed = failure_of(self._scripts.up, revision)
        if failed is None:
            return before
        again = failure_of(self._start_again, number + 1)
        if again is not None:
            self._tell("upgrade-fails", "the upgrade fails", revision, again)
            return None
        self._tell("upgrade-fails-on-rows", "the upgrade fails where tables have rows", revision, failed)
        return _State(before.shape, {})

    def _goes_back(self, revision: Script, before: _State) -> bool:
        """Whether the database is then as this revision leaves it."""
        upgraded = self._state()
        self._check_rows(before, upgraded, revision, "upgrade")
        line = line_of_empty(revision, "downgrade")
        if line is not None and line_of_empty(revision, "upgrade") is None:
            self._tell("no-downgrade", "has no downgrade", revision, line=line)
            return True
        failed = failure_of(self._scripts.down, revision)
        if failed is not None:
            if isinstance(failed, NotImplementedError):
                self._tell("no-downgrade", "has no downgrade", revision, failed)
            else:
                self._tell("downgrade-fails", "the downgrade fails", revision, failed)
            return False
        undone, undoes = self._state(), "the downgrade does not undo the upgrade"
        self._compare(before.shape, undone.shape, "downgrade-differs", undoes, revision)
        self._check_rows(upgraded, undone, revision, "downgrade")
        failed = failure_of(self._scripts.up, revision)
        if failed is not None:
            self._tell("second-upgrade-fails", "the upgrade after a downgrade fails", revision, failed)
            return False
        again, differs = self._state(), "the upgrade after a downgrade differs from the first"
        self._compare(upgraded.shape, again.shape, "second-upgrade-differs", differs, revision)
        self._check_rows(undone, again, revision, "upgrade after a downgrade")
        return True

    def _compare(self, before: dict[str, str], after: dict[str, str], rule: str, what: str, revision: Script) -> None:
        told = differences(before, after)
        if told:
            self._tell(rule, f"{what}: {_few(told)}", revision)

    def _check_rows(self, before: _State, after: _State, revision: Script, step: str) -> None:
        lost = after.lost(before)
        if lost:
            self._tell("rows-lost", f"the {step} changes the number of rows: {_few(lost)}", revision)


def _few(told: list[str]) -> str:
    more = f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return "; ".join(told[:_TOLD]) + more
