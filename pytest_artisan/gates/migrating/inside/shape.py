"""What a database is made of, as the database itself tells it, and how two states of it differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Inspector

from .scripts import schemas_of

# A constraint is told by what it does; of these, only what the database gave is part of that.
_UNTOLD = ("comment", "dialect_options", "duplicates_constraint", "name", "column_sorting", "include_columns")


def shape_of(connection: Connection, version_table: str) -> dict[str, str]:
    """Every table, column, key, constraint, index, view, sequence and enum, by a name for people."""
    seen, shape = sql.inspect(connection), dict[str, str]()
    for schema, table in names_of(connection, version_table):
        shape |= dict(_of_table(seen, table, schema, f"{schema}.{table}" if schema else table))
    for schema in schemas_of(connection):
        prefix = f"{schema}." if schema else ""
        for view in seen.get_view_names(schema):
            shape[f"view {prefix}{view}"] = " ".join(str(seen.get_view_definition(view, schema)).split())
        if connection.dialect.name == "postgresql":
            shape |= {f"sequence {prefix}{name}": "is there" for name in seen.get_sequence_names(schema)}
            enums: Any = seen
            shape |= {f"enum {prefix}{e['name']}": ", ".join(e["labels"]) for e in enums.get_enums(schema)}
    return shape


def names_of(connection: Connection, version_table: str) -> list[tuple[str | None, str]]:
    """The schema and name of every table."""
    seen = sql.inspect(connection)
    found = ((schema, table) for schema in schemas_of(connection) for table in seen.get_table_names(schema))
    return [(schema, table) for schema, table in found if table != version_table]


def _of_table(seen: Inspector, table: str, schema: str | None, name: str) -> Iterator[tuple[str, str]]:
    yield f"table {name}", "is there"
    for column in seen.get_columns(table, schema):
        yield f"column {name}.{column['name']}", _column(column)
    yield f"primary key of {name}", _facts(seen.get_pk_constraint(table, schema))
    for kind, found in (
        ("foreign key", seen.get_foreign_keys(table, schema)),
        ("unique constraint", seen.get_unique_constraints(table, schema)),
        ("check", seen.get_check_constraints(table, schema)),
        ("index", seen.get_indexes(table, schema)),
    ):
        # A table may hold the same unnamed constraint twice.
        for number, entry in enumerate(sorted(found, key=_facts)):
            label = entry.get("name") or f"(unnamed {number + 1})"
            yield f"{kind} {label} of {name}", _facts(entry)


def _column(column: Mapping[str, Any]) -> str:
    parts = [str(column["type"]), "NULL" if column["nullable"] else "NOT NULL"]
    parts += [f"{key} {column[key]}" for key in ("default", "identity", "computed") if column.get(key)]
    return " ".join(parts)


def _facts(entry: Mapping[str, Any]) -> str:
    parts = [f"{key} {entry[key]}" for key in sorted(entry) if key not in _UNTOLD and entry[key] not in (None, {}, [])]
    return ", ".join(parts) or "none"


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What is not as it was, a phrase each."""
    told = [f"{name} is gone" for name in before if name not in after]
    told += [f"{name} is left" for name in after if name not in before]
    both = [name for name in before if name in after and before[name] != after[name]]
    return told + [f"{name} is {after[name]!r}, and was {before[name]!r}" for name in both]
