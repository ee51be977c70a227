"""What a revision must not do while the release before it runs, and the safe way to get there.

The rules are those that strong_migrations and squawk have in common, with PostgreSQL's locks as measured on a server.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """`wrong` says what happens, `recipe` what to do; `locks` where it is about PostgreSQL alone."""

    wrong: str
    recipe: str
    locks: bool = False
    blocks: bool = True


_SIX_STEPS = (
    "add the new one, write both, backfill in batches, read the new one, stop writing the old one, and drop it in a "
    "later release"
)
_CONCURRENTLY = "postgresql_concurrently=True in op.get_context().autocommit_block(), alone in its revision"

RULES = {
    "drop-column": Rule(
        "the release that still runs may read or write it",
        "make it nullable and stop using it in one release; drop it in a later one, after drop_days",
    ),
    "drop-table": Rule(
        "the release that still runs may read or write it, and no history shows that it does not",
        "stop using it in one release; drop it in a later one, with a waiver by whoever knows that nobody uses it",
    ),
    "drop-object": Rule(
        "the release that still runs may use it",
        "stop using it in one release; drop it in a later one, with a waiver",
    ),
    "rename-column": Rule("the release that still runs knows it by its old name", _SIX_STEPS),
    "rename-table": Rule(
        "the release that still runs knows it by its old name", f"{_SIX_STEPS}; or leave a view with the old name"
    ),
    "change-type": Rule(
        "the whole table is written again behind a lock, and the release that still runs expects the old type",
        f"{_SIX_STEPS}; a longer varchar, text instead of varchar and more digits of a numeric are safe",
    ),
    "not-null-without-default": Rule(
        "it fails on a table with rows, and so does each insert of the release that still runs",
        "add it nullable, or with a constant server_default",
    ),
    "set-not-null": Rule(
        "it reads the whole table behind a lock, and fails on the first NULL",
        "add CHECK (column IS NOT NULL) NOT VALID, validate it in a later revision, then set NOT NULL and drop the CHECK",
    ),
    "volatile-default": Rule(
        "each row is written again behind a lock",
        "add it without a default, set the default in a second step, and backfill in batches",
        locks=True,
    ),
    "generated-column": Rule(
        "each row is written again behind a lock",
        "add a plain column, fill it by a trigger, and backfill in batches",
        True,
    ),
    "serial-column": Rule(
        "each row is numbered and written again behind a lock",
        "make a new table with the key, write both, copy in batches, and change over in a later release",
        locks=True,
    ),
    "json-column": Rule(
        "json has no equality, so that SELECT DISTINCT and UNION over the table fail", "use JSONB", locks=True
    ),
    "check-without-not-valid": Rule(
        "it reads the whole table behind a lock",
        "postgresql_not_valid=True; VALIDATE CONSTRAINT in a later revision",
        True,
    ),
    "foreign-key-without-not-valid": Rule(
        "it reads the whole table, and both tables take no writes meanwhile",
        "postgresql_not_valid=True; VALIDATE CONSTRAINT in a later revision",
        locks=True,
    ),
    "validate-at-once": Rule(
        "the lock of adding it is held while the table is read", "VALIDATE CONSTRAINT in a later revision", locks=True
    ),
    "index-without-concurrently": Rule("the table takes no writes while it is built", _CONCURRENTLY, locks=True),
    "drop-index-without-concurrently": Rule(
        "it waits for, and then stops, all that use the table", _CONCURRENTLY, True
    ),
    "concurrently-in-transaction": Rule(
        "PostgreSQL refuses it", "with op.get_context().autocommit_block(): around it", locks=True
    ),
    "unique-constraint": Rule(
        "its index is built behind a lock",
        "create a unique index concurrently, then ALTER TABLE ... ADD CONSTRAINT ... UNIQUE USING INDEX",
        locks=True,
    ),
    "exclusion-constraint": Rule(
        "its index is built behind a lock", "there is no safe form; a waiver, and an hour without users", locks=True
    ),
    "exclusive-lock": Rule("nobody else can use the table meanwhile", "CONCURRENTLY, or leave it to maintenance", True),
    "rewrite-table": Rule("it is copied behind a lock", "batch_alter_table without recreate", locks=True),
    "long-write": Rule(
        "one statement locks all rows that it changes until it is done",
        "a revision of its own, in autocommit_block(), by batches of at most 10,000 primary keys",
        locks=True,
    ),
    "write-with-ddl": Rule(
        "the lock of the change of structure is held while rows are written",
        "a revision of its own for each",
        locks=True,
    ),
    "write-without-where": Rule("it changes every row", "say which rows in a WHERE, and go by batches"),
    "truncate": Rule("all rows are gone, and it can not be undone", "never in a migration; delete by batches"),
    "cascade": Rule("what goes with it is not written down", "drop each thing by its name"),
    "rename-enum-value": Rule(
        "the release that still runs knows it by its old name", "add a value; never rename one in place"
    ),
    "unread": Rule("nobody can tell what it does", "use Alembic's operations; else a waiver, with who answers for it"),
    "no-lock-timeout": Rule(
        "where it has to wait for a lock, all others wait behind it",
        "op.execute(\"SET LOCAL lock_timeout = '2s'\") before it, and try again; or set it in env.py",
        locks=True,
        blocks=False,
    ),
    "several-tables": Rule(
        "all of them stay locked until the last one is done", "one table a revision", locks=True, blocks=False
    ),
    "wide-index": Rule("an index of more than three columns seldom pays", "fewer columns", locks=True, blocks=False),
    "long-name": Rule("PostgreSQL cuts it off at 63 bytes", "a shorter name", locks=True, blocks=False),
    "small-key": Rule("an int ends at 2,147,483,647", "BigInteger", locks=True, blocks=False),
    "char-column": Rule("char(n) is padded with blanks", "String(n) or Text", locks=True, blocks=False),
    "naive-timestamp": Rule("nobody knows of which time zone it is", "DateTime(timezone=True)", True, blocks=False),
    "changed-revision": Rule(
        "databases that ran it will not run it again, and now differ from new ones", "put it back; write a new revision"
    ),
    "missing-revision": Rule(
        "Alembic can not find the way from a database that ran it", "put the file back; write a new revision"
    ),
}
