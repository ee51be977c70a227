"""What revisions do, as a process of its own read them: one step an operation, whether Alembic's or raw SQL."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What a step does to its table; `OTHER` harms nobody, of `UNREAD` nobody can tell."""

    CREATE_TABLE = "create table"
    DROP_TABLE = "drop table"
    RENAME_TABLE = "rename table"
    ADD_COLUMN = "add column"
    DROP_COLUMN = "drop column"
    RENAME_COLUMN = "rename column"
    CHANGE_TYPE = "change type"
    SET_NOT_NULL = "set not null"
    DROP_NOT_NULL = "drop not null"
    ALTER_TABLE = "alter table"
    ADD_CHECK = "add check"
    ADD_FOREIGN_KEY = "add foreign key"
    ADD_UNIQUE = "add unique"
    ADD_EXCLUSION = "add exclusion"
    VALIDATE = "validate"
    DROP_CONSTRAINT = "drop constraint"
    CREATE_INDEX = "create index"
    DROP_INDEX = "drop index"
    CREATE_TRIGGER = "create trigger"
    LOCK = "lock"
    REWRITE = "rewrite"
    RENAME_VALUE = "rename value"
    DROP_OBJECT = "drop object"
    TRUNCATE = "truncate"
    WRITE = "write"
    COPY = "copy"
    SET_TIMEOUT = "set lock_timeout"
    OTHER = "other"
    UNREAD = "unread"


class Fact(StrEnum):
    """What more is known of a step."""

    NULLABLE = "nullable"
    DEFAULT = "default"
    VOLATILE = "volatile"
    GENERATED = "generated"
    SERIAL = "serial"
    NOT_VALID = "not valid"
    CONCURRENT = "concurrent"
    CASCADE = "cascade"
    USING_INDEX = "using index"
    USING = "using"
    PERHAPS = "perhaps"  # IF EXISTS, IF NOT EXISTS: nobody knows what was there
    EVERY_ROW = "every row"
    UNIQUE = "unique"


class Column(msgspec.Struct, frozen=True):
    """A column of a new table."""

    name: str
    type: str
    nullable: bool
    key: bool = False


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that a revision does.

    `name` is a column's, a constraint's or an index's; `to` a new name, a type, the table that is referred to, or the
    column whose values make a batch of a write; `text` what people read, or a condition. `transaction` is 0 where the step is alone in its own, outside of the revision's.
    """

    kind: Kind
    table: str = ""
    name: str = ""
    to: str = ""
    facts: frozenset[Fact] = frozenset()
    columns: tuple[Column, ...] = ()
    text: str = ""
    line: int = 1
    transaction: int = 1


class Revision(msgspec.Struct, frozen=True):
    """A revision: where its file is, below the project's root, what is before it, and what it does on the way up."""

    id: str
    path: str
    down: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with the script directory as a whole, by the id of a rule."""

    rule: str
    message: str
    path: str


class Directory(msgspec.Struct, frozen=True):
    """A script directory: its revisions from the base up, `places` of their files, below the project's root.

    `dialect` is the one that they were read for: PostgreSQL's wherever that is known to be used, else SQLite's.
    """

    revisions: tuple[Revision, ...] = ()
    heads: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    places: tuple[str, ...] = ()
    dialect: str = "sqlite"
