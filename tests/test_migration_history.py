"""New revisions beside the releases: what is judged, when a column may go, and who answers for what."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from release_house import git
from script_folders import project_of, read_in_place

from pytest_artisan.gates.gate import CheckEvidence, Project, state_of
from pytest_artisan.gates.migrating import evidence
from pytest_artisan.gates.migrating.evidence import of_operations
from pytest_artisan.gates.migrating.history import history_of
from pytest_artisan.gates.migrating.steps import Directory
from pytest_artisan.gates.tables import Migrations
from pytest_artisan.release.tags import Release, write
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State

MAKE = (
    'op.create_table("t", sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("b", sa.Integer, nullable=False))'
)
RETIRE = 'op.alter_column("t", "b", nullable=True)'
DROP = 'op.drop_column("t", "b")'
FIRST = datetime(2026, 10, 1, 9, 0, tzinfo=UTC)
SECOND = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process for each reading would take a second; that it does the same the rules' tests show."""

    def read(project: Project, table: Migrations) -> Directory:
        return read_in_place(project.root)

    monkeypatch.setattr(evidence, "read", read)


def commit(root: Path, *bodies: str, at: datetime = FIRST) -> None:
    """The revisions of these bodies, committed."""
    project_of(root, [(body, "") for body in bodies])
    committed(root, at)


def committed(root: Path, at: datetime = FIRST) -> None:
    if not (root / ".git").exists():
        git(root, "init", "-q", "-b", "main", "--template=")
    git(root, "add", "--all")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_COMMITTER_DATE", at.isoformat())
        git(root, "commit", "-q", "--allow-empty", "-m", "revisions")


def release(root: Path, version: str, at: datetime) -> None:
    """A release of what is committed, as `artisan release tag` writes it."""
    made = Release(
        version, git(root, "rev-parse", "HEAD"), at, by="Kim <kim@example.test>", notes="x", no_model="none here"
    )
    git(root, "update-ref", f"refs/tags/{version}", write(root, made))


def judged(root: Path, now: datetime = NOW, **table: object) -> CheckEvidence:
    return of_operations(Project(root), Migrations(**table), now)  # type: ignore[arg-type]


def blocking(found: CheckEvidence) -> list[str]:
    return [finding.rule for finding in found.findings if finding.blocks]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    commit(folder, MAKE)
    release(folder, "v1.0.0", FIRST)
    commit(folder, MAKE, RETIRE)
    release(folder, "v1.1.0", SECOND)
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """Two releases: the first with a table, the second with its column retired."""
    return Path(shutil.copytree(made, tmp_path / "root"))


@pytest.fixture(scope="module")
def dropping(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a third revision, which drops that column; nobody changes it."""
    folder = Path(shutil.copytree(made, tmp_path_factory.mktemp("dropping") / "root"))
    commit(folder, MAKE, RETIRE, DROP)
    return folder


DUE = SECOND + timedelta(days=14)


@pytest.mark.parametrize(
    ("now", "days", "expected"),
    [
        (DUE, 14, []),
        (DUE - timedelta(seconds=1), 14, ["drop-column"]),
        (DUE, 30, ["drop-column"]),
        (SECOND, 0, []),
    ],
)
def test_a_column_is_dropped_two_weeks_after_the_release_that_made_it_nullable(
    now: datetime, days: int, expected: list[str], dropping: Path
) -> None:
    found = judged(dropping, now, drop_days=days)

    assert blocking(found) == expected
    assert state_of(found) is (State.NO_GO if expected else State.GO)
    for finding in found.findings:
        if finding.blocks:
            assert "nullable since v1.1.0 of 2026-11-03, so not before" in finding.message
            assert (finding.path, finding.line) == ("migrations/versions/r03.py", 9)


def test_nothing_is_dropped_in_the_release_that_makes_it_nullable(tmp_path: Path) -> None:
    commit(tmp_path, MAKE)
    release(tmp_path, "v1.0.0", FIRST)
    commit(tmp_path, MAKE, RETIRE, DROP)

    [finding] = [finding for finding in judged(tmp_path).findings if finding.blocks]

    assert "nullable by revision 2, which no release has yet" in finding.message


def test_no_release_counts_from_before_its_commit(tmp_path: Path) -> None:
    commit(tmp_path, MAKE, RETIRE, at=SECOND)
    release(tmp_path, "v1.0.0", FIRST)
    commit(tmp_path, MAKE, RETIRE, DROP, at=SECOND)

    assert blocking(judged(tmp_path, DUE)) == []
    assert blocking(judged(tmp_path, DUE - timedelta(seconds=1))) == ["drop-column"]


def test_it_counts_from_the_first_of_several_releases(root: Path) -> None:
    release(root, "hotfix-20261126-0900", NOW - timedelta(days=1))
    release(root, "v2.0.0", NOW)
    commit(root, MAKE, RETIRE, DROP)

    assert blocking(judged(root)) == []


def test_a_release_of_another_branch_is_one_as_well(root: Path) -> None:
    git(root, "checkout", "-q", "-b", "side", "v1.0.0")
    release(root, "v1.0.1", NOW)
    git(root, "checkout", "-q", "main")
    commit(root, MAKE, RETIRE, DROP)

    found = judged(root, DUE)

    assert blocking(found) == []
    assert {m.name: m.value for m in found.measurements} == {"unsafe operations": 0, "new revisions": 1}


def test_without_a_new_revision_there_is_nothing_to_say(made: Path) -> None:
    found = judged(made)

    assert state_of(found) is State.GO
    assert {m.name: m.value for m in found.measurements} == {"unsafe operations": 0, "new revisions": 0}


@pytest.mark.parametrize("name", ["v9.9.9", "2.1", "on-production"])
def test_a_tag_that_is_no_release_lets_nothing_through(name: str, root: Path) -> None:
    git(root, "tag", "-d", "v1.0.0", "v1.1.0")
    commit(root, MAKE, DROP)
    assert blocking(judged(root)) == []  # of a table that nobody has

    git(root, "tag", name)
    assert blocking(judged(root)) == ["drop-column"]


def test_a_tag_that_was_moved_is_no_release(root: Path) -> None:
    commit(root, MAKE, RETIRE, DROP)
    git(root, "update-ref", "refs/tags/v1.1.0", git(root, "rev-parse", "HEAD"))

    assert blocking(judged(root)) == ["drop-column"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("nullable=True", "nullable=True, server_default='1'", ["changed-revision"]),
        ('"t", "b", nullable=True)', "'t',   'b', nullable=True)  # in other words", []),
        ("import sqlalchemy", '"""What it is for."""\n\nimport sqlalchemy', []),
    ],
)
def test_a_revision_is_not_changed_after_its_release(old: str, new: str, expected: list[str], root: Path) -> None:
    path = root / "migrations/versions/r02.py"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    assert blocking(judged(root)) == expected


def test_a_released_revision_may_move_and_may_not_go(root: Path) -> None:
    versions = root / "migrations/versions"
    versions.joinpath("r02.py").rename(versions / "a_better_name.py")
    assert blocking(judged(root)) == []

    versions.joinpath("a_better_name.py").unlink()
    assert blocking(judged(root)) == ["missing-revision"]

    # Not by another name of its folder either.
    moved(root, "db")
    assert blocking(judged(root)) == ["missing-revision"]


def moved(root: Path, to: str) -> None:
    (root / "migrations").rename(root / to)
    ini = root / "alembic.ini"
    ini.write_text(ini.read_text(encoding="utf-8").replace("migrations", to), encoding="utf-8")


def test_a_folder_that_was_called_otherwise_has_the_same_revisions(root: Path) -> None:
    moved(root, "db")

    assert {m.name: m.value for m in judged(root).measurements}["new revisions"] == 0


def test_a_project_may_be_a_folder_of_its_repository(tmp_path: Path) -> None:
    root = tmp_path / "프로젝트"
    project_of(root, [(MAKE, "")])
    committed(tmp_path)
    release(tmp_path, "v1.0.0", FIRST)
    project_of(root, [(MAKE, ""), (DROP, "")])

    assert blocking(judged(root)) == ["drop-column"]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--depth=1", "a shallow clone does not know its releases"),
        ("--no-tags", "a clone without tags does not know its releases"),
    ],
)
def test_a_clone_without_its_tags_does_not_know(option: str, told: str, dropping: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", option, dropping.as_uri(), "it")

    with pytest.raises(NoEvidence, match=told):
        judged(tmp_path / "it")


def test_outside_of_a_repository_nobody_knows(tmp_path: Path) -> None:
    project_of(tmp_path, [(MAKE, "")])

    with pytest.raises(NoEvidence, match="not a git repository"):
        judged(tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("revision = make()\ndown_revision = None\n", "revision is no plain string"),
        ("revision = '1'\ndown_revision = None\ndef broken(:\n", "can not be read"),
    ],
)
def test_a_release_that_can_not_be_read_is_no_evidence(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "r.py").write_text(text, encoding="utf-8")
    committed(tmp_path)
    release(tmp_path, "v1.0.0", FIRST)

    with pytest.raises(NoEvidence, match=f"r.py of [0-9a-f]{{12}}:? ?.*{told}"):
        history_of(tmp_path)


def test_a_broken_or_empty_directory_is_no_evidence(tmp_path: Path) -> None:
    commit(tmp_path)
    with pytest.raises(NoEvidence, match="no revision in migrations/versions"):
        judged(tmp_path)

    commit(tmp_path, "", "")
    (tmp_path / "migrations/versions/r01.py").unlink()
    with pytest.raises(NoEvidence, match="Revision 1 referenced from 1 -> 2"):
        judged(tmp_path)


def test_what_was_not_asked_is_said(tmp_path: Path) -> None:
    commit(tmp_path, MAKE)

    assert [finding.rule for finding in judged(tmp_path).findings] == ["no-postgresql", "no-release"]


# Waivers.

WAIVER = """
[[waiver]]
revision = "3"
rule = "drop-column"
owner = "kim"
reason = "nobody ever wrote it"
expires = 2026-12-24
"""
WAIVERS: Sequence[tuple[str, list[str], list[str]]] = [
    (WAIVER, [], ["drop-column", "no-postgresql"]),
    (WAIVER.replace("2026-12-24", "2026-11-30"), [], ["drop-column", "waiver", "no-postgresql"]),
    (WAIVER.replace("2026-12-24", "2026-11-26"), ["drop-column", "waiver"], ["no-postgresql"]),
    (WAIVER.replace("2026-12-24", "2027-04-01"), ["drop-column", "waiver"], ["no-postgresql"]),
    (WAIVER.replace('"kim"', '" "'), ["drop-column", "waiver"], ["no-postgresql"]),
    (WAIVER.replace('"nobody ever wrote it"', '""'), ["drop-column", "waiver"], ["no-postgresql"]),
    (WAIVER.replace('"drop-column"', '"drop-table"'), ["drop-column", "waiver"], ["no-postgresql"]),
    (WAIVER.replace('"3"', '"33"'), ["drop-column", "waiver"], ["no-postgresql"]),
    (WAIVER + WAIVER.replace('"3"', '"1"'), [], ["drop-column", "waiver", "no-postgresql"]),
    (WAIVER + WAIVER.replace('"drop-column"', '"no-downgrade"'), [], ["drop-column", "no-postgresql"]),
]


@pytest.mark.parametrize(("text", "blocks", "told"), WAIVERS)
def test_a_waiver_holds_for_its_rule_and_revision_and_for_a_while(
    text: str, blocks: list[str], told: list[str], dropping: Path, tmp_path: Path
) -> None:
    (tmp_path / "waivers.toml").write_text(text, encoding="utf-8")

    found = judged(dropping, waivers=str(tmp_path / "waivers.toml"), drop_days=90)

    assert blocking(found) == blocks
    assert [finding.rule for finding in found.findings if not finding.blocks] == told
    assert (state_of(found) is State.GO) == (not blocks)
    if "drop-column" in told:
        assert "waived by kim until 20" in found.findings[0].message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            WAIVER.replace('"drop-column"', '"drop-colum"'),
            "waivers.toml waiver[0] rule: 'drop-colum' is none of drop-column",
        ),
        (WAIVER.replace("owner", "ownr"), "waivers.toml waiver has no key 'ownr'; the nearest is 'owner'"),
        (WAIVER.replace("expires = 2026-12-24", ""), "waivers.toml"),
        ("[[waiver", "waivers.toml: "),
    ],
)
def test_waivers_that_can_not_be_read_are_refused_in_one_line(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "waivers.toml").write_text(text, encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        judged(tmp_path, waivers="waivers.toml")

    assert told in str(caught.value)
    assert str(caught.value).isprintable()
