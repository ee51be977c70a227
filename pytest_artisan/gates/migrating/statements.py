"""Raw SQL as steps, as far as it can be read for certain; the rest of it is UNREAD."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from pytest_artisan.gates.migrating.steps import Column, Fact, Kind, Step

# Where it gives up on a statement it says so, and keeps it as a Command, which is UNREAD here.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

# Evaluated once for a statement, so that a new column's default need not be written into each row.
_STABLE = (exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.Localtime, exp.Localtimestamp, exp.CurrentUser)
_PURE = (*_STABLE, exp.Cast, exp.Array)
_WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
_NAME = r'((?:[\w$]+|"[^"]+")(?:\.(?:[\w$]+|"[^"]+"))?)'
# What sqlglot does not take apart, word by word.
_COMMANDS: tuple[tuple[str, Kind, frozenset[Fact]], ...] = (
    (rf"ALTER TABLE (?:ONLY )?{_NAME} VALIDATE CONSTRAINT {_NAME}", Kind.VALIDATE, frozenset()),
    (
        rf"ALTER TABLE (?:ONLY )?{_NAME} ADD CONSTRAINT {_NAME} (?:UNIQUE|PRIMARY KEY) USING INDEX [\w$]+",
        Kind.ADD_UNIQUE,
        frozenset({Fact.USING_INDEX}),
    ),
    (rf"ALTER TABLE (?:ONLY )?{_NAME} RENAME CONSTRAINT {_NAME} TO [\w$]+", Kind.ALTER_TABLE, frozenset()),
    (
        rf"ALTER TYPE {_NAME} ADD VALUE (?:IF NOT EXISTS )?'[^']*'(?: (?:BEFORE|AFTER) '[^']*')?",
        Kind.OTHER,
        frozenset(),
    ),
    (rf"ALTER TYPE {_NAME} RENAME VALUE '[^']*' TO '[^']*'", Kind.RENAME_VALUE, frozenset()),
    # Made, it does nothing yet.
    (rf"CREATE FUNCTION {_NAME} ?\(.*", Kind.OTHER, frozenset()),
    (r"CREATE EXTENSION (?:IF NOT EXISTS )?[\w\"-]+", Kind.OTHER, frozenset()),
    (rf"VACUUM(?: ANALYZE)? {_NAME}", Kind.OTHER, frozenset()),
    (rf"REINDEX (?:INDEX|TABLE|SCHEMA) CONCURRENTLY {_NAME}", Kind.OTHER, frozenset({Fact.CONCURRENT})),
    (rf"(?:LOCK(?: TABLE)?|VACUUM FULL|CLUSTER|REINDEX (?:INDEX|TABLE)) {_NAME}.*", Kind.LOCK, frozenset()),
)
_BATCH = 10_000  # rows
_TIMEOUTS = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")


def steps_of_statement(text: str, dialect: str) -> list[Step]:
    """What the statements of a text do."""
    try:
        statements = sqlglot.parse(text, read="postgres" if dialect == "postgresql" else dialect)
        return [step for one in statements if one is not None for step in _steps(one)]
    except (SqlglotError, RecursionError, AttributeError, KeyError) as error:
        return [_unread(text, str(error).splitlines()[0] if str(error) else type(error).__name__)]


def is_volatile(default: str) -> bool:
    """Whether an expression may differ from row to row; so it is where nobody can tell."""
    try:
        parsed = sqlglot.parse_one(default, read="postgres")
    except SqlglotError:
        return True
    return any(not isinstance(one, _PURE) for one in parsed.find_all(exp.Func, exp.Command, exp.Query))


def _steps(statement: Any) -> Iterator[Step]:
    reader = _READERS.get(type(statement))
    yield from reader(statement) if reader is not None else [_unread(_sql(statement))]


def _unread(text: str, why: str = "") -> Step:
    shown = " ".join(text.split())
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return Step(Kind.UNREAD, text=f"raw SQL {shown!r}{f': {why}' if why else ''}")


def _command(statement: Any) -> Iterator[Step]:
    text = " ".join(_sql(statement).split())
    for pattern, kind, facts in _COMMANDS:
        match = re.fullmatch(pattern, text, re.IGNORECASE)
        if match is not None:
            table, name = (*map(_folded, match.groups()), "", "")[:2]
            yield Step(kind, table, name, facts=facts, text=text)
            return
    yield _unread(text)


def _create(statement: exp.Create) -> Iterator[Step]:
    if statement.args.get("replace"):
        yield _unread(_sql(statement), "replaces what the running release uses")
        return
    facts = frozenset({Fact.PERHAPS} if statement.args.get("exists") else ())
    target = statement.this
    match statement.kind:
        case "TABLE":
            yield from _create_table(statement, facts)
        case "INDEX":
            facts |= {Fact.CONCURRENT} if statement.args.get("concurrently") else set()
            facts |= {Fact.UNIQUE} if statement.args.get("unique") else set()
            columns = len(target.args["params"].args.get("columns") or ())
            yield Step(Kind.CREATE_INDEX, _table(target.args["table"]), target.name, str(columns), facts)
        case "TRIGGER":
            table = statement.find(exp.TriggerProperties)
            yield Step(Kind.CREATE_TRIGGER, _table(table.args["table"]) if table else "", target.name)
        case "VIEW" | "TYPE" | "SEQUENCE" | "FUNCTION" | "SCHEMA":
            yield Step(Kind.OTHER, text=_sql(statement))
        case _:
            yield _unread(_sql(statement))


def _create_table(statement: exp.Create, facts: frozenset[Fact]) -> Iterator[Step]:
    target = statement.this
    schema = target.expressions if isinstance(target, exp.Schema) else []
    defined = [one for one in schema if isinstance(one, exp.ColumnDef)]
    keys = {name.name for one in schema if isinstance(one, exp.PrimaryKey) for name in one.expressions}
    columns = []
    for one in defined:
        made = _column(one)
        key = Fact.SERIAL in made.facts or one.name in keys
        columns.append(Column(made.name, made.to, Fact.NULLABLE in made.facts and not key, key))
    yield Step(Kind.CREATE_TABLE, _table(target), facts=facts, columns=tuple(columns))
    if statement.expression:
        yield Step(Kind.COPY, _table(target), text=_sql(statement))
        yield from _write(statement.expression)


def _column(defined: exp.ColumnDef) -> Step:
    """The column alone; its constraints beside NOT NULL and the default are steps of their own."""
    facts, kind = {Fact.NULLABLE}, defined.args.get("kind")
    type_ = _type(kind)
    if "SERIAL" in type_:
        facts = {Fact.SERIAL}
    for constraint in (one.args["kind"] for one in defined.args.get("constraints") or ()):
        match constraint:
            case exp.NotNullColumnConstraint():
                facts -= set() if constraint.args.get("allow_null") else {Fact.NULLABLE}
            case exp.DefaultColumnConstraint():
                facts |= {Fact.DEFAULT} | ({Fact.VOLATILE} if is_volatile(_sql(constraint.this)) else set())
            case exp.ComputedColumnConstraint():
                facts.add(Fact.GENERATED)
            case exp.GeneratedAsIdentityColumnConstraint() | exp.PrimaryKeyColumnConstraint():
                facts = (facts - {Fact.NULLABLE}) | {Fact.SERIAL}
    return Step(Kind.ADD_COLUMN, name=_folded_of(defined.this), to=type_, facts=frozenset(facts))


def _alter(statement: exp.Alter) -> Iterator[Step]:
    table, actions = _table(statement.this), statement.args["actions"]
    if statement.kind != "TABLE" or statement.args.get("exists"):
        harmless = statement.kind == "INDEX" and all(isinstance(one, exp.AlterRename) for one in actions)
        yield Step(Kind.OTHER, text=_sql(statement)) if harmless else _unread(_sql(statement))
        return
    # Of several actions it is the last one's, but the parser does not say so.
    not_valid = bool(statement.args.get("not_valid")) and len(actions) == 1
    for action in actions:
        match action:
            case exp.ColumnDef():
                yield from _add_column(table, action)
            case exp.Drop():
                yield from _drop_in(table, action)
            case exp.AlterColumn():
                yield _alter_column(table, action)
            case exp.RenameColumn():
                yield Step(Kind.RENAME_COLUMN, table, _folded_of(action.this.this), _folded_of(action.args["to"].this))
            case exp.AlterRename() if not statement.args.get("options"):
                yield Step(Kind.RENAME_TABLE, table, to=_table(action.this))
            case exp.AddConstraint():
                yield from (step for one in action.expressions for step in _constraint(table, one, "", not_valid))
            case _:
                yield _unread(_sql(statement))


def _add_column(table: str, defined: exp.ColumnDef) -> Iterator[Step]:
    column = _column(defined)
    facts = column.facts | ({Fact.PERHAPS} if defined.args.get("exists") else set())
    yield Step(column.kind, table, column.name, column.to, facts)
    for constraint in (one.args["kind"] for one in defined.args.get("constraints") or ()):
        yield from _constraint(table, constraint, "", not_valid=False)


def _constraint(table: str, constraint: Any, name: str, not_valid: bool) -> Iterator[Step]:
    facts = frozenset({Fact.NOT_VALID} if not_valid else ())
    match constraint:
        case exp.Constraint():
            for one in constraint.expressions:
                yield from _constraint(table, one, _folded_of(constraint.this), not_valid)
        case exp.CheckColumnConstraint():
            yield Step(Kind.ADD_CHECK, table, name, facts=facts, text=_sql(constraint.this))
        case exp.ForeignKey() | exp.Reference():
            to = constraint.find(exp.Table)
            yield Step(Kind.ADD_FOREIGN_KEY, table, name, _table(to) if to else "", facts)
        case exp.UniqueColumnConstraint() | exp.PrimaryKey():
            yield Step(Kind.ADD_UNIQUE, table, name)
        case exp.ExcludeColumnConstraint():
            yield Step(Kind.ADD_EXCLUSION, table, name)
        case (
            exp.NotNullColumnConstraint()
            | exp.DefaultColumnConstraint()
            | exp.ComputedColumnConstraint()
            | exp.GeneratedAsIdentityColumnConstraint()
            | exp.PrimaryKeyColumnConstraint()
            | exp.CollateColumnConstraint()
        ):
            return
        case _:
            yield _unread(_sql(constraint))


def _alter_column(table: str, action: exp.AlterColumn) -> Step:
    name, args = _folded_of(action.this), action.args
    if args.get("dtype"):
        facts = frozenset({Fact.USING} if args.get("using") else ())
        return Step(Kind.CHANGE_TYPE, table, name, _type(args["dtype"]), facts)
    if args.get("allow_null") is not None:
        return Step(Kind.DROP_NOT_NULL if args["allow_null"] else Kind.SET_NOT_NULL, table, name)
    return Step(Kind.ALTER_TABLE, table, name)


def _drop_in(table: str, action: exp.Drop) -> Iterator[Step]:
    kind = {"COLUMN": Kind.DROP_COLUMN, "CONSTRAINT": Kind.DROP_CONSTRAINT}.get(str(action.args.get("kind")))
    for one in action.args["tables"]:
        yield Step(kind, table, _folded_of(one.this), facts=_cascade(action)) if kind else _unread(_sql(action))


def _drop(statement: exp.Drop) -> Iterator[Step]:
    facts = _cascade(statement) | ({Fact.CONCURRENT} if statement.args.get("concurrently") else set())
    for one in statement.args["tables"]:
        match statement.args["kind"]:
            case "TABLE":
                yield Step(Kind.DROP_TABLE, _table(one), facts=facts)
            case "INDEX":
                yield Step(Kind.DROP_INDEX, name=_folded_of(one.this), facts=facts)
            case kind:
                yield Step(Kind.DROP_OBJECT, text=f"{kind.lower()} {one.sql()}", facts=facts)


def _write(statement: Any) -> Iterator[Step]:
    """Each thing that a statement writes to, in its WITH as well."""
    for one in statement.find_all(*_WRITES):
        table = _table(one.this)
        if isinstance(one, exp.Insert):
            copies = not isinstance(one.expression, exp.Values)
            yield Step(Kind.COPY if copies else Kind.OTHER, table, text="insert")
            continue
        where = one.args.get("where")
        facts = frozenset({Fact.EVERY_ROW} if not isinstance(one, exp.Merge) and _is_all(where) else ())
        batch = "" if where is None else _batch_of(where.this)
        yield Step(Kind.WRITE, table, to=batch, facts=facts, text=one.key)


def _is_all(where: Any) -> bool:
    return where is None or where.find(exp.Column) is None


def _batch_of(condition: Any) -> str:
    """The column of which it allows a short range of whole numbers, or the first few of a query; none where it is longer."""
    low, high = dict[str, int](), dict[str, int]()
    for one in condition.flatten() if isinstance(condition, exp.And) else (condition,):
        if not isinstance(one.this, exp.Column):
            continue
        column = _folded_of(one.this.this)
        match one:
            case exp.Between():
                low |= _whole(column, one.args["low"])
                high |= _whole(column, one.args["high"])
            case exp.GTE() | exp.GT():
                low |= _whole(column, one.expression, isinstance(one, exp.GT))
            case exp.LTE() | exp.LT():
                high |= _whole(column, one.expression, -isinstance(one, exp.LT))
            case exp.In() if isinstance(query := one.args.get("query"), exp.Subquery):
                limit = query.this.args.get("limit")
                if limit is not None and limit.expression.is_int and int(limit.expression.name) <= _BATCH:
                    return column
    return next((name for name in low if name in high and high[name] - low[name] < _BATCH), "")


def _whole(column: str, number: Any, more: int = 0) -> dict[str, int]:
    return {column: number.to_py() + more} if number.is_int else {}


def _select(statement: Any) -> Iterator[Step]:
    yield from _write(statement)
    if statement.find(exp.Anonymous, exp.Into, exp.Command):
        yield _unread(_sql(statement), "calls what nobody here can see")


def _truncate(statement: exp.TruncateTable) -> Iterator[Step]:
    yield from (Step(Kind.TRUNCATE, _table(one)) for one in statement.expressions)


def _set(statement: exp.Set) -> Iterator[Step]:
    for item in statement.expressions:
        name = item.this.this.name.lower() if isinstance(item.this, exp.EQ) else ""
        if name == "lock_timeout":
            yield Step(Kind.SET_TIMEOUT)
        elif name not in _TIMEOUTS:
            yield _unread(_sql(statement))


def _other(statement: Any) -> Iterator[Step]:
    yield Step(Kind.OTHER, text=statement.key)


_READERS: dict[type[Any], Callable[[Any], Iterator[Step]]] = {
    exp.Command: _command,
    exp.Create: _create,
    exp.Alter: _alter,
    exp.Drop: _drop,
    exp.TruncateTable: _truncate,
    exp.Set: _set,
    exp.Select: _select,
    exp.Comment: _other,
    exp.Grant: _other,
    exp.Analyze: _other,
    exp.Semicolon: _other,
    **dict.fromkeys(_WRITES, _write),
}


def _sql(node: Any) -> str:
    return str(node.sql(dialect="postgres"))


def _type(kind: Any) -> str:
    return "" if kind is None else _sql(kind).upper().replace("DECIMAL", "NUMERIC")


def _cascade(statement: exp.Drop) -> frozenset[Fact]:
    return frozenset({Fact.CASCADE} if statement.args.get("cascade") else ())


def _table(node: Any) -> str:
    table = node if isinstance(node, exp.Table) else node.find(exp.Table)
    assert table is not None
    return ".".join(_folded_of(one) for one in (table.args.get("db"), table.this) if one is not None)


def _folded_of(name: Any) -> str:
    """As PostgreSQL reads it: what is not quoted is in small letters."""
    return str(name.name) if name is None or name.args.get("quoted") else str(name.name).lower()


def _folded(name: str) -> str:
    return ".".join(part[1:-1] if part.startswith('"') else part.lower() for part in name.split("."))
