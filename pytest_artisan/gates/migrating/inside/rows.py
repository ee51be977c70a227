"""Generated rows: by type, parents before children, with every column filled, and with as few as the table allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from .messages import line_of
from .scripts import schemas_of
from .values import NoRows, value_of

Row = dict[str, Any]
Made = TypeVar("Made")
# What a value can do that does not fit.
FAILURES = (NoRows, SQLAlchemyError, LookupError, TypeError, ValueError, ArithmeticError)


def tables_of(connection: Connection, version_table: str) -> list[sql.Table]:
    """The tables of a database as they are, parents before children."""
    seen = sql.MetaData()
    for schema in schemas_of(connection):
        seen.reflect(connection, schema=schema)
    return [table for table in seen.sorted_tables if table.name != version_table]


def either_way(operation: Callable[[bool], Made]) -> Made:
    """What an operation returns for plain values, or, where these are refused, for those that the checks of a table name."""
    try:
        return operation(False)
    except FAILURES:
        return operation(True)


def add_rows(engine: Engine, table: sql.Table, numbers: range) -> None:
    """Rows with these numbers, in one transaction. Raises NoRows with the database's own words."""

    def add(by_checks: bool) -> None:
        with engine.begin() as connection:
            rows = rows_of(connection, table, numbers, by_checks=by_checks)
            for _, alike in groupby(sorted(rows, key=sorted), key=sorted):
                _insert(connection, table, list(alike))

    try:
        either_way(add)
    except NoRows:
        raise
    except FAILURES as error:
        raise NoRows(f"{table.fullname}: {line_of(error)}") from None


def _insert(connection: Connection, table: sql.Table, rows: list[Row]) -> None:
    if rows[0]:
        connection.execute(table.insert(), rows)
        return
    for _ in rows:
        connection.execute(table.insert().values())


def rows_of(connection: Connection, table: sql.Table, numbers: range, *, by_checks: bool = False) -> list[Row]:
    """Rows for these numbers: the even ones have every column, the odd ones those alone that must be given.

    Raises NoRows.
    """
    parents = list(_parents(connection, table))
    wanted = _literals(connection, table) if by_checks else {}
    return [_row(table, number, parents, place, wanted) for place, number in enumerate(numbers)]


def _row(
    table: sql.Table,
    number: int,
    parents: Sequence[tuple[list[sql.Column[Any]], list[Any]]],
    place: int,
    wanted: dict[str, list[str]],
) -> Row:
    led = {column for columns, _ in parents for column in columns}
    row: Row = {}
    for column in table.columns:
        if column not in led and _is_given(column, number):
            choices = wanted.get(column.name)
            row[column.key] = choices[number % len(choices)] if choices else value_of(column.type, column.name, number)
    for columns, found in parents:
        if not found and not all(column.nullable for column in columns):
            raise NoRows(f"{table.fullname}: there is no row that {columns[0].name} could lead to")
        if found and (number % 2 == 0 or not all(column.nullable for column in columns)):
            row |= dict(zip([column.key for column in columns], found[place % len(found)], strict=True))
    return row


def _is_given(column: sql.Column[Any], number: int) -> bool:
    """Whether a row with this number says what the column holds."""
    table = column.table
    if column.computed is not None or column.identity is not None:
        return False
    if isinstance(table, sql.Table) and column is table.autoincrement_column:
        return False
    has_default = column.default is not None or column.server_default is not None
    return number % 2 == 0 or not (column.nullable or has_default)


def _parents(connection: Connection, table: sql.Table) -> Iterator[tuple[list[sql.Column[Any]], list[Any]]]:
    """The columns of each foreign key, and what they may lead to: first what nothing leads to yet."""
    for key in sorted(table.foreign_key_constraints, key=lambda key: sorted(key.column_keys)):
        columns = [element.parent for element in key.elements]
        there = [element.column for element in key.elements]
        found = [tuple(row) for row in connection.execute(sql.select(*there).order_by(*there))]
        used = {tuple(row) for row in connection.execute(sql.select(*columns))}
        yield columns, sorted(found, key=used.__contains__)


def _literals(connection: Connection, table: sql.Table) -> dict[str, list[str]]:
    """The texts that the checks of a table name, by column."""
    checks = sql.inspect(connection).get_check_constraints(table.name, table.schema)
    texts = [str(check["sqltext"]) for check in checks]
    return {
        column.name: found
        for column in table.columns
        for text in texts
        if re.search(rf"\b{re.escape(column.name)}\b", text) and (found := [one for one in _quoted(text) if one])
    }


def _quoted(text: str) -> list[str]:
    return [found.replace("''", "'") for found in re.findall(r"'((?:[^']|'')*)'", text)]


def fill(engine: Engine, tables: Iterable[sql.Table], rows: int) -> dict[str, str]:
    """At least as many rows in each table; why some have none, by table."""
    failed: dict[str, str] = {}
    for table in tables:
        have = counts_of(engine, [table])[table.fullname]
        try:
            add_rows(engine, table, range(have, rows))
        except NoRows as error:
            failed[table.fullname] = str(error)
    return failed


def counts_of(engine: Engine, tables: Iterable[sql.TableClause]) -> dict[str, int]:
    """The rows of each table."""
    with engine.connect() as connection:
        count = sql.select(sql.func.count())
        return {table.fullname: connection.scalar(count.select_from(table)) or 0 for table in tables}
