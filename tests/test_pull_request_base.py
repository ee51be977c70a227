"""What a branch is compared with, in GitHub Actions and elsewhere: what can not be told is no pass."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from branch_house import NOW, TEMPLATE, Hosted, Repository, event, started_in, text, told

from conftest import Project as Sessions
from pytest_artisan.gates import gate
from pytest_artisan.gates.changing.change import change_of, why_inapplicable
from pytest_artisan.gates.changing.evidence import age_of, boxes_of, name_of, size_of
from pytest_artisan.gates.gate import Project, state_of
from pytest_artisan.gates.pull_request import GATE
from pytest_artisan.gates.tables import PullRequest, Security
from pytest_artisan.policy import compared, load_policy
from pytest_artisan.verdict.decide import Purpose
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return started_in(tmp_path_factory.mktemp("started"))


@pytest.fixture
def repository(started: Repository, tmp_path: Path) -> Repository:
    return started.copy(tmp_path / "repository")


@pytest.fixture(scope="module")
def served(started: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = started.copy(tmp_path_factory.mktemp("served") / "repository")
    made.branch()
    made.commit({"b.txt": text(3)}, hours=3)
    made.commit({"b.txt": text(7)}, hours=2)
    made.git("checkout", "-q", "main")
    made.commit({"c.txt": text(900)}, hours=1)
    made.git("checkout", "-q", "--detach")
    made.git("merge", "-q", "--no-ff", "--no-edit", "feature/search")
    made.git("update-ref", "refs/pull/7/merge", "HEAD")
    made.git("checkout", "-q", "main")
    return made


@pytest.fixture(scope="module")
def work(served: Repository, tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    """One whose checkout in `folder` is for reading alone."""
    made = Hosted(served, tmp_path_factory.mktemp("work"))
    made.checkout()
    return made


@pytest.fixture
def hosted(served: Repository, tmp_path: Path) -> Hosted:
    return Hosted(served, tmp_path)


def test_the_merge_that_actions_check_out_is_judged_as_its_branch(work: Hosted) -> None:
    change = work.judged()

    assert (change.head, change.base.commit, change.base.name) == (work.head, work.base, "main")
    assert size_of(change).measurements[0].value == 7
    assert age_of(change).measurements[0].value == 3
    for judged in (size_of, age_of, name_of, boxes_of):
        assert (judged.__name__, state_of(judged(change)), told(judged(change))) == (judged.__name__, State.GO, "")


def test_the_branch_itself_may_be_checked_out_as_well(hosted: Hosted) -> None:
    work = hosted.checkout()
    work.git("checkout", "-q", hosted.head)
    assert size_of(work.change(hosted.event())).measurements[0].value == 7

    work.git("checkout", "-q", "origin/main")
    with pytest.raises(NoEvidence, match=r"neither the pull request's commit .* nor its merge"):
        work.change(hosted.event())


@pytest.mark.parametrize("depth", ["--depth=1", "--depth=3"])
def test_a_shallow_clone_says_what_to_fetch_and_that_helps(depth: str, hosted: Hosted) -> None:
    work = hosted.checkout(depth)
    with pytest.raises(NoEvidence, match="fetch-depth: 0 of actions/checkout") as error:
        work.change(hosted.event())

    command = re.search(r"git (fetch .*) \(", str(error.value))
    assert command is not None, error.value
    work.git(*command[1].split())
    assert size_of(work.change(hosted.event())).measurements[0].value == 7


def test_a_clone_that_is_deep_enough_will_do_whatever_main_was_when_the_event_was_written(hosted: Hosted) -> None:
    variables = event(hosted.folder, "0" * 40, hosted.head)
    change = hosted.checkout("--depth=4").change(variables)
    assert change.base.commit == hosted.base
    assert (size_of(change).measurements[0].value, age_of(change).measurements[0].value) == (7, 3)


def test_a_shallow_clone_that_shows_an_older_meeting_alone_is_no_evidence(repository: Repository) -> None:
    repository.commit({"m1": "m"}, hours=9)
    repository.branch()
    repository.commit({"b": "b"}, hours=1)
    repository.git("checkout", "-q", "main")
    repository.commit({"m2": "m"}, hours=8)
    cut = repository.id()
    repository.git("checkout", "-q", "-b", "side", "HEAD~2")
    repository.commit({"x": "x"}, hours=7)
    repository.git("checkout", "-q", "main")
    repository.git("merge", "-q", "--no-edit", "side")
    repository.git("checkout", "-q", "feature/search")
    assert repository.change().fork == repository.id("HEAD~1")

    (repository.path / ".git/shallow").write_text(f"{cut}\n")
    assert repository.git("merge-base", "main", "HEAD") == repository.id("HEAD~2")
    with pytest.raises(NoEvidence, match="does not show where the branch left main"):
        repository.change()


@pytest.mark.parametrize(
    ("options", "base"),
    [
        (("--depth=1",), "main"),
        (("--depth=1", "--no-single-branch"), "main"),
        (("--depth=1", "--no-single-branch"), None),
        (("--single-branch",), "main"),
    ],
)
def test_a_clone_of_a_branch_says_what_to_fetch_and_that_helps(
    options: tuple[str, ...], base: str | None, hosted: Hosted
) -> None:
    work = hosted.clone("--branch", "feature/search", *options)
    with pytest.raises(NoEvidence, match="git fetch") as error:
        work.change(base=base)

    command = re.search(r"git (fetch .*) \(", str(error.value))
    assert command is not None, error.value
    work.git(*command[1].split())
    assert size_of(work.change(base=base)).measurements[0].value == 7


EVENTS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "no JSON": lambda path: path.write_text("{"),
    "of a push": lambda path: path.write_text('{"ref": "refs/heads/main"}'),
    "empty": lambda path: path.write_bytes(b""),
    "no text": lambda path: path.write_text(path.read_text().replace('"body"', '"corpus"')),
    "a number as text": lambda path: path.write_text(re.sub('"body": ".*?"', '"body": 7', path.read_text())),
    "no commit": lambda path: path.write_text(path.read_text().replace('"sha"', '"sum"')),
}


@pytest.mark.parametrize("case", EVENTS)
def test_an_event_that_can_not_be_read_is_no_evidence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = event(tmp_path, "0" * 40, "1" * 40)
    EVENTS[case](Path(variables["GITHUB_EVENT_PATH"]))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    for check in GATE.checks:
        assert check.wanted(PullRequest()), check.name
        with pytest.raises(NoEvidence, match="GITHUB_EVENT_PATH"):
            check.run(Project(tmp_path), PullRequest())
    assert GATE.absent(Project(tmp_path)) is None


@pytest.mark.parametrize("body", [None, "", TEMPLATE, "- [x] nothing"])
def test_boxes_that_nobody_ticked_are_named_with_their_place(body: str | None, work: Hosted) -> None:
    evidence = boxes_of(work.judged(body))

    assert state_of(evidence) is State.NO_GO
    assert (evidence.measurements[0].value, evidence.measurements[0].n) == (2, 2)
    assert [(f.path, f.line) for f in evidence.findings] == [(".github/PULL_REQUEST_TEMPLATE.md", n) for n in (3, 4)]
    assert ": All pass" in told(evidence)


def test_the_template_is_that_of_the_base(hosted: Hosted) -> None:
    work = hosted.checkout()
    work.git("checkout", "-q", hosted.head)
    work.commit({".github/PULL_REQUEST_TEMPLATE.md": None, ".github/pull_request_template.md": "- [ ] easy\n"})

    evidence = boxes_of(work.change(event(work.path.parent, hosted.base, work.id(), "- [x] easy\n")))
    assert [f.message for f in evidence.findings] == ["missing: All pass", "missing: `ruff` is *quiet*"]


def test_where_no_box_is_asked_for_this_is_told(tmp_path: Path) -> None:
    repository = Repository.new(tmp_path / "repository")
    repository.commit({"a": "a"}, hours=24)
    repository.branch()
    repository.commit({"b": "b"})

    evidence = boxes_of(repository.change(event(tmp_path, repository.id("main"), repository.id(), None)))
    assert (state_of(evidence), evidence.measurements[0].value) == (State.GO, 0)
    assert "main has no template that asks for a box" in told(evidence)


# The base, and its limits


def test_the_limits_are_those_of_the_base(repository: Repository) -> None:
    table = '[tool.artisan.pull_request]\nchanged_lines = 10\n[tool.artisan.environments.dev.limits.pull_request]\nprefixes = ["x/"]\n'
    repository.commit({"pyproject.toml": table}, hours=24)
    repository.branch()
    repository.commit({"pyproject.toml": table.replace("10", "999").replace("x/", "feature/"), "b": text(20)})
    change = repository.change(changed_lines=999, prefixes=("feature/",))
    evidence = size_of(change)

    assert (change.limits.changed_lines, change.limits.prefixes) == (10, ("x/",))
    assert state_of(evidence) is State.NO_GO
    assert "the limits are those of main; the change's own count when they are merged" in told(evidence)
    assert state_of(name_of(change)) is State.NO_GO


@pytest.mark.parametrize(
    "broken", ["[tool", "[tool.artisan.pull_request]\nchanged_lins = 1", "[tool.artisan]\nenvironments = 5"]
)
def test_limits_of_the_base_that_can_not_be_read_are_no_evidence(broken: str, repository: Repository) -> None:
    repository.commit({"pyproject.toml": broken}, hours=24)
    repository.branch()
    repository.commit({"pyproject.toml": "", "b": "b"})

    with pytest.raises(NoEvidence, match="the limits of main can not be read"):
        repository.change()


def test_github_names_the_base_before_the_table_does(hosted: Hosted) -> None:
    work = hosted.checkout()
    work.git("update-ref", "refs/remotes/origin/easy", hosted.head)
    assert work.change(hosted.event(), base="easy").base.commit == hosted.base
    assert work.change({"GITHUB_BASE_REF": "main"}, base="easy").base.name == "origin/main"
    assert work.change({}, base="easy").base.name == "origin/easy"
    given = Project(work.path, base=gate.Base(hosted.base, Security()))
    assert change_of(given, PullRequest(base="easy"), {}, NOW).base.commit == hosted.base


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (None, "no main or master here: fetch it .* or name the branch"),
        ("trunk", "no branch 'trunk' here: git fetch origin"),
    ],
)
def test_a_base_that_is_not_there_is_no_evidence(own: str | None, message: str, repository: Repository) -> None:
    repository.git("branch", "-m", "other")
    with pytest.raises(NoEvidence, match=message):
        repository.change(base=own)
    with pytest.raises(NoEvidence, match=r"git fetch origin '\+refs/heads/\$\(x\):"):
        repository.change({"GITHUB_BASE_REF": "$(x)"})


def test_histories_that_never_met_are_no_evidence(repository: Repository) -> None:
    repository.git("checkout", "-q", "--orphan", "feature/search")
    repository.commit({"b": "b"})
    with pytest.raises(NoEvidence, match="does not show where the branch left main"):
        repository.change()


def test_outside_of_git_there_is_no_evidence(tmp_path: Path) -> None:
    with pytest.raises(NoEvidence, match="not a git repository"):
        change_of(Project(tmp_path), PullRequest(), {}, NOW)


# What the policy makes of it

REQUIRED = '[tool.artisan]\nrequired = ["unit", "pull_request"]\n'


@pytest.mark.parametrize("policy", [REQUIRED, "[tool.artisan.pull_request]\nchanged_lines = 9\n"])
def test_on_the_trunk_the_gate_is_left_out_whatever_the_policy_asks(
    policy: str, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.environ", {"PATH": "/usr/bin:/bin"})
    repository.commit({"pyproject.toml": policy})
    on_trunk = load_policy(repository.path)
    asked = on_trunk.requirements(Purpose.RELEASE, (), (), ())
    assert "pull_request" not in asked.required
    assert asked.left_out["pull_request"] == "on the trunk: every commit here is in main"
    assert not on_trunk.runs_checks(GATE, ())
    assert "pull_request" in on_trunk.requirements(Purpose.RELEASE, (), (), ("pull_request",)).required

    repository.branch()
    repository.commit({"b": "b"})
    assert "pull_request" in on_trunk.requirements(Purpose.RELEASE, (), (), ()).required
    assert on_trunk.runs_checks(GATE, ())


def test_no_pull_request_takes_itself_for_the_trunk(work: Hosted) -> None:
    here, at_main = Project(work.folder / "work"), Project(work.origin.path)
    assert why_inapplicable(at_main, PullRequest(), {}) is not None
    assert why_inapplicable(at_main, PullRequest(), work.event()) is None
    assert why_inapplicable(at_main, PullRequest(), {"GITHUB_HEAD_REF": "main"}) is None
    assert why_inapplicable(at_main, PullRequest(), {"GITHUB_EVENT_NAME": "pull_request"}) is None
    assert why_inapplicable(here, PullRequest(), {}) is None


def test_in_a_merge_queue_nothing_is_judged_twice_and_a_name_of_an_event_makes_none(work: Hosted) -> None:
    here, path = Project(work.folder / "work"), work.folder / "queue.json"
    variables = {"GITHUB_EVENT_NAME": "merge_group", "GITHUB_EVENT_PATH": str(path)}
    for written, queued in (
        ({}, False),
        ({"head_sha": work.head}, False),
        ({"head_sha": Repository(here.root).id()}, True),
    ):
        path.write_text(json.dumps({"merge_group": written} if written else {}))
        assert ("merge queue" in str(why_inapplicable(here, PullRequest(), variables))) is queued
    path.unlink()
    assert why_inapplicable(here, PullRequest(), variables) is None


def test_a_project_that_says_nothing_of_the_gate_has_it_in_a_pull_request_alone(
    work: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.environ", {"PATH": "/usr/bin:/bin"})
    policy = load_policy(work.folder / "work")
    left_out = policy.requirements(Purpose.LOCAL, (), (), ()).left_out
    assert left_out["pull_request"] == "not configured, and no pull request of GitHub Actions"

    monkeypatch.setattr("os.environ", {"PATH": "/usr/bin:/bin", **work.event()})
    assert "pull_request" in policy.requirements(Purpose.MERGE, (), (), ()).required
    assert policy.runs_checks(GATE, ())


def test_the_limits_of_a_named_policy_are_those_of_the_base_too(repository: Repository) -> None:
    table = '[tool.artisan.policies.strict]\nrequired = ["unit", "security", "smoke"]\nlimits.pull_request.changed_lines = 10\n'
    repository.commit({"pyproject.toml": table}, hours=24)
    repository.branch()
    repository.commit({"pyproject.toml": table.replace("10", "999"), "b": text(20)})
    for name, lines in (("strict", 10), ("", 400)):
        policy = load_policy(repository.path, name=name)
        change = change_of(policy.project, policy.tables["pull_request"], {}, NOW)  # type: ignore[arg-type]
        assert change.limits.changed_lines == lines


def test_a_comparison_with_a_base_asks_for_the_gate_where_the_base_does(repository: Repository) -> None:
    repository.commit({"pyproject.toml": REQUIRED}, hours=24)
    repository.branch()
    repository.commit({"pyproject.toml": '[tool.artisan]\nrequired = ["unit"]\n'})
    assert compared(load_policy(repository.path), "main").core.required == ("unit", "pull_request")


@pytest.mark.parametrize("check", GATE.checks, ids=lambda check: check.name)
def test_every_check_shows_that_it_can_say_no(check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".gitconfig").write_text(
        "[commit]\ngpgsign = true\n[core]\nhooksPath = /nowhere\n[diff]\nexternal = false\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))

    assert state_of(check.drill(Project(tmp_path), PullRequest(changed_lines=10**9))) is State.NO_GO


def test_a_session_of_a_branch_says_what_it_found(project: Sessions) -> None:
    project.write("pyproject.toml", REQUIRED)
    project.tests("def test_one(): pass")
    repository = Repository(project.path)
    repository.git("init", "-q", "-b", "main")
    ago = (datetime.now(UTC) - NOW).total_seconds() / -3600
    repository.commit({".gitignore": "verdict.json\n__pycache__\n"}, hours=ago)
    repository.branch("wip")
    repository.commit({"b.txt": text(401), "uv.lock": text(3)}, hours=ago)
    run = project.run("-p", "no:cacheprovider")

    assert run.status == 1
    assert "changed lines 401 >= 400" in run.told
    assert "the branch 'wip' is not one of feature/" in run.told
    assert "warning pull_request: uv.lock:1: git left out: 3 lines in 1 file (uv.lock)" in run.out
