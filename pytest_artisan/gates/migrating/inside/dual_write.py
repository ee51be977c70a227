"""A declared dual write: a project's own function writes one value, and both columns have it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from typing import Any

import sqlalchemy as sql

from .messages import DualWrite, Refused, Run, Trouble, failure_of, line_of
from .rows import FAILURES, fill, names_of, tables_of
from .scripts import Scripts
from .values import value_of

_FIRST, _VALUES = 10_000, 5
_ROWS = 4


def dual_write(scripts: Scripts, declared: tuple[DualWrite, ...]) -> Run:
    """Each of them with several values, on the newest schema, where every table has rows."""
    scripts.up_to_heads()
    with scripts.engine.connect() as connection:
        tables = tables_of(connection, names_of(connection, scripts.version_table))
    fill(scripts.engine, tables, _ROWS)
    run = Run({"writes": 0})
    for place, one in enumerate(declared):
        found = [table for table in tables if table.fullname == one.table]
        if not found or not {one.old, one.new} <= set(found[0].columns.keys()):
            run.troubles.append(_trouble(one, "the table has not both columns at the newest revision"))
            continue
        run.troubles += [_trouble(one, told) for told in _tried(scripts, found[0], one, run, place)]
    return run


def _tried(scripts: Scripts, table: sql.Table, one: DualWrite, run: Run, place: int) -> list[str]:
    """What is wrong with it, by all the values."""
    write, same = _function(one.write), None if one.same is None else _function(one.same)
    old, new = table.columns[one.old], table.columns[one.new]
    written: list[tuple[Any, Any]] = []
    values = set()
    for number in range(_VALUES):
        # Not one that another of them has written: it may have to be unique.
        value = value_of(old.type, one.old, _FIRST + place * _VALUES + number)
        values.add(repr(value))
        run.count("writes")
        rows: list[tuple[Any, Any]] = []
        failed = failure_of(_write, scripts, sql.select(old, new), write, value, rows)
        if failed is not None:
            return [f"it fails for {value!r}: {line_of(failed)}"]
        if not rows:
            return [f"it writes no row for {value!r}"]
        told = [complaint for row in rows for complaint in _complaints(*row, value, same)]
        if told:
            return told
        written += rows
    for name, column in ((one.old, 0), (one.new, 1)):
        if len({repr(row[column]) for row in written}) < len(values):
            return [f"{name} is the same for different values"]
    return []


def _complaints(before: Any, after: Any, value: Any, same: Callable[[Any], Any] | None) -> list[str]:
    empty = [name for name, found in (("the old column", before), ("the new column", after)) if found is None]
    if empty:
        return [f"{' and '.join(empty)} stays empty for {value!r}"]
    try:
        if same is not None and same(before) != after:
            return [f"the columns do not say the same for {value!r}: {before!r} and {after!r}"]
    except FAILURES as error:
        return [f"`same` fails for {before!r}: {line_of(error)}"]
    return []


def _write(
    scripts: Scripts, query: sql.Select[Any], write: Callable[..., Any], value: Any, rows: list[tuple[Any, Any]]
) -> None:
    """Write a value, and add to `rows` those that are new, or not as they were."""
    with scripts.engine.begin() as connection:
        before = Counter(map(repr, connection.execute(query).all()))
        write(connection, value)
    with scripts.engine.connect() as connection:
        after = [tuple(row) for row in connection.execute(query).all()]
    rows += [row for row in after if _take(before, repr(row))]


def _take(before: Counter[str], row: str) -> bool:
    """Whether it is one more than there were."""
    before[row] -= 1
    return before[row] < 0


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    failed = failure_of(import_module, module)
    if failed is not None:
        raise Refused(f"dual_write: {name!r} can not be imported: {line_of(failed)}")
    found = getattr(sys.modules[module], attribute, None)
    if not callable(found):
        raise Refused(f"dual_write: {name!r} is not there, or not callable")
    return found  # type: ignore[no-any-return]


def _trouble(one: DualWrite, told: str) -> Trouble:
    return Trouble("dual-write", f"{one.table}: {one.write} for {one.old} and {one.new}: {told}")
