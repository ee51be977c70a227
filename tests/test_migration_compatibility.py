"""Blue/green: what the last release's models can no longer do on the upgraded database, and what they must come from."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from forked import forked  # noqa: F401
from postgres import VARIABLE, on_server  # noqa: F401
from script_folders import project_of

from pytest_artisan.gates.gate import Project, state_of
from pytest_artisan.gates.migrating.compatibility import between, compatibility
from pytest_artisan.gates.migrating.inside.messages import Refused
from pytest_artisan.gates.migrating.inside.old_models import check_moved, move_from
from pytest_artisan.gates.tables import Migrations
from pytest_artisan.release.tags import Release, write
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 27, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("forked")

CREATE = (
    """
    op.create_table("dna", sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(40), nullable=False, unique=True), sa.Column("kind", sa.Enum("a", "b", name="kind")))
    op.create_table("notes", sa.Column("id", sa.String(9), primary_key=True),
        sa.Column("dna", sa.Integer, sa.ForeignKey("dna.id"), nullable=False, unique=True))
    """,
    "pass",
)
MODELS = """\
sa.Table("dna", METADATA, sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(40), nullable=False, unique=True), sa.Column("kind", sa.Enum("a", "b", name="kind")))
sa.Table("notes", METADATA, sa.Column("id", sa.String(9), primary_key=True),
    sa.Column("dna", sa.ForeignKey("dna.id"), nullable=False, unique=True))
"""
# The rows of before are made to fit, as a good revision would.
FIT = "op.execute(\"UPDATE t SET kind = 'x'\")"


def git(root: Path, *arguments: str) -> str:
    command = [
        "git",
        "-c",
        "user.name=Kim",
        "-c",
        "user.email=kim@example.org",
        "-c",
        "commit.gpgsign=false",
        *arguments,
    ]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def released(root: Path) -> Path:
    """A project whose release v1.0.0 has the first revision."""
    project_of(root, [CREATE], MODELS)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "one")
    release = Release(
        "v1.0.0", git(root, "rev-parse", "HEAD"), NOW, by="Kim <kim@example.org>", notes="one", no_model="none"
    )
    git(root, "update-ref", "refs/tags/v1.0.0", write(root, release))
    return root


@pytest.mark.usefixtures("on_server")
def test_what_the_last_release_can_no_longer_do_is_found_on_both_databases(tmp_path: Path) -> None:
    up = """
    with op.batch_alter_table("dna") as table:
        table.alter_column("name", new_column_name="title", existing_type=sa.String(40), existing_nullable=False)
    with op.batch_alter_table("notes") as table:
        table.add_column(sa.Column("text", sa.String(9), nullable=False, server_default="x"))
    with op.batch_alter_table("notes") as table:
        table.alter_column("text", server_default=None)
    """
    root = project_of(released(tmp_path), [CREATE, (up, "pass")], MODELS.replace('"name"', '"title"'))
    evidence = compatibility(Project(root), Migrations(postgresql_env=VARIABLE), NOW)
    assert state_of(evidence) is State.NO_GO
    assert {(finding.rule, finding.path) for finding in evidence.findings} == {
        ("old-models", "migrations/versions/r02.py")
    }
    told = "\n".join(finding.message for finding in evidence.findings)
    for database in ("sqlite", "postgresql"):
        lines = [line for line in told.splitlines() if line.endswith(f"(on {database})")]
        for text in ("v1.0.0: insert of dna fails", "v1.0.0: select of dna fails", "v1.0.0: insert of notes fails"):
            assert any(text in line for line in lines), told
    assert not any("select of notes" in line for line in told.splitlines())


def test_what_is_only_added_harms_no_old_release(tmp_path: Path) -> None:
    up = "op.add_column('dna', sa.Column('more', sa.Integer))\nop.create_table('other', sa.Column('id', sa.Integer))"
    root = project_of(released(tmp_path), [CREATE, (up, "pass")], MODELS)
    evidence = compatibility(Project(root), Migrations(), NOW)
    assert (evidence.findings, state_of(evidence)) == ((), State.GO)
    [count] = evidence.measurements
    # Two inserts, a select, an update and a delete of each table.
    assert (count.name, count.value) == ("operations of v1.0.0's models on sqlite", 10)


@pytest.mark.parametrize(
    ("up", "told"),
    [
        ("table.create_check_constraint('known', \"kind IN ('x', 'y')\")", "insert of t fails: IntegrityError: CHECK"),
        (
            "op.execute('CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET price = round(price, 2); END')",
            "price was written as Decimal('1000.0625'), and is read as Decimal('1000.06",
        ),
        (
            "op.execute('CREATE TRIGGER g BEFORE UPDATE ON t BEGIN SELECT raise(ignore); END')",
            "kind was written as 'kind-2",
        ),
        ("op.execute('CREATE TRIGGER g BEFORE DELETE ON t BEGIN SELECT raise(ignore); END')", "the row is still there"),
        ("pass", ""),
    ],
    ids=["check", "type", "update", "delete", "nothing"],
)
def test_what_is_written_has_to_be_there_and_be_what_the_old_release_writes(tmp_path: Path, up: str, told: str) -> None:
    """Not what the new checks would take; while what was checked before is kept to."""
    columns = "sa.Column('id', sa.Integer, primary_key=True), sa.Column('kind', sa.String(9), nullable=False), "
    columns += "sa.Column('price', sa.Numeric(8, 4)), sa.Column('stars', sa.Integer)"
    create = (f"op.create_table('t', {columns}, sa.CheckConstraint('stars BETWEEN 1 AND 5'))", "pass")
    old = project_of(tmp_path / "old", [create], f"sa.Table('t', METADATA, {columns})")
    change = f"{FIT}\nwith op.batch_alter_table('t') as table:\n    {up}"
    new = project_of(tmp_path / "new", [create, (change, "pass")], f"sa.Table('t', METADATA, {columns})")
    evidence = between(Project(new), Migrations(), old, "v1", NOW)
    assert (state_of(evidence) is State.GO) == (told == "")
    assert told in "\n".join(finding.message for finding in evidence.findings)


def test_an_old_release_with_its_migrations_elsewhere_is_not_passed_over(tmp_path: Path) -> None:
    root = project_of(released(tmp_path), [CREATE, ("op.rename_table('dna', 'rna')", "pass")], MODELS)
    (root / "alembic.ini").rename(root / "moved.ini")
    evidence = compatibility(Project(root), Migrations(config="moved.ini"), NOW)
    assert "models of v1.0.0: insert of dna fails" in evidence.findings[0].message


def test_without_a_release_this_trees_own_models_are_tried_and_that_is_said(tmp_path: Path) -> None:
    root = project_of(tmp_path, [CREATE], MODELS)
    with pytest.raises(NoEvidence, match="not a git repository"):
        compatibility(Project(root), Migrations(), NOW)
    git(root, "init", "-q", "-b", "main")
    evidence = compatibility(Project(root), Migrations(), NOW)
    [finding] = evidence.findings
    assert (finding.rule, finding.blocks, state_of(evidence)) == ("no-release", False, State.GO)


def test_models_that_come_from_this_tree_are_no_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, old = tmp_path / "here", tmp_path / "old"
    for folder in (here / "src", here / ".venv", old):
        folder.mkdir(parents=True)
    monkeypatch.chdir(old)
    # As an installation for development has it.
    monkeypatch.setattr(sys, "path", ["", str(here / "src"), str(here / ".venv"), "/usr/lib"])
    monkeypatch.setattr(sys, "prefix", str(here / ".venv"))
    move_from(str(here))
    assert sys.path == ["", str(old / "src"), str(here / ".venv"), "/usr/lib"]
    check_moved(str(here))
    module = type(sys)("stale")
    module.__file__ = str(here / "src" / "stale.py")
    monkeypatch.setitem(sys.modules, "stale", module)
    with pytest.raises(Refused, match="import stale, which comes from this tree"):
        check_moved(str(here))


def test_a_module_that_is_found_here_by_other_ways_is_refused(tmp_path: Path) -> None:
    """A finder of an editable installation, as env.py might have it."""
    old, here = project_of(tmp_path / "old", [CREATE], MODELS), project_of(tmp_path / "here", [CREATE], MODELS)
    env = old / "migrations" / "env.py"
    stale = f"import sys\nsys.path.insert(0, {str(here)!r})\n"
    env.write_text(stale + env.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(NoEvidence, match="models import models, which comes from this tree"):
        between(Project(here), Migrations(), old, "v1", NOW)
