"""The gate migrations runs every revision: what it finds, what it does not take for an answer, and what it leaves alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sql
from forked import forked  # noqa: F401
from hypothesis import given
from hypothesis import strategies as st
from postgres import VARIABLE, on_server, shared  # noqa: F401
from script_folders import ENV, project_of

from pytest_artisan import tools
from pytest_artisan.gates.gate import CheckEvidence, Project, state_of
from pytest_artisan.gates.migrating import running, runs
from pytest_artisan.gates.migrating.databases import PREFIX, fresh_postgresql
from pytest_artisan.gates.migrating.inside.shape import differences
from pytest_artisan.gates.migrating.inside.values import value_of
from pytest_artisan.gates.tables import DualWriteTable, Migrations
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 27, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("forked")

CREATE = (
    """
    op.create_table("dna", sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(40), nullable=False, unique=True),
        sa.Column("state", sa.String(9), sa.CheckConstraint("state IN ('on', 'off')", name="states"), nullable=False))
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("dna", sa.Integer, sa.ForeignKey("dna.id"), nullable=False, unique=True),
        sa.Column("text", sa.Text))
    """,
    "op.drop_table('notes')\nop.drop_table('dna')",
)
MODELS = """\
sa.Table("dna", METADATA, sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(40), nullable=False, unique=True), sa.Column("state", sa.String(9), nullable=False))
sa.Table("notes", METADATA, sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("dna", sa.ForeignKey("dna.id"), nullable=False, unique=True), sa.Column("text", sa.Text))
"""


def rules(evidence: CheckEvidence) -> list[tuple[str, str]]:
    """Each finding's file and rule."""
    return [(Path(finding.path).stem, finding.rule) for finding in evidence.findings]


def columns(table: str, up: str, back: str = "pass") -> tuple[str, str]:
    return tuple(f"with op.batch_alter_table('{table}') as table:\n    {part}" for part in (up, back))  # type: ignore[return-value]


def test_every_kind_of_fault_is_told_with_its_revision_and_the_walk_goes_on(tmp_path: Path) -> None:
    revisions = [
        CREATE,
        columns("dna", "table.add_column(sa.Column('a', sa.Integer, nullable=False))", "table.drop_column('a')"),
        ("op.add_column('dna', sa.Column('b', sa.Integer))", ""),
        ("op.add_column('dna', sa.Column('c', sa.Integer))", "raise NotImplementedError('no way back')"),
        ("op.create_index('by_b', 'dna', ['b'])", "op.drop_index('by_bee')"),
        ("op.execute('DELETE FROM notes')", "op.execute('SELECT 1')"),
        columns("dna", "table.add_column(sa.Column('d', sa.Integer))", "table.add_column(sa.Column('e', sa.Integer))"),
        (
            "op.create_table('tails', sa.Column('id', sa.Integer))",
            "op.execute('ALTER TABLE tails RENAME TO left_over')",
        ),
        ("op.execute('CREATE TABLE t (x TEXT NOT NULL CHECK (length(x) > 99))')", "op.drop_table('t')"),
        ("op.add_column('dna', sa.Column('f', sa.Integer))", "op.drop_column('dna', 'f')"),
        ("import sys\nsys.exit(3)", "pass"),
        ("op.add_column('dna', sa.Column('g', sa.Integer))", "op.drop_column('dna', 'g')"),
    ]
    waiver = '[[waiver]]\nrevision = "4"\nrule = "no-downgrade"\nreason = "ours"\nowner = "Kim"\nexpires = 2026-12-24\n'
    root = project_of(tmp_path, revisions, MODELS)
    (root / "waivers.toml").write_text(waiver, encoding="utf-8")
    evidence = running.round_trip(Project(root), Migrations(waivers="waivers.toml"), NOW)
    assert rules(evidence) == [
        ("r02", "upgrade-fails-on-rows"),
        ("r03", "no-downgrade"),
        ("r04", "no-downgrade"),
        ("r05", "downgrade-fails"),
        ("r06", "rows-lost"),
        ("r07", "downgrade-differs"),
        ("r07", "second-upgrade-fails"),
        ("r08", "downgrade-differs"),
        ("r08", "second-upgrade-differs"),
        ("r10", "no-rows"),
        ("r11", "upgrade-fails"),
    ]
    texts = [finding.message for finding in evidence.findings]
    assert texts[2].startswith("4 has no downgrade: NotImplementedError: no way back (on sqlite); waived by Kim")
    assert [finding.blocks for finding in evidence.findings].count(False) == 1
    assert evidence.findings[2].line == 13
    assert "column dna.e is left" in texts[5]
    [count] = evidence.measurements
    assert (count.value, count.n, state_of(evidence)) == (10, 12, State.NO_GO)


def test_a_sound_project_is_go_and_pytest_alembic_agrees(
    tmp_path: Path, by_pytest_alembic: Callable[[], set[str]]
) -> None:
    revisions = [CREATE, columns("dna", "table.add_column(sa.Column('x', sa.Integer))", "table.drop_column('x')")]
    root = project_of(tmp_path, revisions, MODELS.replace('"state"', '"x", sa.Integer), sa.Column("state"'))
    for check in (running.round_trip, running.models):
        evidence = check(Project(root), Migrations(), NOW)
        assert (evidence.findings, state_of(evidence)) == ((), State.GO)
    assert by_pytest_alembic() == set()


def test_what_models_and_migrations_disagree_about_is_told_in_words_and_pytest_alembic_agrees(
    tmp_path: Path, by_pytest_alembic: Callable[[], set[str]]
) -> None:
    models = """sa.Table("dna", METADATA, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text),
        sa.Column("new", sa.Integer), sa.Column("state", sa.String(9), nullable=False, server_default="on"))"""
    create = CREATE[0].replace('name="states")', 'name="states"), server_default="off"')
    root = project_of(tmp_path, [(create, CREATE[1])], models)
    evidence = running.models(Project(root), Migrations(), NOW)
    assert {finding.message for finding in evidence.findings} == {
        "only the migrations have the table notes (on sqlite)",
        "only the models have the column dna.new (on sqlite)",
        "dna.name: type is VARCHAR(40) by the migrations, TEXT by the models (on sqlite)",
        "dna.name: nullable is False by the migrations, True by the models (on sqlite)",
        "dna.state: default is 'off' by the migrations, on by the models (on sqlite)",
    }
    assert by_pytest_alembic() == {"test_model_definitions_match_ddl"}


@pytest.fixture
def by_pytest_alembic(
    tmp_path: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], set[str]]:
    """The tests of pytest-alembic that fail for the project."""
    # Its plugin collects nothing under this pytest; its tests are functions all the same.
    pytestconfig.addinivalue_line("markers", "alembic: of pytest-alembic")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return failing_tests


def failing_tests() -> set[str]:
    import pytest_alembic
    from pytest_alembic.tests import default

    failed = set()
    for test in (default.test_up_down_consistency, default.test_model_definitions_match_ddl):
        engine = sql.create_engine("sqlite://", poolclass=sql.StaticPool)
        sys.modules.pop("models", None)
        with pytest_alembic.runner(pytest_alembic.Config(), engine) as runner:
            try:
                test(runner)
            except Exception:  # noqa: BLE001  # its failure has no public name
                failed.add(test.__name__)
        engine.dispose()
    sys.modules.pop("models", None)
    return failed


@pytest.mark.parametrize(
    ("env", "revision", "told"),
    [
        ("import sqlalchemy as sa\nsa.create_engine('sqlite:///other.db').connect()", CREATE, "another database"),
        (ENV.replace("=METADATA", "=None"), CREATE, "no target_metadata"),
        (ENV, ("import os\nos._exit(0)", ""), "ended the process"),
        (ENV, ("import time\ntime.sleep(60)", ""), "did not end within 0.5 s"),
        (ENV, ("import sqlalchemy\nsqlalchemy.create_engine('sqlite:///other.db').connect()", ""), "another database"),
    ],
    ids=["elsewhere", "models", "exit", "hang", "revision"],
)
def test_what_is_no_answer_is_no_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: str, revision: tuple[str, str], told: str
) -> None:
    if "within" in told:
        monkeypatch.setattr(runs, "tools", tools)
    project = project_of(tmp_path, [revision], env=env)
    check = running.models if "=None" in env else running.round_trip
    with pytest.raises(NoEvidence, match=told):
        check(Project(project), Migrations(timeout_s=0.5 if "within" in told else 60), NOW)
    assert not (project / "other.db").exists()


def test_a_dual_write_has_to_fill_both_columns_from_its_input(tmp_path: Path) -> None:
    add = ("op.add_column('dna', sa.Column('title', sa.String(60)))", "op.drop_column('dna', 'title')")
    project = project_of(tmp_path, [CREATE, add])
    (project / "shop.py").write_text(
        "import sqlalchemy as sql\n"
        "INSERT = sql.text(\"INSERT INTO dna (name, state, title) VALUES (:a, 'on', :b)\")\n"
        "def both(c, value): c.execute(INSERT, {'a': value, 'b': value.upper()})\n"
        "def other(c, value): c.execute(INSERT, {'a': value + '!', 'b': value.upper()})\n"
        "def half(c, value): c.execute(INSERT, {'a': value, 'b': None})\n"
        "def constant(c, value): c.execute(INSERT, {'a': value, 'b': 'x'})\n"
        "def nothing(c, value): pass\n"
        "def broken(c, value): c.execute(sql.text('INSERT INTO nowhere VALUES (1)'))\n"
        "def same(old): return old.upper()\n",
        encoding="utf-8",
    )
    names = ("both", "other", "half", "constant", "nothing", "broken")
    declared = [
        DualWriteTable(
            table="dna", old="name", new="title", write=f"shop:{name}", same="shop:same" if name != "constant" else None
        )
        for name in names
    ]
    declared.append(DualWriteTable(table="dna", old="state", new="title", write="shop:constant"))
    declared.append(DualWriteTable(table="dna", old="name", new="nope", write="shop:both"))
    evidence = running.dual_write(Project(project), Migrations(dual_write=tuple(declared)), NOW)
    told = [finding.message for finding in evidence.findings]
    assert [text.split()[1].removeprefix("shop:") for text in told] == [*names[1:], "constant", "both"]
    for text, cause in zip(
        told,
        (
            "do not say the same",
            "new column stays empty",
            "title is the same for different",
            "writes no row",
            "it fails",
            "state is the same for different",
            "not both",
        ),
        strict=True,
    ):
        assert cause in text


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "is not set"),
        ("postgresql://u:secret@127.0.0.1:1/x", "Connection refused|connection failed"),
        ("postgresql://u:secret@host:secret/x", "is no URL"),
        ("mysql://u:secret@127.0.0.1/x", "not of postgresql"),
        ("secret", "is no URL"),
    ],
    ids=["unset", "unreachable", "port", "kind", "word"],
)
def test_a_server_that_can_not_be_used_is_no_evidence_and_no_password_is_told(
    monkeypatch: pytest.MonkeyPatch, value: str | None, told: str
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(NoEvidence, match=told) as caught, fresh_postgresql(VARIABLE):
        pass
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_environments_that_are_all_on_a_server_need_one_that_is_named(tmp_path: Path) -> None:
    environments = {name: {"database": {"driver": "postgresql"}} for name in ("dev", "stg", "prod")}
    project = Project(project_of(tmp_path, [CREATE]), {"tool": {"artisan": {"environments": environments}}})
    with pytest.raises(NoEvidence, match="postgresql_env has to name a server"):
        running.round_trip(project, Migrations(), NOW)


def databases() -> list[str]:
    engine = sql.create_engine(shared().replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        found = list(connection.scalars(sql.text("SELECT datname FROM pg_database")))
    engine.dispose()
    return [name for name in found if name.startswith(PREFIX)]


@pytest.mark.usefixtures("on_server")
@pytest.mark.parametrize("error", [KeyboardInterrupt, NoEvidence, None], ids=str)
def test_the_databases_of_the_gate_are_dropped_whatever_happens(error: type[BaseException] | None) -> None:
    def use() -> None:
        with fresh_postgresql(VARIABLE) as url:
            assert PREFIX in url
            assert len(databases()) == 1
            if error is not None:
                raise error

    if error is None:
        use()
    else:
        with pytest.raises(error):
            use()
    assert databases() == []


@pytest.mark.usefixtures("on_server")
def test_the_service_goes_up_and_down_and_agrees_with_its_models_on_both_databases() -> None:
    table = Migrations(postgresql_env=VARIABLE)
    for check in (running.round_trip, running.models):
        evidence = check(Project(ROOT), table, NOW)
        assert (evidence.findings, state_of(evidence), len(evidence.measurements)) == ((), State.GO, 2)
    assert databases() == []


@pytest.mark.usefixtures("on_server")
def test_an_enum_that_a_downgrade_leaves_is_found_on_a_server(tmp_path: Path) -> None:
    up = "op.create_table('t', sa.Column('id', sa.Integer), sa.Column('kind', sa.Enum('a', 'b', name='kind')))"
    project = project_of(tmp_path, [(up, "op.drop_table('t')")])
    evidence = running.round_trip(Project(project), Migrations(postgresql_env=VARIABLE), NOW)
    assert rules(evidence) == [("r01", "downgrade-differs"), ("r01", "second-upgrade-fails")]
    assert all("postgresql" in finding.message for finding in evidence.findings)


def test_a_dual_write_that_names_no_function_is_a_usage_error() -> None:
    from pytest_artisan.settings import convert

    with pytest.raises(SettingsError, match="write 'nope' is not"):
        convert({"dual_write": [{"table": "a", "old": "b", "new": "c", "write": "nope"}]}, Migrations, "here")


shapes = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=5)


@given(shapes, shapes)
def test_two_shapes_are_equal_where_nothing_differs(before: dict[str, str], after: dict[str, str]) -> None:
    assert differences(before, before) == []
    assert bool(differences(before, after)) == (before != after)
    assert len(differences(before, after)) == len(differences(after, before))


@pytest.mark.parametrize(
    "kind",
    [sql.Integer(), sql.String(4), sql.Text(), sql.Numeric(8, 2), sql.Float(), sql.Date(), sql.DateTime(), sql.LargeBinary(),
     sql.JSON(), sql.Uuid(), sql.Interval(), sql.ARRAY(sql.Integer)],
    ids=lambda kind: type(kind).__name__,
)  # fmt: skip
def test_values_differ_and_fit_their_column(kind: sql.types.TypeEngine[object]) -> None:
    made = [value_of(kind, "column", number) for number in range(100)]
    assert len({repr(value) for value in made}) == len(made)
    if not isinstance(kind, sql.ARRAY):
        table = sql.Table("t", sql.MetaData(), sql.Column("v", kind))
        engine = sql.create_engine("sqlite://")
        with engine.begin() as connection:
            table.create(connection)
            connection.execute(table.insert(), [{"v": value} for value in made])
            assert len(connection.execute(sql.select(table)).all()) == len(made)
        engine.dispose()
