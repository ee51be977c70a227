"""What a downgrade does not put back, of all that a database is made of and of the rows in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from forked import forked  # noqa: F401
from postgres import VARIABLE, on_server  # noqa: F401
from script_folders import project_of

from pytest_artisan.gates.gate import Project
from pytest_artisan.gates.migrating import running
from pytest_artisan.gates.tables import Migrations

NOW = datetime(2026, 11, 27, tzinfo=UTC)
NOTHING = "SELECT 1"

pytestmark = pytest.mark.usefixtures("forked")

TABLE = "CREATE TABLE {t} (id INTEGER PRIMARY KEY, n INTEGER, s VARCHAR(20))"
REBUILT = (
    "ALTER TABLE {t} RENAME TO old",
    "CREATE TABLE {t} (id INTEGER PRIMARY KEY, n INTEGER, s VARCHAR(20) COLLATE NOCASE)",
    "INSERT INTO {t} SELECT * FROM old",
    "DROP TABLE old",
)
# Before, and the two ways; {t} is a table of each case's own, whose rows have n = 1 and 3, and two without.
ANY: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "index": ("CREATE INDEX i{t} ON {t} (n) WHERE n > 5", ("DROP INDEX i{t}",), ("CREATE INDEX i{t} ON {t} (n)",)),
    "order": ("CREATE INDEX i{t} ON {t} (n DESC)", ("DROP INDEX i{t}",), ("CREATE INDEX i{t} ON {t} (n)",)),
    "expression": ("CREATE INDEX i{t} ON {t} (lower(s))", ("DROP INDEX i{t}",), ("CREATE INDEX i{t} ON {t} (s)",)),
    "view": ("CREATE VIEW v{t} AS SELECT n FROM {t}", ("DROP VIEW v{t}",), ("CREATE VIEW v{t} AS SELECT s FROM {t}",)),
    "reference": (
        "CREATE TABLE r{t} (n INTEGER REFERENCES {t} (id) ON DELETE CASCADE)",
        ("DROP TABLE r{t}",),
        ("CREATE TABLE r{t} (n INTEGER REFERENCES {t} (id))",),
    ),
    "values": (NOTHING, ("ALTER TABLE {t} ADD x INTEGER",), ("ALTER TABLE {t} DROP x", "UPDATE {t} SET n = 9")),
    "pairs": (NOTHING, ("ALTER TABLE {t} ADD x INTEGER",), ("ALTER TABLE {t} DROP x", "UPDATE {t} SET n = 4 - n")),
    "rows": (
        NOTHING,
        ("ALTER TABLE {t} ADD x INTEGER",),
        ("ALTER TABLE {t} DROP x", "INSERT INTO {t} (id) VALUES (99)"),
    ),
    "upgrade": (NOTHING, ("ALTER TABLE {t} ADD x INTEGER", "UPDATE {t} SET n = 9"), ("ALTER TABLE {t} DROP x",)),
}
SQLITE = {
    "trigger": ("CREATE TRIGGER g{t} AFTER INSERT ON {t} BEGIN SELECT 1; END", ("DROP TRIGGER g{t}",), (NOTHING,)),
    "collation": (NOTHING, REBUILT, (NOTHING,)),
    "strict": ("CREATE TABLE k{t} (n INT) STRICT", ("DROP TABLE k{t}",), ("CREATE TABLE k{t} (n INT)",)),
}
POSTGRESQL = {
    "method": ("CREATE INDEX i{t} ON {t} USING hash (n)", ("DROP INDEX i{t}",), ("CREATE INDEX i{t} ON {t} (n)",)),
    "deferrable": (
        "ALTER TABLE {t} ADD CONSTRAINT u{t} UNIQUE (n)",
        ("ALTER TABLE {t} DROP CONSTRAINT u{t}",),
        ("ALTER TABLE {t} ADD CONSTRAINT u{t} UNIQUE (n) DEFERRABLE",),
    ),
    "function": (
        "CREATE FUNCTION f{t}() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        ("DROP FUNCTION f{t}()",),
        ("CREATE FUNCTION f{t}() RETURNS int LANGUAGE sql AS 'SELECT 2'",),
    ),
    "sequence": ("CREATE SEQUENCE q{t} INCREMENT 5", ("DROP SEQUENCE q{t}",), ("CREATE SEQUENCE q{t}",)),
    "domain": ("CREATE DOMAIN d{t} AS int", ("DROP DOMAIN d{t}",), ("CREATE DOMAIN d{t} AS bigint",)),
    "enum": ("CREATE TYPE e{t} AS ENUM ('a', 'b')", ("DROP TYPE e{t}",), ("CREATE TYPE e{t} AS ENUM ('b', 'a')",)),
    "materialized": (
        "CREATE MATERIALIZED VIEW m{t} AS SELECT n FROM {t}",
        ("DROP MATERIALIZED VIEW m{t}",),
        ("CREATE MATERIALIZED VIEW m{t} AS SELECT s FROM {t}",),
    ),
    "security": (NOTHING, ("ALTER TABLE {t} ENABLE ROW LEVEL SECURITY",), (NOTHING,)),
    "comment": (NOTHING, ("COMMENT ON COLUMN {t}.s IS 'x'",), (NOTHING,)),
    "type": (NOTHING, ("ALTER TABLE {t} ALTER s TYPE text",), ("ALTER TABLE {t} ALTER s TYPE varchar(21)",)),
    "default": (
        "ALTER TABLE {t} ALTER n SET DEFAULT 5",
        ("ALTER TABLE {t} ALTER n DROP DEFAULT",),
        ("ALTER TABLE {t} ALTER n SET DEFAULT 6",),
    ),
}


def found(root: Path, cases: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]], table: Migrations) -> set[str]:
    """The cases whose downgrade differs, all of them revisions of one project on a database."""
    names = [f"t{number}" for number in range(len(cases))]
    first = [
        text.format(t=t) for t, (before, *_) in zip(names, cases.values(), strict=True) for text in (TABLE, before)
    ]
    steps = [
        ([text.format(t=t) for text in up], [text.format(t=t) for text in back])
        for t, (_, up, back) in zip(names, cases.values(), strict=True)
    ]
    bodies = [tuple("\n".join(f"op.execute({one!r})" for one in way) for way in step) for step in [(first, []), *steps]]
    drivers = {"driver": "sqlite" if table.postgresql_env is None else "postgresql"}
    environments = {name: {"database": drivers} for name in ("dev", "stg", "prod")}
    project = Project(project_of(root, bodies), {"tool": {"artisan": {"environments": environments}}})  # type: ignore[arg-type]
    findings = running.round_trip(project, table, NOW).findings
    numbers = {int(one.path[-5:-3]) for one in findings if one.rule == "downgrade-differs"}
    return {name for number, name in enumerate(cases, 2) if number in numbers}


def test_all_that_a_downgrade_does_not_put_back_is_found_on_sqlite(tmp_path: Path) -> None:
    cases = ANY | SQLITE
    assert found(tmp_path, cases, Migrations()) == set(cases)


@pytest.mark.usefixtures("on_server")
def test_all_that_a_downgrade_does_not_put_back_is_found_on_postgresql(tmp_path: Path) -> None:
    cases = {name: ANY[name] for name in ("index", "reference", "values")} | POSTGRESQL
    assert found(tmp_path, cases, Migrations(postgresql_env=VARIABLE)) == set(cases)


def test_a_revision_that_adds_rows_and_takes_them_away_again_is_no_finding(tmp_path: Path) -> None:
    add, take = "INSERT INTO {t} (id) VALUES (99)", "DELETE FROM {t} WHERE id = 99"
    assert found(tmp_path, {"rows": (NOTHING, (add,), (take,))}, Migrations()) == set()
