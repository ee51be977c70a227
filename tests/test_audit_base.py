"""Only what a change brings counts, by the decisions of the commit that it is compared with."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import cyclonedx.validation.json  # noqa: F401 - takes seconds, and pytester forgets what a session imported
import pip_requirements_parser  # noqa: F401 - as above
import pytest
from osv_records import CRITICAL, GROUND, MEDIUM, record, written

import pytest_artisan.audit.sbom.document
import pytest_artisan.gates.auditing.command  # noqa: F401 - as above
from conftest import Project, Run
from pytest_artisan.cli import main
from pytest_artisan.gates.auditing.evidence import of_review
from pytest_artisan.gates.auditing.review import review_of
from pytest_artisan.gates.base import checked_out
from pytest_artisan.gates.gate import CheckEvidence, state_of
from pytest_artisan.gates.tables import Security
from pytest_artisan.git import commit_of
from pytest_artisan.policy import compared, load_policy
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State, judge

TODAY = datetime.now(UTC)
GIT = shutil.which("git") or "git"
RECORDS = (
    record("PYSEC-2", "old-flaw", "introduced 0", "fixed 2.0", vectors=[CRITICAL]),
    record("PYSEC-3", "new-flaw", "introduced 0", "fixed 2.0", vectors=[CRITICAL]),
    record("PYSEC-4", "unrated", "introduced 0"),
    record("PYSEC-6", "pluggy", "introduced 0", vectors=[CRITICAL]),
    record("PYSEC-5", "attacked", "introduced 0", vectors=[MEDIUM], aliases=["CVE-2026-0005"]),
)
SETTINGS = 'files = ["requirements.txt"], snapshot = "advisories", snapshot_floor = 1'
POLICY = f'required = ["unit", "security"]\nsecurity = {{ {SETTINGS} }}'
ALLOWED = f'unaudited = [{{ name = "loose", reason = "r", expires = {TODAY + timedelta(days=30):%Y-%m-%d} }}]'
WAIVED = POLICY.replace(SETTINGS, f'{SETTINGS}, waivers = "waivers.toml"')


def waiver(advisory: str, package: str, days: int = 30) -> str:
    expires = f"{TODAY + timedelta(days=days):%Y-%m-%d}"
    fields = {"advisory": advisory, "package": package, "versions": "*", "reason": "r", "owner": "ada"}
    return "\n".join(["[[waiver]]", *(f'{k} = "{v}"' for k, v in fields.items()), f"expires = {expires}"])


class Repository:
    """A project in git whose first commit is the base, called `base`."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._git("init", "-q", "-b", "main")
        project.tests("def test_one(): pass")
        project.write(".gitignore", "advisories\nrecords.jsonl\n__pycache__\n")

    def commit(self, files: Mapping[str, str | None], policy: str = POLICY) -> None:
        self.project.policy(policy)
        for name, text in files.items():
            if text is None:
                (self.project.path / name).unlink()
            elif text.startswith("-> "):
                (self.project.path / name).symlink_to(text[3:])
            else:
                self.project.write(name, text)
        self._git("add", "-A")
        self._git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "a change")

    def tag(self, name: str) -> None:
        self._git("tag", name)

    def _git(self, *arguments: str) -> None:
        subprocess.run([GIT, *arguments], cwd=self.project.path, check=True)

    def judged(self, ref: str = "base", *options: str) -> Run:
        return self.project.run(f"--artisan-base={ref}", *options)


@pytest.fixture
def repository(project: Project, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.chdir(project.path)
    written(project.path / "records.jsonl", *({**one, "modified": TODAY.isoformat()} for one in (*GROUND, *RECORDS)))
    assert main(["audit", "import", "records.jsonl", "--into", "advisories"]) == 0
    return Repository(project)


OLD, BOTH = {"requirements.txt": "old-flaw==1\n"}, {"requirements.txt": "old-flaw==1\nnew-flaw==1\n"}
CASES: dict[str, tuple[dict[str, str | None], str, dict[str, str | None], str, str]] = {
    "nothing new": (dict(OLD), POLICY, {"a": "b"}, POLICY, ""),
    "a newer version as bad": (dict(OLD), POLICY, {"requirements.txt": "old-flaw==1.5\n"}, POLICY, ""),
    "new": (dict(OLD), POLICY, dict(BOTH), POLICY, "PYSEC-3: new-flaw 1: critical 9.8"),
    "no file before": ({"a": "b"}, POLICY, dict(OLD), POLICY, "PYSEC-2: old-flaw 1"),
    "a waiver of its own": (
        {**OLD, "waivers.toml": ""}, WAIVED,
        {**BOTH, "waivers.toml": waiver("PYSEC-3", "new-flaw")}, WAIVED, "PYSEC-3: new-flaw 1",
    ),
    "a waiver of the base": (
        {**OLD, "waivers.toml": waiver("PYSEC-3", "new-flaw")}, WAIVED, dict(BOTH), WAIVED, "",
    ),
    "a waiver taken away with its cause": (
        {"requirements.txt": "new-flaw==1\n", "waivers.toml": waiver("PYSEC-3", "new-flaw")}, WAIVED,
        {"requirements.txt": "new-flaw==2\n", "waivers.toml": None}, POLICY, "",
    ),
    "a waiver left without its cause": (
        {"requirements.txt": "new-flaw==1\n", "waivers.toml": waiver("PYSEC-3", "new-flaw")}, WAIVED,
        {"requirements.txt": "new-flaw==2\n"}, WAIVED, "waives nothing that is there",
    ),
    "looser limits": (
        dict(OLD), POLICY, dict(BOTH), POLICY.replace(SETTINGS, f"{SETTINGS}, critical = 9"), "PYSEC-3",
    ),
    "unknown may pass": (
        dict(OLD), POLICY, {"requirements.txt": "unrated==1\n"},
        POLICY.replace(SETTINGS, f'{SETTINGS}, unknown = "pass"'), "PYSEC-4",
    ),
    "the gate left out": (dict(OLD), POLICY, dict(BOTH), 'required = ["unit"]', "PYSEC-3"),
    "another file added": (
        dict(OLD), POLICY, {"more.txt": "new-flaw==1\n"},
        POLICY.replace('["requirements.txt"]', '["requirements.txt", "more.txt"]'), "PYSEC-3",
    ),
    "a file that is no longer named": (
        dict(OLD), POLICY, {**BOTH, "safe.txt": "clean==1\n"},
        POLICY.replace('["requirements.txt"]', '["safe.txt"]'), "PYSEC-3",
    ),
    "a file that is gone": (
        dict(OLD), POLICY, {"requirements.txt": None, "safe.txt": "clean==1\n"},
        POLICY.replace('["requirements.txt"]', '["safe.txt"]'), "",
    ),
    "a waiver renewed": (
        {"requirements.txt": "new-flaw==1\n", "waivers.toml": waiver("PYSEC-3", "new-flaw", days=-1)},
        WAIVED,
        {"waivers.toml": waiver("PYSEC-3", "new-flaw")},
        WAIVED,
        "",
    ),
    "a base that can not be read": (
        {"requirements.txt": "this is garbage\n"},
        POLICY,
        {"requirements.txt": "mended==1\n"},
        POLICY,
        "",
    ),
    "the environment is left out": (
        {"a": "b"}, POLICY.replace('["requirements.txt"]', '["environment"]'), {"safe.txt": "clean==1\n"},
        POLICY.replace('["requirements.txt"]', '["safe.txt"]'), f"PYSEC-6: pluggy {version('pluggy')}: critical 9.8",
    ),
    "an allowance taken away with its cause": (
        {"requirements.txt": "clean==1\nloose\n"}, POLICY.replace(SETTINGS, f"{SETTINGS}, {ALLOWED}"),
        {"requirements.txt": "clean==1\n"}, POLICY, "",
    ),
    "an allowance of its own": (
        {"requirements.txt": "clean==1\n"}, POLICY, {"requirements.txt": "clean==1\nloose\n"},
        POLICY.replace(SETTINGS, f"{SETTINGS}, {ALLOWED}"), "loose has no exact version",
    ),
    "a link in the base": (
        {"requirements.txt": "old-flaw==1\n", "outside": "-> /etc/hostname", "inside": "-> ../other"}, POLICY,
        dict(BOTH), POLICY, "PYSEC-3",
    ),
    "the base's files are not exported": (
        {**OLD, ".gitattributes": "* export-ignore\npyproject.toml export-ignore\n"}, POLICY, {"a": "b"}, POLICY, "",
    ),
    "attacked before": (
        {"requirements.txt": "attacked==1\n", "kev.json": '[{"cveID": "CVE-2026-0005"}]'},
        POLICY.replace(SETTINGS, f'{SETTINGS}, kev = "kev.json"'), {"a": "b"},
        POLICY.replace(SETTINGS, f'{SETTINGS}, kev = "kev.json"'), "known exploited 1 > 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_only_what_is_new_counts_and_no_change_lets_itself_through(case: str, repository: Repository) -> None:
    before, before_policy, after, after_policy, told = CASES[case]
    repository.commit(before, before_policy)
    repository.tag("base")
    repository.commit(after, after_policy)
    policy, evidence = compared(load_policy(repository.project.path), "base"), evidence_of(repository.project.path)
    reasons = [text for measurement in evidence.measurements for _, _, text in judge(measurement)]
    reasons += [f"{f.rule}: {f.message}" for f in evidence.findings if f.blocks]

    assert policy.core.required == ("unit", "security")
    assert policy.digest != load_policy(repository.project.path).digest
    assert (state_of(evidence) is State.GO) is (not told), reasons
    assert told in " ".join(reasons)


def test_what_the_base_has_as_well_is_shown(repository: Repository) -> None:
    repository.commit(OLD)
    repository.tag("base")
    run = repository.judged()

    known = "critical 9.8, CVSS 3.1; go to 2.0; known in the base"
    assert f"warning security: requirements.txt:1: audit PYSEC-2: old-flaw 1: {known}" in run.out
    assert run.last_line.startswith("GO (partial: only what is new since ")
    assert repository.judged("base", "--artisan-purpose=release").last_line == "NO-GO"
    assert repository.project.run().last_line == "NO-GO"


def in_the_index(folder: Path) -> None:
    (folder / ".gitignore").write_text("records.jsonl\n")


def behind_a_link(folder: Path) -> None:
    (folder / "evil").mkdir()
    (folder / "advisories").rename(folder / "evil" / "file")
    (folder / "advisories").symlink_to("evil/file")
    in_the_index(folder)


def behind_a_link_that_is_ignored(folder: Path) -> None:
    behind_a_link(folder)
    (folder / ".gitignore").write_text("records.jsonl\n/advisories\n")


def in_a_module(folder: Path) -> None:
    (folder / "advisories").rename(folder / "file")
    subprocess.run([GIT, "init", "-q", "advisories"], cwd=folder, check=True)
    (folder / "file").rename(folder / "advisories" / "file")
    in_the_index(folder)
    git = [GIT, "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "add", "-A"], cwd=folder / "advisories", check=True)
    subprocess.run([*git, "commit", "-qm", "a"], cwd=folder / "advisories", check=True)


@pytest.mark.parametrize(
    ("put", "name"),
    [
        (in_the_index, "advisories"),
        (behind_a_link, "advisories"),
        (behind_a_link_that_is_ignored, "advisories"),
        (in_a_module, "advisories/file"),
    ],
)
def test_advisories_that_come_with_the_change_are_not_believed(
    put: Callable[[Path], None], name: str, repository: Repository
) -> None:
    policy = POLICY.replace('"advisories"', f'"{name}"')
    repository.commit(OLD, policy)
    repository.tag("base")
    put(repository.project.path)
    repository.commit(BOTH, policy)

    with pytest.raises(NoEvidence, match=f"{name}: comes with the change, which may not say what is known of it"):
        evidence_of(repository.project.path)


def test_without_an_index_nobody_can_tell_what_comes_with_the_change(repository: Repository) -> None:
    repository.commit(OLD)
    repository.tag("base")
    policy = compared(load_policy(repository.project.path), "base")
    (repository.project.path / ".git" / "index").write_bytes(b"junk")
    table = policy.tables["security"]
    assert isinstance(table, Security)

    with pytest.raises(NoEvidence, match="git --literal-pathspecs ls-files failed: "):
        review_of(policy.project, table, TODAY)


@pytest.mark.parametrize("ref", ["nowhere", "--output=x", "", "HEAD:pyproject.toml"])
def test_what_is_no_commit_is_a_usage_error(ref: str, repository: Repository) -> None:
    repository.commit(OLD)
    run = repository.judged(ref)

    assert run.status == 4
    assert f"--artisan-base={ref}: git knows no commit {ref!r} here" in run.out + run.err
    assert not (repository.project.path / "x").exists()


def test_workers_compare_with_the_same_base(repository: Repository) -> None:
    repository.commit(OLD)
    repository.tag("base")
    repository.commit(BOTH)
    run = repository.judged("base", "-n", "1")

    assert "audit PYSEC-3: new-flaw 1" in run.told
    assert "PYSEC-2" not in run.told
    assert run.last_line == "NO-GO"


def test_a_project_may_be_a_folder_of_its_repository_and_may_be_new(repository: Repository) -> None:
    root = repository.project.path
    repository.project.write("svc/sub/a.txt", "a")
    repository.commit(OLD)
    commit = commit_of(root, "HEAD")

    def files(folder: str, *names: str) -> set[str]:
        (root / folder).mkdir(exist_ok=True)
        with checked_out(root / folder, commit, *names) as tree:
            return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}

    assert files("svc") == {"sub/a.txt"}
    assert files("svc", "sub/a.txt", "nowhere") == {"sub/a.txt"}
    assert files(".", "requirements.txt", "nowhere") == {"requirements.txt"}
    assert files("new") == set()


def evidence_of(root: Path) -> CheckEvidence:
    policy = compared(load_policy(root), "base")
    table = policy.tables["security"]
    assert isinstance(table, Security)
    return of_review(review_of(policy.project, table, TODAY), table, TODAY.date())


def test_a_path_from_elsewhere_is_the_bases_file_too(repository: Repository) -> None:
    root = repository.project.path
    away = SETTINGS.replace('"requirements.txt"', f'"{root}/requirements.txt"') + f', waivers = "{root}/waivers.toml"'
    policy = f'required = ["unit", "security"]\nsecurity = {{ {away} }}'
    repository.commit({**OLD, "waivers.toml": ""}, policy)
    repository.tag("base")
    repository.commit({**BOTH, "waivers.toml": waiver("PYSEC-3", "new-flaw")}, policy)
    evidence = evidence_of(root)

    assert [(f.rule, f.blocks) for f in evidence.findings] == [("PYSEC-3", True), ("PYSEC-2", False)]


def test_what_is_not_of_the_repository_is_no_changes(
    repository: Repository, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away, root = tmp_path_factory.mktemp("away"), repository.project.path
    (root / "advisories").rename(away / "advisories")
    (away / "waivers.toml").write_text(waiver("PYSEC-3", "new-flaw"))
    policy = POLICY.replace('"advisories"', f'"{away}/advisories", waivers = "{away}/waivers.toml"')
    repository.commit(OLD, policy)
    repository.tag("base")
    repository.commit(BOTH, policy)

    assert state_of(evidence_of(root)) is State.GO


def test_a_policy_that_git_does_not_hand_out_is_no_default_policy(repository: Repository) -> None:
    repository.commit(OLD)
    repository.tag("base")
    git = [GIT, "-C", str(repository.project.path), "config"]
    subprocess.run([*git, "filter.lost.smudge", "/nowhere/lost"], check=True)
    subprocess.run([*git, "filter.lost.required", "true"], check=True)
    repository.project.write(".gitattributes", "pyproject.toml filter=lost\n")

    with pytest.raises(SettingsError, match=r"git can not check out pyproject\.toml of"):
        evidence_of(repository.project.path)


def test_a_file_above_the_project_is_the_bases_as_well(repository: Repository) -> None:
    root = repository.project.path
    policy = POLICY.replace('"requirements.txt"', '"requirements.txt", "../common.txt"')
    policy = policy.replace('"advisories"', '"../advisories"')
    files = {"common.txt": "old-flaw==1\n", "svc/requirements.txt": "-r ../common.txt\nmended==1\n"}
    repository.commit({**files, "svc/pyproject.toml": f"[tool.artisan]\n{policy}\n"})
    repository.tag("base")

    assert state_of(evidence_of(root / "svc")) is State.GO
