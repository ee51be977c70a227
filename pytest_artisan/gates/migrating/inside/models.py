"""The models and the database that the migrations make: what Alembic would still have to do to make them agree."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sql
from alembic.autogenerate import produce_migrations
from alembic.runtime.migration import MigrationContext, MigrationStep
from sqlalchemy.dialects.postgresql import JSONB

from .messages import Run, Trouble
from .scripts import Scripts


def _default_differs(
    context: MigrationContext,
    found: sql.Column[Any],
    declared: sql.Column[Any],
    found_default: str | None,
    default: object,
    declared_default: str | None,
) -> bool | None:
    """None where Alembic may ask the database, which can not say of two values of json whether they are equal."""
    if not isinstance(declared.type, sql.JSON) or isinstance(declared.type, JSONB):
        return None
    before, after = (re.sub(r"::\w+$", "", text or "").strip("'") for text in (found_default, declared_default))
    return before != after


_COMPARED = {"compare_type": True, "compare_server_default": _default_differs}


def models(scripts: Scripts) -> Run:
    """A trouble for each difference, in words, by env.py's own options of the comparison."""
    tables = {table.fullname for metadata in scripts.metadata for table in metadata.sorted_tables}
    scripts.up_to_heads()
    found: list[Any] = []

    def compare(heads: tuple[str, ...], context: MigrationContext) -> tuple[MigrationStep, ...]:
        # By env.py's own ways; but where it leaves types or defaults out, by Alembic's.
        options = context.opts | {name: context.opts.get(name) or way for name, way in _COMPARED.items()}
        asked = MigrationContext.configure(context.connection, opts=options)
        compared = produce_migrations(asked, context.opts["target_metadata"])
        found.extend(compared.upgrade_ops.as_diffs() if compared.upgrade_ops is not None else ())
        return ()

    scripts.run(compare, dont_mutate=True)
    told = [_words(*part) for entry in found for part in (entry if isinstance(entry, list) else [entry])]
    return Run({"tables": len(tables)}, troubles=[Trouble("models-differ", text) for text in told])


def _words(kind: str, *parts: Any) -> str:
    """A difference as Alembic has it: what the models have and the database lacks is added, and the other way round."""
    match kind:
        case "add_table" | "remove_table":
            return f"{_only(kind)} have the table {parts[0].fullname}"
        case "add_column" | "remove_column":
            return f"{_only(kind)} have the column {_name(*parts[:2])}.{parts[2].name}"
        case "modify_type" | "modify_nullable" | "modify_default" | "modify_comment":
            what = kind.removeprefix("modify_")
            # A default is a clause around its text.
            before, after = (getattr(part, "arg", part) for part in parts[4:6])
            return f"{_name(*parts[:2])}.{parts[2]}: {what} is {before} by the migrations, {after} by the models"
        case "add_table_comment" | "remove_table_comment":
            return f"the comment of the table {parts[0].fullname} differs"
    owner = f" of {parts[0].table.fullname}" if getattr(parts[0], "table", None) is not None else ""
    return f"{_only(kind)} have the {' '.join(kind.split('_')[1:])} {getattr(parts[0], 'name', None) or '(unnamed)'}{owner}"


def _only(kind: str) -> str:
    return "only the models" if kind.startswith("add") else "only the migrations"


def _name(schema: str | None, table: str) -> str:
    return f"{schema}.{table}" if schema else table
