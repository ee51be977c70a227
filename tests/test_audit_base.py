"""Only what a change brings counts, by the decisions of the commit that it is compared with."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from osv_records import CRITICAL, GROUND, MEDIUM, record, written

from conftest import Project, Run
from pytest_artisan.cli import main
from pytest_artisan.gates.auditing.evidence import of_review, review_of
from pytest_artisan.gates.gate import state_of
from pytest_artisan.gates.tables import Security
from pytest_artisan.policy import compared, load_policy
from pytest_artisan.verdict.judge import State, judge

TODAY = datetime.now(UTC)
GIT = shutil.which("git") or "git"
RECORDS = (
    record("PYSEC-2", "old-flaw", "introduced 0", "fixed 2.0", vectors=[CRITICAL]),
    record("PYSEC-3", "new-flaw", "introduced 0", "fixed 2.0", vectors=[CRITICAL]),
    record("PYSEC-4", "unrated", "introduced 0"),
    record("PYSEC-5", "attacked", "introduced 0", vectors=[MEDIUM], aliases=["CVE-2026-0005"]),
)
SETTINGS = 'files = ["requirements.txt"], snapshot = "advisories", snapshot_floor = 1'
POLICY = f'required = ["unit", "security"]\nsecurity = {{ {SETTINGS} }}'
WAIVED = POLICY.replace(SETTINGS, f'{SETTINGS}, waivers = "waivers.toml"')


def waiver(advisory: str, package: str) -> str:
    expires = f"{TODAY + timedelta(days=30):%Y-%m-%d}"
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
    policy = compared(load_policy(repository.project.path), "base")
    table = policy.tables["security"]
    assert isinstance(table, Security)
    evidence = of_review(review_of(policy.project, table, TODAY), table, TODAY.date())
    reasons = [text for measurement in evidence.measurements for _, _, text in judge(measurement)]
    reasons += [f"{f.rule}: {f.message}" for f in evidence.findings if f.blocks]

    assert policy.core.required == ("unit", "security")
    assert state_of(evidence) is (State.NO_GO if told else State.GO), reasons
    assert told in " ".join(reasons)


def test_what_the_base_has_as_well_is_shown(repository: Repository) -> None:
    repository.commit(OLD)
    repository.tag("base")
    run = repository.judged()

    known = "critical 9.8, CVSS 3.1 of PYSEC-2; go to 2.0; known in the base"
    assert f"warning security: requirements.txt:1: audit PYSEC-2: old-flaw 1: {known}" in run.out
    assert run.last_line == "GO"
    assert repository.project.run().last_line == "NO-GO"


def test_advisories_that_come_with_the_change_are_not_believed(repository: Repository) -> None:
    repository.commit(OLD)
    repository.tag("base")
    repository.commit({**BOTH, ".gitignore": "records.jsonl\n"})
    run = repository.judged("base", "--artisan-purpose=merge")

    assert "advisories: comes with the change, which may not say what is known of it" in run.told
    assert run.last_line == "NO-GO"


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
