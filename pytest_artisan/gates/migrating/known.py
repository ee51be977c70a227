"""What the revisions that were read so far have made, as far as the next one's safety depends on it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pytest_artisan.gates.migrating.steps import Fact, Kind, Step

_IS_NOT_NULL = re.compile(r'\(*"?(\w+)"?\)? IS NOT NULL\)*|\(*NOT "?(\w+)"? IS NULL\)*', re.IGNORECASE)

# A transaction: of a revision, by its number there.
Place = tuple[str, int]


@dataclass(slots=True)
class KnownColumn:
    """A column; `nullable_since` names the revision, and "" one that is not nullable, or of which nobody knows."""

    type: str = ""
    nullable_since: str = ""
    is_fresh: bool = False


@dataclass(slots=True)
class KnownTable:
    """A table. What is fresh no release has, so that nobody uses it yet.

    `key` is the one column of its primary key, where it has just one. `added` says where a constraint came from; `checks` which column one shows not to be NULL, and since when for all rows.
    """

    is_fresh: bool = False
    key: str = ""
    columns: dict[str, KnownColumn] = field(default_factory=dict)
    added: dict[str, Place] = field(default_factory=dict)
    checks: dict[str, tuple[str, Place | None]] = field(default_factory=dict)

    def column(self, name: str) -> KnownColumn:
        return self.columns.setdefault(name, KnownColumn())


@dataclass(slots=True)
class Known:
    """All tables by their names, and of each index the name of its table."""

    tables: dict[str, KnownTable] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)

    def table(self, name: str) -> KnownTable:
        return self.tables.setdefault(name, KnownTable())

    def place_of(self, step: Step) -> str:
        """The table that a step is about: where an index is dropped, nobody need name it."""
        return step.table or self.indexes.get(step.name, "")

    def learn(self, step: Step, revision: str, *, is_new: bool) -> None:
        """Go on by one step of a revision, which is new where no release has it."""
        match step.kind:
            case Kind.CREATE_TABLE if Fact.PERHAPS not in step.facts and step.table not in self.tables:
                columns = {one.name: KnownColumn(one.type, revision if one.nullable else "") for one in step.columns}
                keys = [one.name for one in step.columns if one.key]
                self.tables[step.table] = KnownTable(is_new, keys[0] if len(keys) == 1 else "", columns)
            case Kind.DROP_TABLE:
                self.tables.pop(step.table, None)
            case Kind.RENAME_TABLE:
                self.tables[step.to] = self.tables.pop(step.table, KnownTable())
                self.indexes = {name: step.to if one == step.table else one for name, one in self.indexes.items()}
            case Kind.CREATE_INDEX:
                self.indexes[step.name] = step.table
            case _ if step.table:
                _learn_of(self.table(step.table), step, (revision, step.transaction), is_new)


def _learn_of(table: KnownTable, step: Step, place: Place, is_new: bool) -> None:
    match step.kind:
        case Kind.ADD_COLUMN if Fact.PERHAPS not in step.facts and step.name not in table.columns:
            since = place[0] if Fact.NULLABLE in step.facts else ""
            table.columns[step.name] = KnownColumn(step.to, since, is_new)
        case Kind.CHANGE_TYPE:
            table.column(step.name).type = step.to
        case Kind.DROP_NOT_NULL:
            table.column(step.name).nullable_since = table.column(step.name).nullable_since or place[0]
        case Kind.SET_NOT_NULL:
            table.column(step.name).nullable_since = ""
        case Kind.DROP_COLUMN | Kind.RENAME_COLUMN:
            moved = table.columns.pop(step.name, KnownColumn())
            table.columns |= {step.to: moved} if step.to else {}
            table.key = step.to if step.name == table.key else table.key
            table.checks = {name: one for name, one in table.checks.items() if one[0] != step.name}
        case Kind.DROP_CONSTRAINT:
            table.checks.pop(step.name, None)
        case Kind.VALIDATE if step.name in table.checks:
            table.checks[step.name] = (table.checks[step.name][0], place)
        case Kind.ADD_CHECK | Kind.ADD_FOREIGN_KEY:
            table.added[step.name] = place
            match = _IS_NOT_NULL.fullmatch(" ".join(step.text.split()))
            if match is not None:
                table.checks[step.name] = (match[1] or match[2], None if Fact.NOT_VALID in step.facts else place)
