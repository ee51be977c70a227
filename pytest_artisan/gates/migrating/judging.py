"""The steps of new revisions against the rules, with what the revisions before them made."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from pytest_artisan.gates.migrating.known import Known
from pytest_artisan.gates.migrating.rules import RULES
from pytest_artisan.gates.migrating.steps import Column, Directory, Fact, Kind, Revision, Step

# Why a column may not be dropped yet; None where it may. It gets the revision that made it nullable.
MayNotDrop = Callable[[str], str | None]
# What waits for no lock that stops other users of a table for long.
_UNLOCKED = (
    Kind.OTHER,
    Kind.SET_TIMEOUT,
    Kind.VALIDATE,
    Kind.WRITE,
    Kind.COPY,
    Kind.UNREAD,
    Kind.DROP_OBJECT,
    Kind.CREATE_TABLE,
    Kind.CREATE_INDEX,
    Kind.RENAME_VALUE,
)
_SIMPLE = {
    Kind.DROP_TABLE: "drop-table",
    Kind.RENAME_TABLE: "rename-table",
    Kind.ADD_EXCLUSION: "exclusion-constraint",
    Kind.LOCK: "exclusive-lock",
    Kind.REWRITE: "rewrite-table",
    Kind.TRUNCATE: "truncate",
}
_EVERYWHERE = {Kind.RENAME_VALUE: "rename-enum-value", Kind.DROP_OBJECT: "drop-object", Kind.UNREAD: "unread"}
_NOT_VALID = {Kind.ADD_CHECK: "check-without-not-valid", Kind.ADD_FOREIGN_KEY: "foreign-key-without-not-valid"}
_ADDED = {Fact.VOLATILE: "volatile-default", Fact.GENERATED: "generated-column", Fact.SERIAL: "serial-column"}


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that a revision breaks, and by what."""

    revision: str
    rule: str
    what: str
    path: str
    line: int = 1

    @property
    def message(self) -> str:
        rule = RULES[self.rule]
        return f"revision {self.revision}: {self.what}: {rule.wrong}; {rule.recipe}"


def faults_of(
    directory: Directory, judged: Collection[str], unused: Collection[str], may_not_drop: MayNotDrop
) -> list[Fault]:
    """What the `judged` revisions do wrong; what `unused` ones made, nobody uses yet."""
    known, found = Known(), list[Fault]()
    for revision in directory.revisions:
        is_judged = revision.id in judged
        if is_judged:
            found += _of_revision(revision, known)
        for step in revision.steps:
            if is_judged:
                told = _of_step(step, revision.id, known, may_not_drop)
                found += [_fault(revision, step, rule, what) for rule, what in told]
            known.learn(step, revision.id, is_new=revision.id in unused)
    locks = directory.dialect == "postgresql"
    return [fault for fault in found if locks or not RULES[fault.rule].locks]


def _of_revision(revision: Revision, known: Known) -> Iterator[Fault]:
    """What is wrong with steps together."""
    made = {step.table for step in revision.steps if step.kind is Kind.CREATE_TABLE and Fact.PERHAPS not in step.facts}
    made -= known.tables.keys()
    locked: dict[int, dict[str, Step]] = {}
    writes: dict[int, Step] = {}
    impatient: Step | None = None
    timed = False
    for step in revision.steps:
        timed |= step.kind is Kind.SET_TIMEOUT
        if step.kind in (Kind.WRITE, Kind.COPY):
            writes.setdefault(step.transaction, step)
        table = known.place_of(step)
        if step.kind not in _UNLOCKED and Fact.CONCURRENT not in step.facts and not _is_fresh(table, known, made):
            locked.setdefault(step.transaction, {}).setdefault(table or step.name, step)
            impatient = impatient or (None if timed else step)
    # Outside of a transaction each lock ends with its step.
    locked.pop(0, None)
    for number, tables in locked.items():
        first, *others = tables.values()
        if number in writes:
            yield _fault(revision, writes[number], "write-with-ddl", f"{_told(writes[number])}, with {_told(first)}")
        if others:
            yield _fault(revision, others[0], "several-tables", f"locks {', '.join(tables)} in one transaction")
    if impatient is not None:
        yield _fault(revision, impatient, "no-lock-timeout", f"{_told(impatient)} without lock_timeout")


def _fault(revision: Revision, step: Step, rule: str, what: str) -> Fault:
    return Fault(revision.id, rule, what, revision.path, step.line)


def _is_fresh(table: str, known: Known, made: Collection[str] = ()) -> bool:
    return table in made or (table in known.tables and known.tables[table].is_fresh)


def _of_step(step: Step, revision: str, known: Known, may_not_drop: MayNotDrop) -> Iterator[tuple[str, str]]:
    """The rules that a step breaks, and what it does, in words."""
    what = _told(step)
    yield from ((rule, what) for rule in _style(step))
    if Fact.CASCADE in step.facts:
        yield "cascade", f"{what} CASCADE"
    if Fact.CONCURRENT in step.facts and step.transaction:
        yield "concurrently-in-transaction", f"{what} CONCURRENTLY in a transaction"
    if step.kind in _EVERYWHERE:
        yield _EVERYWHERE[step.kind], what
    if _is_fresh(known.place_of(step), known):
        return
    if step.kind in _SIMPLE:
        yield _SIMPLE[step.kind], what
    match step.kind:
        case Kind.ADD_COLUMN:
            yield from ((rule, what) for rule in _adding(step))
        case Kind.DROP_COLUMN | Kind.RENAME_COLUMN | Kind.CHANGE_TYPE | Kind.SET_NOT_NULL:
            yield from _of_column(step, revision, known, may_not_drop)
        case Kind.ADD_CHECK | Kind.ADD_FOREIGN_KEY if Fact.NOT_VALID not in step.facts:
            yield _NOT_VALID[step.kind], what
        case Kind.ADD_UNIQUE if Fact.USING_INDEX not in step.facts:
            yield "unique-constraint", what
        case Kind.CREATE_INDEX | Kind.DROP_INDEX if Fact.CONCURRENT not in step.facts:
            yield f"{'drop-' if step.kind is Kind.DROP_INDEX else ''}index-without-concurrently", what
        case Kind.VALIDATE if known.table(step.table).added.get(step.name) == (revision, step.transaction):
            yield "validate-at-once", what
        case Kind.WRITE:
            if Fact.EVERY_ROW in step.facts:
                yield "write-without-where", what
            if not step.to or step.to != known.table(step.table).key or step.transaction:
                yield "long-write", what


def _adding(step: Step) -> Iterator[str]:
    yield from (rule for fact, rule in _ADDED.items() if fact in step.facts)
    if not {Fact.NULLABLE, Fact.DEFAULT, Fact.GENERATED, Fact.SERIAL} & step.facts:
        yield "not-null-without-default"
    if step.to.upper() == "JSON":
        yield "json-column"


def _of_column(step: Step, revision: str, known: Known, may_not_drop: MayNotDrop) -> Iterator[tuple[str, str]]:
    what, table = _told(step), known.table(step.table)
    column = table.column(step.name)
    if step.kind is Kind.CHANGE_TYPE:
        old = column.type or step.text
        if Fact.USING in step.facts or not widens(old, step.to):
            yield "change-type", f"{what}{f' from {old}' if old else ''}"
    elif step.kind is Kind.SET_NOT_NULL:
        shown = [place for name, place in table.checks.values() if name == step.name and place is not None]
        if all(place == (revision, step.transaction) for place in shown):
            yield "set-not-null", what
    elif column.is_fresh:
        return
    elif step.kind is Kind.RENAME_COLUMN:
        yield "rename-column", what
    elif not column.nullable_since:
        yield "drop-column", f"{what} (no revision has made it nullable)"
    elif reason := may_not_drop(column.nullable_since):
        yield "drop-column", f"{what} ({reason})"


def widens(old: str, new: str) -> bool:
    """Whether every value of the type `old` is one of `new` as it is stored."""
    was, now = _sized(old), _sized(new)
    if was == now:
        return bool(old)
    if was[0] == "VARCHAR" and now[0] in ("VARCHAR", "TEXT"):
        return not now[1] or (bool(was[1]) and was[1] <= now[1])
    if was[0] == now[0] == "NUMERIC" and was[1]:
        (digits, scale), wanted = (*was[1], 0)[:2], (*now[1], 0)[:2]
        return not now[1] or (digits <= wanted[0] and scale == wanted[1])
    return False


def _sized(type_: str) -> tuple[str, tuple[int, ...]]:
    match = re.fullmatch(r"\s*(.*?)\s*(?:\(([\d\s,]+)\))?\s*", type_.upper())
    assert match is not None
    return match[1], tuple(int(size) for size in (match[2] or "").split(",") if size.strip())


def _style(step: Step) -> Iterator[str]:
    columns = step.columns
    if step.kind is Kind.ADD_COLUMN:
        columns = (Column(step.name, step.to, True),)
    types = [(one, one.type.upper()) for one in columns]
    if any(one.key and type_ in ("INT", "INTEGER", "SMALLINT", "SERIAL") for one, type_ in types):
        yield "small-key"
    if any(re.match(r"CHAR(ACTER)?\b(?! VARYING)", type_) for _, type_ in types):
        yield "char-column"
    if any(re.fullmatch(r"TIMESTAMP(\(\d\))?( WITHOUT TIME ZONE)?", type_) for _, type_ in types):
        yield "naive-timestamp"
    if step.kind is Kind.CREATE_INDEX and Fact.UNIQUE not in step.facts and int(step.to) > 3:
        yield "wide-index"
    names = (*step.table.split("."), step.name, step.to, *(one.name for one in columns))
    if any(len(name.encode()) > 63 for name in names):
        yield "long-name"


def _told(step: Step) -> str:
    """The step in words."""
    if step.kind in (Kind.UNREAD, Kind.DROP_OBJECT, Kind.REWRITE, Kind.LOCK, Kind.RENAME_VALUE):
        return f"{step.kind if step.kind is Kind.DROP_OBJECT else ''} {step.text}".strip()
    place = ".".join(part for part in (step.table, step.name) if part)
    verb = step.text if step.kind is Kind.WRITE else step.kind
    to = f" to {step.to}" if step.kind in (Kind.RENAME_TABLE, Kind.RENAME_COLUMN, Kind.CHANGE_TYPE) else ""
    return f"{verb} {place}{to}"
