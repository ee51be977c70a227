"""Alembic's own operation objects as steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sql
from alembic.operations import ops
from alembic.operations.schemaobj import SchemaObjects
from alembic.runtime.migration import MigrationContext
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from pytest_artisan.gates.migrating.statements import is_volatile
from pytest_artisan.gates.migrating.steps import Column, Fact, Kind, Step


def steps_of(operation: ops.MigrateOperation, context: MigrationContext) -> list[Step] | None:
    """What an operation does; None for raw SQL, and for a kind that is not of Alembic's own making."""
    if not type(operation).__module__.startswith("alembic."):
        return None
    readers = (reader for kind, reader in _READERS.items() if isinstance(operation, kind))
    reader = next(readers, None)
    return None if reader is None else list(reader(operation, context))


def table_key(name: str, schema: str | None) -> str:
    """How a table is called here."""
    return f"{schema}.{name}" if schema else str(name)


def _create_table(operation: ops.CreateTableOp, context: MigrationContext) -> Iterator[Step]:
    table = operation.to_table(context)
    columns = tuple(
        Column(str(c.name), _type(c.type, context), bool(c.nullable), bool(c.primary_key)) for c in table.columns
    )
    name = table_key(operation.table_name, operation.schema)
    yield Step(Kind.CREATE_TABLE, name, columns=columns, facts=_perhaps(operation.if_not_exists))


def _drop_table(operation: ops.DropTableOp, context: MigrationContext) -> Iterator[Step]:
    yield Step(Kind.DROP_TABLE, table_key(operation.table_name, operation.schema))


def _rename_table(operation: ops.RenameTableOp, context: MigrationContext) -> Iterator[Step]:
    to = table_key(operation.new_table_name, operation.schema)
    yield Step(Kind.RENAME_TABLE, table_key(operation.table_name, operation.schema), to=to)


def _add_column(operation: ops.AddColumnOp, context: MigrationContext) -> Iterator[Step]:
    table = table_key(operation.table_name, operation.schema)
    column = operation.column if operation.column.table is None else operation.column._copy()
    # Made a part of a table, as Alembic does, it tells its constraints.
    made = SchemaObjects(context).table(operation.table_name, column, schema=operation.schema)
    facts = _column_facts(column, context) | _perhaps(operation.if_not_exists)
    yield Step(Kind.ADD_COLUMN, table, str(column.name), _type(column.type, context), facts)
    for constraint in (*made.constraints, *column.constraints):
        if not isinstance(constraint, sql.PrimaryKeyConstraint):
            yield _of_constraint(table, constraint, context)
    for index in made.indexes:
        yield _of_index(table, index)


def _column_facts(column: sql.Column[Any], context: MigrationContext) -> frozenset[Fact]:
    facts = {Fact.NULLABLE} if column.nullable else set()
    default: Any = column.server_default
    if column.primary_key or isinstance(default, sql.Identity):
        facts.add(Fact.SERIAL)
    elif isinstance(default, sql.Computed):
        facts.add(Fact.GENERATED)
    elif isinstance(default, sql.DefaultClause):
        facts.add(Fact.DEFAULT)
        # A plain string is a value, and no expression.
        if not isinstance(default.arg, str) and is_volatile(_text(default.arg, context)):
            facts.add(Fact.VOLATILE)
    return frozenset(facts)


def _drop_column(operation: ops.DropColumnOp, context: MigrationContext) -> Iterator[Step]:
    yield Step(Kind.DROP_COLUMN, table_key(operation.table_name, operation.schema), str(operation.column_name))


def _alter_column(operation: ops.AlterColumnOp, context: MigrationContext) -> Iterator[Step]:
    table, name = table_key(operation.table_name, operation.schema), str(operation.column_name)
    if operation.modify_type is not None:
        old = "" if operation.existing_type is None else _type(operation.existing_type, context)
        facts = frozenset({Fact.USING} if operation.kw.get("postgresql_using") else ())
        yield Step(Kind.CHANGE_TYPE, table, name, _type(operation.modify_type, context), facts, text=old)
    if operation.modify_server_default is not False:
        yield Step(Kind.ALTER_TABLE, table, name)
    if operation.modify_nullable is not None:
        yield Step(Kind.DROP_NOT_NULL if operation.modify_nullable else Kind.SET_NOT_NULL, table, name)
    if operation.modify_name is not None:
        yield Step(Kind.RENAME_COLUMN, table, name, str(operation.modify_name))


def _add_constraint(operation: ops.AddConstraintOp, context: MigrationContext) -> Iterator[Step]:
    constraint: Any = operation.to_constraint(context)
    yield _of_constraint(table_key(constraint.table.name, constraint.table.schema), constraint, context)


def _of_constraint(table: str, constraint: sql.Constraint, context: MigrationContext) -> Step:
    name = str(constraint.name or "")
    options = constraint.dialect_kwargs
    facts = frozenset({Fact.NOT_VALID} if options.get("postgresql_not_valid") else ())
    if isinstance(constraint, sql.CheckConstraint):
        return Step(Kind.ADD_CHECK, table, name, facts=facts, text=_text(constraint.sqltext, context))
    if isinstance(constraint, sql.ForeignKeyConstraint):
        to = constraint.elements[0].target_fullname.rpartition(".")[0]
        return Step(Kind.ADD_FOREIGN_KEY, table, name, to, facts)
    if isinstance(constraint, ExcludeConstraint):
        return Step(Kind.ADD_EXCLUSION, table, name)
    return Step(Kind.ADD_UNIQUE, table, name)


def _drop_constraint(operation: ops.DropConstraintOp, context: MigrationContext) -> Iterator[Step]:
    table = table_key(operation.table_name, operation.schema)
    yield Step(Kind.DROP_CONSTRAINT, table, str(operation.constraint_name or ""))


def _create_index(operation: ops.CreateIndexOp, context: MigrationContext) -> Iterator[Step]:
    step = _of_index(table_key(operation.table_name, operation.schema), operation.to_index(context))
    yield (
        step
        if not operation.if_not_exists
        else Step(step.kind, step.table, step.name, step.to, step.facts | {Fact.PERHAPS})
    )


def _of_index(table: str, index: sql.Index) -> Step:
    facts = {Fact.CONCURRENT} if index.dialect_kwargs.get("postgresql_concurrently") else set()
    facts |= {Fact.UNIQUE} if index.unique else set()
    return Step(Kind.CREATE_INDEX, table, str(index.name or ""), str(len(index.expressions)), frozenset(facts))


def _drop_index(operation: ops.DropIndexOp, context: MigrationContext) -> Iterator[Step]:
    table = table_key(operation.table_name, operation.schema) if operation.table_name else ""
    facts = frozenset({Fact.CONCURRENT} if operation.kw.get("postgresql_concurrently") else ())
    yield Step(Kind.DROP_INDEX, table, str(operation.index_name), facts=facts)


def _bulk_insert(operation: ops.BulkInsertOp, context: MigrationContext) -> Iterator[Step]:
    yield Step(Kind.OTHER, table_key(operation.table.name, operation.table.schema), text="insert")


def _comment(operation: ops.AlterTableOp, context: MigrationContext) -> Iterator[Step]:
    yield Step(Kind.OTHER, table_key(operation.table_name, operation.schema), text="comment")


def _type(kind: Any, context: MigrationContext) -> str:
    try:
        return str(sql.types.to_instance(kind).compile(dialect=context.dialect))
    except sql.exc.CompileError:
        return str(kind)


def _text(construct: Any, context: MigrationContext) -> str:
    if isinstance(construct, str):
        return construct
    return str(construct.compile(dialect=context.dialect, compile_kwargs={"literal_binds": True}))


def _perhaps(is_so: bool | None) -> frozenset[Fact]:
    return frozenset({Fact.PERHAPS} if is_so else ())


_READERS: dict[type[ops.MigrateOperation], Callable[[Any, MigrationContext], Iterator[Step]]] = {
    ops.CreateTableOp: _create_table,
    ops.DropTableOp: _drop_table,
    ops.RenameTableOp: _rename_table,
    ops.CreateTableCommentOp: _comment,
    ops.DropTableCommentOp: _comment,
    ops.AddColumnOp: _add_column,
    ops.DropColumnOp: _drop_column,
    ops.AlterColumnOp: _alter_column,
    ops.AddConstraintOp: _add_constraint,
    ops.DropConstraintOp: _drop_constraint,
    ops.CreateIndexOp: _create_index,
    ops.DropIndexOp: _drop_index,
    ops.BulkInsertOp: _bulk_insert,
}
