"""Generated rows: by type, parents before children, with every column filled, and with as few as the table allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from .messages import Choices, line_of
from .scripts import schemas_of
from .values import NoRows, value_of

Row = dict[str, Any]
Made = TypeVar("Made")
# What a value can do that does not fit.
FAILURES = (NoRows, SQLAlchemyError, LookupError, TypeError, ValueError, ArithmeticError)


def names_of(connection: Connection, version_table: str) -> list[sql.TableClause]:
    """Every table by its name."""
    seen = sql.inspect(connection)
    found = ((schema, name) for schema in schemas_of(connection) for name in seen.get_table_names(schema))
    return [sql.table(name, schema=schema) for schema, name in found if name != version_table]


def tables_of(connection: Connection, names: Sequence[sql.TableClause]) -> list[sql.Table]:
    """These tables as they are in the database, parents before children."""
    seen, wanted = sql.MetaData(), {table.fullname for table in names}
    for schema in {table.schema for table in names}:
        seen.reflect(connection, schema=schema, only=[table.name for table in names if table.schema == schema])
    return [table for table in seen.sorted_tables if table.fullname in wanted]


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
            rows = rows_of(connection, table, numbers, choices_of(connection, table) if by_checks else {})
            for _, alike in groupby(sorted(rows, key=sorted), key=sorted):
                connection.execute(table.insert(), list(alike))

    try:
        either_way(add)
    except NoRows:
        raise
    except FAILURES as error:
        raise NoRows(f"{table.fullname}: {line_of(error)}") from None


def rows_of(connection: Connection, table: sql.Table, numbers: range, choices: Choices) -> list[Row]:
    """Rows for these numbers: the even ones have every column, the odd ones those alone that must be given.

    Raises NoRows.
    """
    parents = list(_parents(connection, table))
    return [_row(table, number, parents, place, choices) for place, number in enumerate(numbers)]


def _row(
    table: sql.Table,
    number: int,
    parents: Sequence[tuple[list[sql.Column[Any]], list[Any]]],
    place: int,
    choices: Choices,
) -> Row:
    led = {column for columns, _ in parents for column in columns}
    row: Row = {}
    for column in table.columns:
        if column not in led and _is_given(column, number):
            given = choices.get(column.name)
            row[column.key] = given[number % len(given)] if given else value_of(column.type, column.name, number)
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


def choices_of(connection: Connection, table: sql.Table) -> Choices:
    """Values that the checks of a table are likely to take, by column: the texts that they name, or within their numbers."""
    checks = sql.inspect(connection).get_check_constraints(table.name, table.schema)
    choices: Choices = {}
    for column in table.columns:
        for text in (str(check["sqltext"]) for check in checks):
            if re.search(rf"\b{re.escape(column.name)}\b", text):
                is_number = isinstance(column.type, sql.Numeric | sql.Integer)
                found = _within(column.type, text) if is_number else _quoted(text)
                choices |= {column.name: found} if found else {}
    return choices


def _quoted(text: str) -> list[int | float | str]:
    return [found.replace("''", "'") for found in re.findall(r"'((?:[^']|'')+)'", text)]


def _within(kind: Any, text: str) -> list[int | float | str]:
    """Between the least and the greatest number of a check, or just below its only one."""
    numbers = [float(number) for number in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", text)]
    if not numbers:
        return []
    low, high = min(numbers), max(numbers)
    if low == high:
        low = high - 2
    inside = [low + (high - low) * part / 4 for part in (1, 2, 3)]
    return [*dict.fromkeys(map(round, inside))] if isinstance(kind, sql.Integer) else [*inside]


def fill(engine: Engine, tables: Sequence[sql.Table], rows: int) -> dict[str, str]:
    """At least as many rows in each table; why some have none, by table."""
    with engine.connect() as connection:
        have = counts_of(connection, tables)
    failed: dict[str, str] = {}
    for table in tables:
        try:
            add_rows(engine, table, range(have[table.fullname], rows))
        except NoRows as error:
            failed[table.fullname] = str(error)
    return failed


def counts_of(connection: Connection, tables: Iterable[sql.TableClause]) -> dict[str, int]:
    """The rows of each table."""
    count = sql.select(sql.func.count())
    return {table.fullname: connection.scalar(count.select_from(table)) or 0 for table in tables}
