"""What a database is made of, as the database itself tells it, and how two states of it differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Inspector

from .catalogue import QUERIES

# What SQLite's own answers leave out of a table's definition. Only that it is there can be read of it without a parser.
_CLAUSES = re.compile(
    r"""\bCONSTRAINT\s+(?:"[^"]+"|\w+)|\b(?:COLLATE\s+\w+|ON\s+CONFLICT\s+\w+|(?:NOT\s+)?DEFERRABLE(?:\s+INITIALLY\s+\w+)?
    |AUTOINCREMENT|STRICT|WITHOUT\s+ROWID)\b""",
    re.IGNORECASE | re.VERBOSE,
)

_known: dict[str, list[tuple[str, str]]] = {}


def shape_of(connection: Connection) -> dict[str, str]:
    """Everything but its rows, by a name for people: the definition of each in the database's words."""
    if connection.dialect.name == "sqlite":
        return dict(_of_sqlite(connection))
    return {name: told for query in QUERIES for name, told in connection.exec_driver_sql(query)}


def _of_sqlite(connection: Connection) -> Iterator[tuple[str, str]]:
    seen = sql.inspect(connection)
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite^_%' ESCAPE '^'"
    for kind, name, table, text in connection.exec_driver_sql(query).all():
        if kind == "table":
            clauses = sorted(" ".join(found.replace('"', "").split()).upper() for found in _CLAUSES.findall(text))
            yield f"table {name}", ", ".join(clauses)
            # What SQLite knows of a table it knows from its text.
            if text not in _known:
                _known[text] = list(_of_table(seen, name))
            yield from _known[text]
        elif kind == "index":
            # Written by hand, or again by SQLAlchemy, it is the same.
            yield f"index {name} of {table}", re.sub(r'[\s"`\[\]]+', " ", text).replace(" (", "(").casefold()
        else:
            yield f"{kind} {name}", " ".join(text.split())


def _of_table(seen: Inspector, name: str) -> Iterator[tuple[str, str]]:
    for column in seen.get_columns(name):
        yield f"column {name}.{column['name']}", _column(column)
    keys = seen.bind.exec_driver_sql("SELECT * FROM pragma_foreign_key_list(?)", (name,)).mappings().all()  # type: ignore[union-attr]
    for kind, found in (
        ("primary key", [seen.get_pk_constraint(name)]),
        ("foreign key", [{part: key[part] for part in key if part != "id"} for key in keys]),
        ("unique constraint", seen.get_unique_constraints(name)),
        ("check", seen.get_check_constraints(name)),
    ):
        # A table may hold the same unnamed constraint twice.
        for number, entry in enumerate(sorted(found, key=_facts)):
            label = entry.get("name") or (f"(unnamed {number + 1})" if len(found) > 1 else "")
            yield " ".join(f"{kind} {label} of {name}".split()), _facts(entry)


def _column(column: Mapping[str, Any]) -> str:
    parts = [str(column["type"]), "NULL" if column["nullable"] else "NOT NULL"]
    parts += [f"{key} {column[key]}" for key in ("default", "computed") if column.get(key)]
    return " ".join(parts)


def _facts(entry: Mapping[str, Any]) -> str:
    parts = [f"{key} {entry[key]}" for key in sorted(entry) if key != "name" and entry[key] not in (None, {}, [])]
    return ", ".join(parts) or "none"


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What is not as it was, a phrase each."""
    told = [f"{name} is gone" for name in before if name not in after]
    told += [f"{name} is left" for name in after if name not in before]
    both = [name for name in before if name in after and before[name] != after[name]]
    return told + [f"{name} is {after[name]!r}, and was {before[name]!r}" for name in both]
