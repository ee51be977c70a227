"""The models of one release and the database of another: each table is read and written, by the models' own metadata."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sql
from sqlalchemy.engine import Connection

from .messages import OLD_RULES, Choices, Refused, Run, Trouble, line_of
from .rows import FAILURES, Row, add_rows, choices_of, either_way, rows_of
from .scripts import Scripts
from .values import NoRows

_ROWS = 4
# Of rows that are written when there are others already.
_LATER, _CHANGED = 1000, 2000
# What a database and its driver give back as it was.
_PLAIN = (int, float, Decimal, str, bytes)


def move_from(other: str) -> None:
    """Find modules here which an installation for development would find in the tree `other`."""
    root = Path(other).resolve()
    for place, entry in enumerate(sys.path):
        path = Path(entry or ".").resolve()
        if _is_of(path, root):
            sys.path[place] = os.path.normpath(Path.cwd() / path.relative_to(root))


def _is_of(path: Path, root: Path) -> bool:
    """Whether it is in a project; an environment beside it, with what is installed, is none of the project's."""
    return path.is_relative_to(root) and not path.is_relative_to(Path(sys.prefix).resolve())


def check_moved(other: str) -> None:
    """Raises Refused where something has come from the other tree all the same: its models would be tried as old ones."""
    root = Path(other).resolve()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        is_ours = name == "__main__" or name.startswith(str(__package__))
        if file and not is_ours and _is_of(Path(file).resolve(), root):
            raise Refused(f"the old release's models import {name}, which comes from this tree, not from the release")


def prepare(scripts: Scripts) -> Run:
    """The database as a release has made and filled it."""
    tables = _tables(scripts)
    scripts.up_to_heads()
    run = Run({"tables": len(tables)})
    for table in tables:
        try:
            add_rows(scripts.engine, table, range(_ROWS))
        except NoRows as error:
            run.troubles.append(Trouble(*OLD_RULES, f"no row could be made by the old release's models: {error}"))
        with scripts.engine.connect() as connection, suppress(sql.exc.SQLAlchemyError):
            run.choices[table.fullname] = choices_of(connection, table)
    return run


def upgrade(scripts: Scripts) -> Run:
    """The same database as the next release needs it."""
    scripts.up_to_heads()
    head = scripts.revisions[-1]
    return Run(head=head.revision, path=head.path)


def use(scripts: Scripts, choices: dict[str, Choices]) -> Run:
    """Every table as a release that still runs uses it: what was there is read, and rows come, change and go.

    It writes what the checks took before the upgrade, not what new ones would.
    """
    use, tables = _Use(scripts, choices), _tables(scripts)
    keys = [(table, use.insert(table, _LATER)) for table in tables]
    for table, key in keys:
        use.select(table)
        if key:
            use.update(table, key)
    for table, key in reversed(keys):
        if key:
            use.delete(table, key)
    for table in tables:
        # With as little as it allows: what was added since then is not known to these models.
        use.insert(table, _LATER + 1)
    return use.run


def read(scripts: Scripts) -> Run:
    """Every row of every table is read."""
    use = _Use(scripts, {})
    for table in _tables(scripts):
        use.select(table)
    return use.run


def alone(scripts: Scripts) -> Run:
    """All of that by the same release."""
    made, upgraded = prepare(scripts), upgrade(scripts)
    used, later = use(scripts, made.choices), read(scripts)
    upgraded.counts = used.counts
    place = {"revision": upgraded.head, "path": upgraded.path}
    troubles = (*made.troubles, *used.troubles, *later.troubles)
    upgraded.troubles = [msgspec.structs.replace(trouble, **place) for trouble in troubles]
    return upgraded


def _tables(scripts: Scripts) -> list[sql.Table]:
    return [table for metadata in scripts.metadata for table in metadata.sorted_tables]


class _Use:
    """Operations on tables, each in a transaction of its own; those that fail are told."""

    def __init__(self, scripts: Scripts, choices: dict[str, Choices]) -> None:
        self._engine, self._choices = scripts.engine, choices
        self.run = Run({"operations": 0})

    def insert(self, table: sql.Table, number: int) -> Row | None:
        """The key of a new row; None where it can not be written and found again, or its table has no key."""

        def operation(connection: Connection, by_checks: bool) -> Row:
            row = self._row(connection, table, number, by_checks)
            made = connection.execute(table.insert().values(row)).inserted_primary_key or ()
            key = dict(zip((column.key for column in table.primary_key), made, strict=False))
            if key:
                _check(connection, table, key, row)
            return key

        return self._tried("insert", table, operation) or None

    def select(self, table: sql.Table) -> None:
        self._tried("select", table, lambda connection, _: connection.execute(sql.select(table)).all())

    def update(self, table: sql.Table, key: Row) -> None:
        """Another value in each column that is no key."""
        kept = {column.key for column in table.columns if column.primary_key or column.foreign_keys}

        def operation(connection: Connection, by_checks: bool) -> None:
            row = self._row(connection, table, _CHANGED, by_checks)
            values = {column: value for column, value in row.items() if column not in kept}
            if values:
                connection.execute(table.update().filter_by(**key).values(values))
                _check(connection, table, key, values)

        self._tried("update", table, operation)

    def delete(self, table: sql.Table, key: Row) -> None:
        def operation(connection: Connection, by_checks: bool) -> None:
            connection.execute(table.delete().filter_by(**key))
            if connection.execute(sql.select(table).filter_by(**key)).first() is not None:
                raise NoRows("the row is still there")

        self._tried("delete", table, operation)

    def _row(self, connection: Connection, table: sql.Table, number: int, by_checks: bool) -> Row:
        choices = self._choices.get(table.fullname, {}) if by_checks else {}
        [row] = rows_of(connection, table, range(number, number + 1), choices)
        return row

    def _tried(self, name: str, table: sql.Table, operation: Callable[[Connection, bool], Any]) -> Any:
        """What the operation returns; None where it fails."""
        self.run.count("operations")

        def attempt(by_checks: bool) -> Any:
            with self._engine.begin() as connection:
                return operation(connection, by_checks)

        try:
            return either_way(attempt)
        except FAILURES as error:
            self.run.troubles.append(Trouble(*OLD_RULES, f"{name} of {table.fullname} fails: {line_of(error)}"))
            return None


def _check(connection: Connection, table: sql.Table, key: Row, written: Row) -> None:
    """Raises NoRows where plain values are not read as they were written."""
    found = connection.execute(sql.select(table).filter_by(**key)).one()._mapping
    for name, value in written.items():
        column = table.columns[name]
        told = found[column].rstrip() if isinstance(found[column], str) else found[column]
        is_plain = isinstance(value, _PLAIN) and not isinstance(column.type, sql.types.TypeDecorator)
        if is_plain and (told != value or isinstance(told, str) != isinstance(value, str)):
            raise NoRows(f"{name} was written as {value!r}, and is read as {told!r}")
