"""Every revision on its own, on tables with rows: up, down and up again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sql
from alembic.script import Script
from sqlalchemy.engine import Connection

from .messages import Run, failure_of
from .rows import counts_of, fill, names_of, tables_of
from .scripts import Scripts, line_of_empty, trouble
from .shape import differences, shape_of

_ROWS = 4  # in each table: two with all their columns, and two with what they must have
_READ = 1000  # rows of a table whose values are compared
_TOLD = 5


@dataclass(frozen=True)
class _State:
    """What a database is made of, how many rows each table has, and, where these are few, what is in them."""

    shape: dict[str, str]
    rows: dict[str, int]
    values: dict[str, list[dict[str, str]]]

    def lost(self, before: _State) -> list[str]:
        """Tables that are still there and have fewer rows than they had."""
        return [f"{t} has {n} rows of {before.rows[t]}" for t, n in self.rows.items() if n < before.rows.get(t, 0)]

    def changed(self, before: _State, between: _State) -> Iterator[str]:
        """Tables and columns that never went, kept all their rows in between, and do not hold what they held."""
        for table, count in before.rows.items():
            if between.rows.get(table, -1) < count or table not in self.rows:
                continue
            if self.rows[table] != count:
                yield f"{table} has {self.rows[table]} rows of {count}"
                continue
            states = [state.values.get(table, []) for state in (before, between, self)]
            shared = [column for column in (states[0] or [{}])[0] if all(rows and column in rows[0] for rows in states)]
            if _held(states[0], shared) != _held(states[2], shared):
                names = [one for one in shared if _held(states[0], [one]) != _held(states[2], [one])] or shared
                yield f"the rows of {table} do not hold what they held in {', '.join(names)}"


def round_trip(scripts: Scripts) -> Run:
    """What fails is told with its revision, and the walk goes on behind it where it can."""
    return _RoundTrip(scripts).walk()


class _RoundTrip:
    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._run = Run({"revisions": 0, "of": len(scripts.revisions)})
        self._unfilled: set[str] = set()

    def walk(self) -> Run:
        # Where Alembic keeps the revision is there from the start, so that no revision brings or leaves it.
        self._scripts.up()
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
            names = names_of(connection, self._scripts.version_table)
            have = counts_of(connection, names)
            short = [one for one in names if have[one.fullname] < _ROWS and one.fullname not in self._unfilled]
            tables = tables_of(connection, short)
        for table, cause in fill(self._scripts.engine, tables, _ROWS).items():
            self._unfilled.add(table)
            self._tell("no-rows", f"was tried on a table without rows, as none could be made: {cause}", revision)

    def _state(self) -> _State:
        with self._scripts.engine.connect() as connection:
            tables = names_of(connection, self._scripts.version_table)
            values = {table.fullname: _values(connection, table) for table in tables}
            many = counts_of(connection, [table for table in tables if len(values[table.fullname]) > _READ])
            counts = {name: len(rows) for name, rows in values.items()} | many
            return _State(shape_of(connection), counts, {name: values[name] for name in values if name not in many})

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
        return _State(before.shape, {}, {})

    def _goes_back(self, revision: Script, before: _State) -> bool:
        """Whether the database is then as this revision leaves it."""
        upgraded = self._state()
        self._tell_differences("rows-lost", "the upgrade loses rows", upgraded.lost(before), revision)
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
        told = [*differences(before.shape, undone.shape), *undone.changed(before, upgraded)]
        self._tell_differences("downgrade-differs", undoes, told, revision)
        failed = failure_of(self._scripts.up, revision)
        if failed is not None:
            self._tell("second-upgrade-fails", "the upgrade after a downgrade fails", revision, failed)
            return False
        again, differs = self._state(), "the upgrade after a downgrade differs from the first"
        told = [*differences(upgraded.shape, again.shape), *again.changed(upgraded, undone)]
        self._tell_differences("second-upgrade-differs", differs, told, revision)
        return True

    def _tell_differences(self, rule: str, what: str, told: list[str], revision: Script) -> None:
        if told:
            self._tell(rule, f"{what}: {_few(told)}", revision)


def _held(rows: list[dict[str, str]], columns: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(row[column] for column in columns) for row in rows)


def _values(connection: Connection, table: sql.TableClause) -> list[dict[str, str]]:
    """The first rows, by column; as text, since a database may give what can not be compared."""
    rows = connection.execute(sql.select(sql.text("*")).select_from(table).limit(_READ + 1)).mappings()
    return [{column: repr(value) for column, value in row.items()} for row in rows]


def _few(told: list[str]) -> str:
    more = f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return "; ".join(told[:_TOLD]) + more
