"""What the gate `migrations` reads in revisions, and what it says of that."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from script_folders import project_of, read_in_place

from pytest_artisan.gates.migrating.judging import Fault, faults_of, widens
from pytest_artisan.gates.migrating.rules import RULES
from pytest_artisan.gates.migrating.steps import Directory

# A table that a release has: that of each revision under test.
RELEASED = """
op.create_table("t", sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("a", sa.String(20)),
    sa.Column("b", sa.Integer, nullable=False), sa.Column("n", sa.Numeric(8, 2)))
op.create_index("i", "t", ["a"])
"""
NOBODY_MAY_DROP = "not yet"


def faults(root: Path, *bodies: str, released: int = 1, dialect: str = "postgresql") -> list[Fault]:
    """Of revisions after the first `released` ones."""
    directory = read_in_place(project_of(root, [(body, "") for body in bodies]), dialect)
    assert not directory.problems
    return judged(directory, released)


def judged(directory: Directory, released: int = 1) -> list[Fault]:
    new = [revision.id for revision in directory.revisions[released:]]
    return faults_of(directory, new, new, lambda revision: NOBODY_MAY_DROP if revision == "2" else None)


def blocking(found: list[Fault]) -> set[str]:
    return {fault.rule for fault in found if RULES[fault.rule].blocks}


Judge = Callable[[str], list[Fault]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """What a body of the tables below does wrong after the released one; all of them are read at once."""
    bodies = [*(body for body, _ in BROKEN), *SAFE, *(body for body, _ in WARNED)]
    root = project_of(tmp_path_factory.mktemp("all"), [(body, "") for body in (RELEASED, *bodies)], in_a_line=False)
    revisions = {int(revision.id): revision for revision in read_in_place(root, "postgresql").revisions}
    assert len(revisions) == len(bodies) + 1

    def judge(body: str) -> list[Fault]:
        own = revisions[bodies.index(body) + 2]
        found = judged(Directory((revisions[1], own), dialect="postgresql"))
        assert all(fault.path == own.path == f"migrations/versions/r{int(own.id):02}.py" for fault in found)
        return found

    return judge


AUTOCOMMIT = "with op.get_context().autocommit_block():\n    "
_BATCH = """with op.get_context().autocommit_block():
    op.execute("UPDATE t SET a = b WHERE ...")"""
LONG = (
    "id BETWEEN -99999 AND 1",
    "id > 1 AND id <= 10002",
    "id NOT BETWEEN 1 AND 9",
    "b BETWEEN 1 AND 9",
    "b IN (SELECT b FROM t LIMIT 9)",
    "id IN (SELECT id FROM t LIMIT 10001)",
)
SHORT = (
    "id BETWEEN 1 AND 5000 AND a IS NULL",
    "id >= 5000 AND id < 15000 AND a IS NULL",
    "id IN (SELECT id FROM t WHERE a IS NULL LIMIT 5000)",
)
# What one revision does, and the rules it breaks on PostgreSQL, without the warnings.
BROKEN = [
    ('op.drop_column("t", "b")', {"drop-column"}),
    ('op.drop_table("t")', {"drop-table"}),
    ('op.execute("DROP VIEW v")', {"drop-object"}),
    ('op.alter_column("t", "a", new_column_name="z")', {"rename-column"}),
    ('op.rename_table("t", "u")', {"rename-table"}),
    ('op.alter_column("t", "b", type_=sa.BigInteger)', {"change-type"}),
    ('op.alter_column("t", "a", type_=sa.String(10), existing_type=sa.String(5))', {"change-type"}),
    ('op.alter_column("t", "x", type_=sa.Text)', {"change-type"}),
    ('op.alter_column("t", "a", type_=sa.Text, postgresql_using="a::text")', {"change-type"}),
    ('op.add_column("t", sa.Column("c", sa.Integer, nullable=False))', {"not-null-without-default"}),
    ('op.add_column("t", sa.Column("c", sa.Integer, nullable=False, default=3))', {"not-null-without-default"}),
    ('op.alter_column("t", "a", nullable=False)', {"set-not-null"}),
    ('op.add_column("t", sa.Column("c", sa.Uuid, server_default=sa.text("gen_random_uuid()")))', {"volatile-default"}),
    ('op.add_column("t", sa.Column("c", sa.Float, server_default=sa.func.random()))', {"volatile-default"}),
    ('op.add_column("t", sa.Column("c", sa.Integer, sa.Computed("b * 2")))', {"generated-column"}),
    ('op.add_column("t", sa.Column("c", sa.Integer, sa.Identity()))', {"serial-column"}),
    ('op.execute("ALTER TABLE t ADD COLUMN c bigserial")', {"serial-column"}),
    ('op.add_column("t", sa.Column("c", sa.JSON))', {"json-column"}),
    ('op.create_check_constraint("k", "t", "b > 0")', {"check-without-not-valid"}),
    ('op.create_foreign_key("k", "t", "u", ["b"], ["id"])', {"foreign-key-without-not-valid"}),
    ('op.add_column("t", sa.Column("c", sa.Integer, sa.ForeignKey("u.id")))', {"foreign-key-without-not-valid"}),
    (
        'op.create_check_constraint("k", "t", "b > 0", postgresql_not_valid=True)\n'
        'op.execute("ALTER TABLE t VALIDATE CONSTRAINT k")',
        {"validate-at-once"},
    ),
    ('op.create_index("j", "t", ["b"])', {"index-without-concurrently"}),
    ('op.add_column("t", sa.Column("c", sa.Integer, index=True))', {"index-without-concurrently"}),
    ('op.drop_index("i", "t")', {"drop-index-without-concurrently"}),
    ('op.drop_index("i")', {"drop-index-without-concurrently"}),
    ('op.create_index("j", "t", ["b"], postgresql_concurrently=True)', {"concurrently-in-transaction"}),
    ('op.create_unique_constraint("k", "t", ["a"])', {"unique-constraint"}),
    ('op.create_primary_key("k", "t", ["a"])', {"unique-constraint"}),
    ('op.add_column("t", sa.Column("c", sa.Integer, unique=True))', {"unique-constraint"}),
    (
        "from sqlalchemy.dialects import postgresql\n"
        'op.create_exclude_constraint("k", "t", (sa.column("a"), "="), using="gist")',
        {"exclusion-constraint"},
    ),
    ('op.execute("LOCK TABLE t IN SHARE MODE")', {"exclusive-lock"}),
    ('with op.batch_alter_table("t", recreate="always") as batch:\n    pass', {"rewrite-table"}),
    ('op.execute("UPDATE t SET a = \'x\' WHERE a IS NULL")', {"long-write"}),
    ('op.execute("DELETE FROM t WHERE b < 0")', {"long-write"}),
    ('op.execute("UPDATE t SET a = \'x\' WHERE id BETWEEN 1 AND 100 OR b = 1")', {"long-write"}),
    ('op.execute(sa.table("t", sa.column("b")).update().values(b=1))', {"long-write", "write-without-where"}),
    ('op.execute("DELETE FROM t WHERE 1 = 1")', {"long-write", "write-without-where"}),
    ('op.execute("WITH x AS (DELETE FROM t RETURNING a) SELECT a FROM x")', {"long-write", "write-without-where"}),
    (
        'op.add_column("t", sa.Column("c", sa.Integer))\nop.execute("INSERT INTO t (id) SELECT id FROM u")',
        {"write-with-ddl"},
    ),
    ('op.execute("TRUNCATE t")', {"truncate"}),
    ('op.execute("ALTER TABLE t DROP CONSTRAINT k CASCADE")', {"cascade"}),
    ("op.execute(\"ALTER TYPE mood RENAME VALUE 'a' TO 'b'\")", {"rename-enum-value"}),
    ('op.execute("DO $$ BEGIN DELETE FROM t; END $$")', {"unread"}),
    ('op.execute("this is no SQL")', {"unread"}),
    ('op.execute("ALTER TABLE t ADD COLUMN")', {"unread"}),
    ('op.execute("SELECT my_function()")', {"unread"}),
    ('op.execute("COMMIT")', {"unread"}),
    ("op.execute(\"/* DROP */ SELECT 1; DROP TABLE t; -- ';\\n UPDATE t SET a = ';'\")", {"drop-table", "long-write",
      "write-with-ddl", "write-without-where"}),
    ('with op.batch_alter_table("t") as batch:\n    batch.drop_column("b")\n    batch.create_index("j", ["a"])',
     {"drop-column", "index-without-concurrently"}),
    ('op.execute(sa.text("DELETE FROM t WHERE id = :id"))', {"long-write"}),
    ('op.get_context().execute("DROP TABLE t")', {"drop-table"}),
    ('op.get_bind().execute(sa.text("SELECT 1"))', {"unread"}),
    ("if op.get_context().as_sql:\n    pass", {"unread"}),
    ("try:\n    op.get_bind().scalar(sa.text('SELECT 1'))\nexcept Exception:\n    pass", {"unread"}),
    ("sa.inspect(op.get_bind())", {"unread"}),
    ('op.get_context().impl.drop_table(sa.Table("t", sa.MetaData()))', {"drop-table"}),
    ("op.get_context().connection.execute('DROP TABLE t')", {"unread"}),
    ('from sqlalchemy.orm import Session\nSession(op.get_bind()).execute(sa.text("DROP TABLE t"))', {"unread"}),
    ("from alembic import context\ncontext.is_offline_mode()", {"unread"}),
    ('op.add_column("t", sa.Column("c", sa.Integer, sa.CheckConstraint("c > 0")))', {"check-without-not-valid"}),
    *((_BATCH.replace("...", where), {"long-write"}) for where in LONG),
    ('op.create_table("t", sa.Column("b", sa.Integer))\nop.drop_column("t", "b")', {"drop-column"}),
    ('op.add_column("t", sa.Column("b", sa.Integer))\nop.drop_column("t", "b")', {"drop-column"}),
    ('import os\nif os.environ.get("PRODUCTION"): op.drop_table("t")', {"unread"}),
    ('import os\nos.environ.get("PRODUCTION") and op.drop_table("t")', {"unread"}),
    ('import time\nfor _ in range(int(time.time() > 1e11)):\n    op.drop_table("t")', {"unread"}),
    ('if isinstance(op.get_bind(), sa.Connection):\n    op.drop_table("t")', {"unread"}),
    ('if op.get_context().opts.get("as_sql") is False:\n    op.drop_table("t")', {"unread"}),
    ('try:\n    int("x")\n    op.drop_table("t")\nexcept ValueError:\n    pass', {"unread"}),
    ('if op.get_bind().dialect.name == "mysql":\n    op.drop_table("t")', {"unread"}),
    ("import subprocess\nsubprocess.run(['true'])", {"unread"}),
    ("import os\nos.system('true')", {"unread"}),
    ("import sqlite3\nsqlite3.connect(':memory:')", {"unread"}),
    ("sa.create_engine('sqlite://').connect()", {"unread"}),
    ('import threading\nthread = threading.Thread(target=lambda: op.drop_table("t"))\nthread.start()\nthread.join()',
     {"drop-table"}),
    ("sa.Enum('a', name='mood').drop(op.get_bind(), checkfirst=True)", {"drop-object"}),
    ("sa.Table('t', sa.MetaData(), sa.Column('c', sa.Text)).create(op.get_bind(), checkfirst=True)", {"unread"}),
    ("raise SystemExit(0)", {"unread"}),
    ("import no_such_module", {"unread"}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), BROKEN)
def test_what_a_revision_must_not_do_is_told_with_a_recipe(body: str, expected: set[str], alone: Judge) -> None:
    found = alone(body)

    assert blocking(found) == expected
    for fault in found:
        assert RULES[fault.rule].recipe in fault.message
        assert 9 <= fault.line <= 12


def test_at_least_fifteen_rules_are_shown_to_block() -> None:
    shown = set().union(*(expected for _, expected in BROKEN))

    assert {name for name, rule in RULES.items() if rule.blocks} - shown == {"changed-revision", "missing-revision"}
    assert len(shown) >= 15


SAFE = [
    'op.add_column("t", sa.Column("c", sa.Integer))',
    'op.add_column("t", sa.Column("c", sa.Integer, nullable=False, server_default="0"))',
    'op.add_column("t", sa.Column("c", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()))',
    "from sqlalchemy.dialects.postgresql import JSONB\n"
    'op.add_column("t", sa.Column("c", JSONB, nullable=False, server_default=sa.text("\'{}\'::jsonb")))',
    'op.alter_column("t", "a", type_=sa.String(40))',
    'op.alter_column("t", "a", type_=sa.Text)',
    'op.alter_column("t", "n", type_=sa.Numeric(12, 2))',
    'op.alter_column("t", "x", type_=sa.Text, existing_type=sa.String(10))',
    'op.alter_column("t", "b", nullable=True)',
    'op.alter_column("t", "b", server_default="1", comment="x")',
    'op.create_check_constraint("k", "t", "b > 0", postgresql_not_valid=True)',
    'op.create_foreign_key("k", "t", "u", ["b"], ["id"], postgresql_not_valid=True)',
    'op.execute("ALTER TABLE t VALIDATE CONSTRAINT k")',
    f'{AUTOCOMMIT}op.create_index("j", "t", ["b"], postgresql_concurrently=True)',
    f'{AUTOCOMMIT}op.drop_index("i", "t", postgresql_concurrently=True)',
    'op.execute("ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX j")',
    "op.execute(\"ALTER TYPE mood ADD VALUE 'c'\")",
    'op.bulk_insert(sa.table("t", sa.column("b")), [{"b": 1}])',
    'op.create_table_comment("t", "x")',
    'op.create_table("u", sa.Column("c", sa.Integer))\nop.create_index("j", "u", ["c"])\n'
    'op.alter_column("u", "c", nullable=False)\nop.drop_column("u", "c")\nop.drop_table("u")',
    'u = op.create_table("u", sa.Column("c", sa.Integer))\nop.bulk_insert(u, [{"c": 1}])\nop.execute(u.update().values(c=2))',
    'op.add_column("t", sa.Column("c", sa.Integer))\nop.alter_column("t", "c", new_column_name="d")\nop.drop_column("t", "d")',
    *(_BATCH.replace("...", where) for where in SHORT),
    "op.execute('CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN NEW.c := NEW.b; RETURN NEW; END; $$ LANGUAGE plpgsql')\n"
    'op.execute("CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()")',
    "mood = sa.Enum('a', name='mood')\nmood.create(op.get_bind(), checkfirst=True)\n"
    'op.add_column("t", sa.Column("c", mood))',
    'if op.get_bind().dialect.name == "sqlite":\n    op.drop_table("t")',
    "def add(name, type_=None):\n    if type_ is None and not name:\n        raise ValueError(f'{name.upper()}')\n"
    '    op.add_column("t", sa.Column(name, type_ or sa.Text))\nadd("c")\nlambda: op.drop_table("t")',
    "",
]


@pytest.mark.parametrize("body", SAFE)
def test_the_recipes_are_themselves_safe(body: str, alone: Judge) -> None:
    assert blocking(alone(body)) == set()


WARNED = [
    ('op.add_column("t", sa.Column("c", sa.CHAR(3)))', {"char-column", "no-lock-timeout"}),
    ('op.add_column("t", sa.Column("c", sa.DateTime))', {"naive-timestamp", "no-lock-timeout"}),
    ('op.create_table("u", sa.Column("id", sa.Integer, primary_key=True))', {"small-key"}),
    ('op.create_table("u", *[sa.Column(c, sa.Text) for c in "abcd"])\nop.create_index("j", "u", list("abcd"))', {"wide-index"}),
    (f'op.create_table("{"é" * 32}")', {"long-name"}),
    ('op.alter_column("t", "b", nullable=True)\nop.alter_column("u", "b", nullable=True)',
     {"several-tables", "no-lock-timeout"}),
    ('op.execute("SET LOCAL lock_timeout = \'2s\'")\nop.alter_column("t", "b", nullable=True)', set()),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), WARNED)
def test_what_is_only_unwise_is_a_warning(body: str, expected: set[str], alone: Judge) -> None:
    found = alone(body)

    assert {fault.rule for fault in found} == expected
    assert not blocking(found)


def test_the_rules_about_locks_are_for_postgresql(tmp_path: Path) -> None:
    found = faults(tmp_path, RELEASED, 'op.create_index("j", "t", ["b"])\nop.drop_column("t", "b")', dialect="sqlite")

    assert [fault.rule for fault in found] == ["drop-column"]


def test_a_column_is_not_null_by_a_check_that_an_earlier_transaction_has_validated(tmp_path: Path) -> None:
    add = 'op.create_check_constraint("k", "t", "a IS NOT NULL", postgresql_not_valid=True)'
    validate = 'op.execute("ALTER TABLE t VALIDATE CONSTRAINT k")'
    finish = 'op.alter_column("t", "a", nullable=False)\nop.drop_constraint("k", "t")'

    assert blocking(faults(tmp_path / "1", RELEASED, add, validate, finish)) == set()
    assert blocking(faults(tmp_path / "2", RELEASED, add, finish)) == {"set-not-null"}
    assert blocking(faults(tmp_path / "3", RELEASED, add, f"{validate}\n{finish}")) == {"set-not-null"}
    assert blocking(faults(tmp_path / "4", RELEASED, add.replace('"a IS', '"b IS'), validate, finish)) == {
        "set-not-null"
    }


def test_what_a_release_has_is_in_use_and_what_only_new_revisions_have_is_not(tmp_path: Path) -> None:
    make, drop = 'op.create_table("u", sa.Column("c", sa.Integer))', 'op.drop_column("u", "c")'

    assert blocking(faults(tmp_path / "1", RELEASED, make, drop)) == set()
    assert blocking(faults(tmp_path / "2", RELEASED, make, drop, released=2)) == {"drop-column"}
    assert blocking(faults(tmp_path / "3", RELEASED, f"{make[:-1]}, if_not_exists=True)", drop)) == {"drop-column"}
    moved = f'{make}\nop.rename_table("u", "w")'
    assert blocking(faults(tmp_path / "4", RELEASED, moved, 'op.drop_column("w", "c")')) == set()


def test_the_nullable_column_needs_the_history_s_leave(tmp_path: Path) -> None:
    bodies = (RELEASED, 'op.alter_column("t", "b", nullable=True)', 'op.drop_column("t", "b")')

    [fault] = [one for one in faults(tmp_path / "1", *bodies, released=2) if one.rule == "drop-column"]

    assert NOBODY_MAY_DROP in fault.message
    assert blocking(faults(tmp_path / "2", RELEASED, 'op.drop_column("t", "a")')) == set()


def test_an_operation_of_one_s_own_is_what_it_does(tmp_path: Path) -> None:
    own = """
    from alembic.operations import MigrateOperation, Operations

    class Own(MigrateOperation):
        pass

    @Operations.implementation_for(Own)
    def run(operations, operation):
        {}

    op.invoke(Own())
    """
    assert blocking(faults(tmp_path / "1", RELEASED, own.format("operations.execute('DROP TABLE t')"))) == {
        "drop-table"
    }
    assert blocking(faults(tmp_path / "2", RELEASED, own.format("pass"))) == {"unread"}


def test_what_a_helper_would_do_elsewhere_is_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of other files of the project only operations count."""
    monkeypatch.syspath_prepend(tmp_path)
    tmp_path.joinpath("a_helper.py").write_text(
        "def go(op, really=False):\n    if really:\n        print('so')\n        op.drop_table('t')\n", encoding="utf-8"
    )

    [fault] = faults(tmp_path, RELEASED, "import a_helper\na_helper.go(op)")

    assert "a_helper.py line 4: a call there is not made here, and may be elsewhere" in fault.message


def test_what_a_revision_does_to_alembic_hides_no_other_one(tmp_path: Path) -> None:
    found = faults(tmp_path, RELEASED, "op.drop_table = print", 'op.drop_table("t")')

    assert [(fault.revision, fault.rule) for fault in found if RULES[fault.rule].blocks] == [("3", "drop-table")]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("VARCHAR(10)", "VARCHAR(20)", True),
        ("VARCHAR(20)", "VARCHAR(10)", False),
        ("VARCHAR", "VARCHAR(10)", False),
        ("VARCHAR(10)", "TEXT", True),
        ("TEXT", "VARCHAR(10)", False),
        ("NUMERIC(8, 2)", "NUMERIC(10, 2)", True),
        ("NUMERIC(8, 2)", "NUMERIC(10, 3)", False),
        ("NUMERIC(8)", "NUMERIC", True),
        ("INTEGER", "BIGINT", False),
        ("INTEGER", "INTEGER", True),
        ("", "", False),
    ],
)
def test_which_changes_of_type_write_nothing_again(old: str, new: str, expected: bool) -> None:
    assert widens(old, new) is expected


@given(st.integers(1, 100), st.integers(1, 100))
def test_a_varchar_may_grow_and_never_shrink(old: int, new: int) -> None:
    assert widens(f"VARCHAR({old})", f"VARCHAR({new})") == (old <= new)


def test_steps_of_a_loop_stand_at_their_line(tmp_path: Path) -> None:
    body = 'for name in "ab":\n    op.add_column(\n        "t", sa.Column(name, sa.Integer, nullable=False))'
    found = faults(tmp_path, RELEASED, body)

    source = (tmp_path / "migrations/versions/r02.py").read_text(encoding="utf-8").splitlines()
    assert [source[one.line - 1].strip() for one in found if one.rule == "not-null-without-default"] == [
        "op.add_column("
    ] * 2


def test_every_rule_is_in_the_docs() -> None:
    page = Path(__file__).parents[1].joinpath("docs/migrations.md").read_text(encoding="utf-8")

    listed = re.findall(r"^\| `([a-z-]+)` \| (blocks|warns) \| (always|PostgreSQL) \|", page, re.MULTILINE)
    assert listed == [
        (name, "blocks" if rule.blocks else "warns", "PostgreSQL" if rule.locks else "always")
        for name, rule in RULES.items()
    ]
