"""The models and the database that the migrations make: what Alembic would still have to do to make them agree."""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import produce_migrations
from alembic.runtime.migration import MigrationContext, MigrationStep

from .messages import Run, Trouble
from .scripts import Scripts


def models(scripts: Scripts) -> Run:
    """A trouble for each difference, in words, by env.py's own options of the comparison."""
    tables = {table.fullname for metadata in scripts.metadata for table in metadata.sorted_tables}
    scripts.up_to_heads()
    found: list[Any] = []

    def compare(heads: tuple[str, ...], context: MigrationContext) -> tuple[MigrationStep, ...]:
        compared = produce_migrations(context, context.opts["target_metadata"])
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
            return f"{_name(*parts[:2])}.{parts[2]}: {what} is {parts[4]} by the migrations, {parts[5]} by the models"
        case "add_table_comment" | "remove_table_comment":
            return f"the comment of the table {parts[0].fullname} differs"
    owner = f" of {parts[0].table.fullname}" if getattr(parts[0], "table", None) is not None else ""
    return f"{_only(kind)} have the {' '.join(kind.split('_')[1:])} {getattr(parts[0], 'name', None) or '(unnamed)'}{owner}"


def _only(kind: str) -> str:
    return "only the models" if kind.startswith("add") else "only the migrations"


def _name(schema: str | None, table: str) -> str:
    return f"{schema}.{table}" if schema else table
