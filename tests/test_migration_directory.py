"""The script directory as a whole: one line of revisions, read by a process that nothing in them can take along."""

from __future__ import annotations

import os
import py_compile
import re
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from script_folders import project_of, read_in_place

from pytest_artisan.gates.gate import CheckEvidence, Project, state_of
from pytest_artisan.gates.migrating import revisions
from pytest_artisan.gates.migrating.reading import CanNotReadError
from pytest_artisan.gates.migrating.revisions import read
from pytest_artisan.gates.migrations import GATE
from pytest_artisan.gates.tables import Migrations
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State


def heads(root: Path, monkeypatch: pytest.MonkeyPatch) -> CheckEvidence:
    monkeypatch.setattr(revisions, "read", lambda project, table: read_in_place(project.root))
    return GATE.checks[0].run(Project(root), Migrations())


def rewrite(root: Path, number: int, old: str, new: str) -> Path:
    path = root / f"migrations/versions/r{number:02}.py"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return root


DIRECTORIES = [
    (2, "down_revision = '1'", "down_revision = None", {"heads", "bases"}),
    (3, "down_revision = '2'", "down_revision = '1'", {"heads"}),
    (3, "revision = '3'\ndown_revision = '2'", "revision = '2'\ndown_revision = '1'", {"duplicate-revision", "heads"}),
    (2, "down_revision = '1'", "down_revision = '77'", {"missing-parent"}),
    (1, "down_revision = None", "down_revision = '3'", {"broken-history"}),
]


@pytest.mark.parametrize(("number", "old", "new", "rules"), DIRECTORIES)
def test_a_history_that_is_no_line_is_no_go(number: int, old: str, new: str, rules: set[str], tmp_path: Path) -> None:
    root = rewrite(project_of(tmp_path, [("", "")] * 3), number, old, new)

    directory = read_in_place(root)

    several = {name for name, ids in (("heads", directory.heads), ("bases", directory.bases)) if len(ids) > 1}
    assert {problem.rule for problem in directory.problems} | several == rules


def test_two_heads_and_a_broken_history_are_told_by_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = rewrite(project_of(tmp_path, [("", "")] * 2), 2, "down_revision = '1'", "down_revision = None")
    evidence = heads(root, monkeypatch)
    assert state_of(evidence) is State.NO_GO
    assert {finding.path for finding in evidence.findings} == {
        "migrations/versions/r01.py",
        "migrations/versions/r02.py",
    }

    evidence = heads(rewrite(root, 2, "revision = '2'", "revision = '1'"), monkeypatch)
    assert "present more than once" in evidence.findings[0].message
    assert state_of(evidence) is State.NO_GO


def test_no_revision_at_all_is_no_go(tmp_path: Path) -> None:
    directory = read_in_place(project_of(tmp_path, []))

    assert (directory.heads, directory.revisions, directory.problems) == ((), (), ())


FATAL = [
    ("import sys\nsys.exit(0)", r"r01\.py can not be imported: SystemExit: 0"),
    ("import nothing_of_that_name", r"r01\.py can not be imported: ModuleNotFoundError"),
    ("def broken(:", r"r01\.py can not be imported: SyntaxError"),
]


def importing(root: Path, text: str) -> Path:
    """A project whose only revision begins with this."""
    return rewrite(project_of(root, [("", "")]), 1, "import sqlalchemy as sa", text)


@pytest.mark.parametrize(("text", "told"), FATAL)
def test_a_revision_that_can_not_be_imported_is_told_by_its_file(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(CanNotReadError, match=told):
        read_in_place(importing(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import os\nos._exit(0)", "ended the process"),
        (
            "sa = __import__('sqlalchemy')\nsa.create_engine('sqlite:///own.db').connect()",
            "r01.py can not be imported: CanNotReadError: it asks for a database of its own",
        ),
    ],
)
def test_no_revision_takes_the_session_with_it(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(NoEvidence, match=told):
        read(Project(importing(tmp_path, text)), Migrations())


def test_another_process_reads_the_same_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a revision prints, and whatever bytecode lies beside a module of the same second and size."""
    root = importing(tmp_path, "import os, beside\nprint('x' * 99999)\nos.write(1, b'{}')")
    beside = root / "beside.py"
    beside.write_text("exit(7)", encoding="utf-8")
    py_compile.compile(str(beside))
    beside.write_text("pass #7", encoding="utf-8")
    os.utime(beside, (0, 0))
    stale = Path(cache_from_source(str(beside)))
    content = bytearray(stale.read_bytes())
    content[8:12] = bytes(4)  # the source's second
    stale.write_bytes(content)
    (root / "json.py").write_text("raise SystemExit('not the one of the library')", encoding="utf-8")
    before = sorted(root.rglob("*"))

    directory = read(Project(root), Migrations())

    assert sorted(root.rglob("*")) == before
    monkeypatch.syspath_prepend(root)
    assert directory == read_in_place(root)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sqlalchemy.url = postgresql://u:secret@h/db\n", "alembic.ini: can not be read: MissingSectionHeaderError"),
        ("[alembic]\nscript_location = %(nowhere)s\n", "alembic.ini: can not be read: InterpolationMissingOptionError"),
        ("[alembic]\nscript_location = nowhere\n", "alembic.ini: Path doesn't exist: nowhere"),
        ("\0", "alembic.ini: can not be read: MissingSectionHeaderError"),
    ],
)
def test_a_configuration_that_can_not_be_read_is_told_without_its_passwords(
    text: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "alembic.ini").write_text(text, encoding="utf-8")

    with pytest.raises(CanNotReadError, match=told) as caught:
        read_in_place(tmp_path)

    assert "secret" not in str(caught.value)


def test_revisions_of_another_tree_are_no_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as those of the package that is installed here."""
    other, root = project_of(tmp_path / "other", [("", "")]), tmp_path / "root"
    monkeypatch.syspath_prepend(other)
    root.mkdir()
    for place, told in (
        ("migrations:", f"its revisions, in {other / 'migrations/versions'}, are not of this tree"),
        (str(other / "migrations"), "are not of this tree"),
    ):
        (root / "alembic.ini").write_text(f"[alembic]\nscript_location = {place}\n", encoding="utf-8")
        with pytest.raises(CanNotReadError, match=re.escape(told)):
            read_in_place(root)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise SystemExit('it is this one')", "it is this one"),
        ("import time\ntime.sleep(60)", "the process that reads the revisions did not end within 0.3 s"),
    ],
)
def test_the_process_that_reads_has_the_package_that_started_it(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "at work" / "pytest_artisan"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(revisions, "_PACKAGE", str(package.parent))

    with pytest.raises(NoEvidence, match=told):
        read(Project(project_of(tmp_path / "root", [("", "")])), Migrations(timeout_s=0.3))


def test_a_configuration_that_is_not_there_is_no_evidence(tmp_path: Path) -> None:
    with pytest.raises(CanNotReadError, match=re.escape("alembic.ini: No 'script_location' key found")):
        read_in_place(tmp_path)


def test_the_configuration_may_stand_in_pyproject_toml(tmp_path: Path) -> None:
    root = project_of(tmp_path, [("", "")])
    (root / "alembic.ini").unlink()
    (root / "pyproject.toml").write_text('[tool.alembic]\nscript_location = "%(here)s/migrations"\n', encoding="utf-8")

    assert read_in_place(root).heads == ("1",)


@pytest.mark.parametrize("url", ["postgresql+psycopg://u:secret@h/db", "sqlite:///x.db"])
def test_the_address_in_the_configuration_tells_the_dialect(url: str, tmp_path: Path) -> None:
    root = project_of(tmp_path, [("", "")])
    with (root / "alembic.ini").open("a", encoding="utf-8") as file:
        file.write(f"sqlalchemy.url = {url}\n")

    assert read_in_place(root).dialect == url.partition(":")[0].partition("+")[0]
