"""A hotfix from its branch to its tag and back into main, in real repositories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hotfix_repository
import pytest
from hotfix_repository import BOTH, FINISH, FIXED, NOW, POLICY, SMALLER, VERSION, Artisan, Repository, hook, judged

from pytest_artisan.release import record

# The fixtures of both modules.
begun, repository, artisan = hotfix_repository.begun, hotfix_repository.repository, hotfix_repository.artisan
at_its_end, mended = hotfix_repository.at_its_end, hotfix_repository.mended


@pytest.mark.parametrize("name", ["login-loop", "hotfix/login-loop"])
def test_a_hotfix_starts_at_main_and_goes_on_record(name: str, repository: Repository, artisan: Artisan) -> None:
    commit = repository.git("rev-parse", "main")
    repository.git("switch", "-q", "-c", "feature/other")
    repository.commit("something else", {"app.py": "x = 9\n"})
    status, told = artisan("hotfix", "start", name, "--why", "nobody can log in")

    assert status == 0
    assert "--artisan-policy=hotfix" in told
    assert repository.git("symbolic-ref", "--short", "HEAD") == "hotfix/login-loop"
    assert repository.git("rev-parse", "HEAD") == commit
    assert repository.on_record() == [f"hotfix start: hotfix/login-loop from {commit}: nobody can log in"]
    assert record.read(repository.path)[0].at == NOW


def change(repository: Repository) -> None:
    (repository.path / "app.py").write_text("x = 5\n")


def leave(repository: Repository) -> None:
    (repository.path / "left.py").write_text("")


def detach(repository: Repository) -> None:
    repository.git("switch", "-q", "--detach")


def rename_main(repository: Repository) -> None:
    repository.git("branch", "-m", "main", "master")


def take_the_name(repository: Repository) -> None:
    repository.git("branch", "hotfix/a")


def take_the_folder(repository: Repository) -> None:
    repository.git("branch", "hotfix")


def ignore_what_main_has(repository: Repository) -> None:
    repository.git("switch", "-q", "-c", "feature/other")
    repository.on_main({"kept.log": "theirs\n"})
    (repository.path / ".git/info").mkdir()
    (repository.path / ".git/info/exclude").write_text("*.log\n")
    (repository.path / "kept.log").write_text("mine\n")


def hook_a_failure(repository: Repository) -> None:
    """After a checkout that is done, which git then says has failed."""
    hook(repository, "post-checkout", "echo closed >&2; exit 1")


def lock_the_record(repository: Repository) -> None:
    (repository.path / ".artisan/record.jsonl").mkdir(parents=True)


def nothing(repository: Repository) -> None:
    pass


REFUSED = [
    (change, "a", "differs from the last commit: changed app.py"),
    (leave, "a", "differs from the last commit: untracked left.py"),
    (rename_main, "a", "git knows no commit 'refs/heads/main'"),
    (take_the_name, "a", "a branch named 'hotfix/a' already exists"),
    (take_the_folder, "a", "git branch --no-track failed: fatal: cannot lock ref"),
    (ignore_what_main_has, "a", "untracked working tree files would be overwritten by checkout:  kept.log"),
    (hook_a_failure, "a", "git switch --quiet failed: closed"),
    (lock_the_record, "a", "record.jsonl: "),
    (nothing, "", "'hotfix/' is no name for it"),
    (nothing, "--_", "'hotfix/--_' is no name"),
    (nothing, "a b", "'hotfix/a b' is no name"),
    (nothing, "a.lock", "is no name"),
    (nothing, "a\x1b[2J", "is no name"),
    (nothing, "x" * 300, "hotfix/xxx"),
]


@pytest.mark.parametrize(
    ("prepare", "name", "told"), REFUSED, ids=[f"{n}-{told:.30}" for n, (_, _, told) in enumerate(REFUSED)]
)
def test_a_hotfix_that_can_not_start_changes_nothing(
    prepare: Callable[[Repository], None], name: str, told: str, repository: Repository, artisan: Artisan
) -> None:
    prepare(repository)
    before = repository.state()
    status, out = artisan("hotfix", "start", "--", name)

    assert (status, out.count("\n")) == (2, 1), out
    assert told in out
    assert repository.state() == before


def test_no_hotfix_starts_on_a_detached_head_or_outside_of_a_repository(
    repository: Repository, artisan: Artisan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detach(repository)
    assert artisan("hotfix", "start", "a") == (
        2, "artisan: no branch is checked out here (detached HEAD); go to one with git switch\n"
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    status, told = artisan("hotfix", "start", "a")
    assert (status, told.count("\n")) == (2, 1)
    assert repository.git("branch", "--list", "hotfix/*") == ""


def test_a_hotfix_is_tagged_and_merged_and_the_files_stay(mended: Repository, artisan: Artisan) -> None:
    head, before = mended.git("rev-parse", "HEAD", "main").split()
    status, told = artisan(*FINISH)

    assert status == 0, told
    assert f"artisan deploy blue-green prod {VERSION} --hotfix {VERSION} --verdict verdict.intoto.json" in told
    assert mended.git("rev-parse", f"{VERSION}^{{commit}}") == head
    assert mended.git("log", "-1", "--format=%P|%s|%b|%an|%cd", "--date=unix", "main") == (
        f"{before} {head}|Merge branch 'hotfix/login-loop' as {VERSION}|Logs in again\n|Ada|{NOW.timestamp():.0f}"
    )
    assert mended.git("show", "main:app.py") == BOTH.rstrip()
    assert mended.git("symbolic-ref", "--short", "HEAD") == "hotfix/login-loop"
    assert mended.git("status", "--porcelain") == ""
    assert artisan("release", "verify", VERSION)[0] == 0
    assert artisan(*FINISH, now=NOW.replace(hour=20)) == (
        2,
        "artisan: hotfix/login-loop has no commit that main has not\n",
    )


def test_a_main_that_stood_still_gets_a_merge_commit_all_the_same(repository: Repository, artisan: Artisan) -> None:
    artisan("hotfix", "start", "a")
    repository.commit("mend it", {"app.py": FIXED, "한글.py": "z = 1\n"})
    judged(repository)

    assert artisan(*FINISH)[0] == 0
    assert repository.git("log", "-1", "--format=%P", "main").count(" ") == 1
    assert repository.git("diff", "main", "HEAD") == ""


def go_to_main(repository: Repository) -> None:
    repository.git("switch", "-q", "main")


def ask_less(repository: Repository) -> None:
    """Of the main policy required is not asked here; of the branch's hotfix, static analysis is not."""
    repository.commit("ask less", {"pyproject.toml": POLICY + SMALLER})
    judged(repository)


def ask_less_by_a_limit(repository: Repository) -> None:
    repository.commit("ask less", {"pyproject.toml": POLICY + "[tool.artisan.security]\ncritical = 9\n"})
    judged(repository)


def ask_more_on_main(repository: Repository) -> None:
    repository.on_main({"pyproject.toml": POLICY + SMALLER.replace('["', '["load_smoke", "')})


def ask_nothing_on_main(repository: Repository) -> None:
    repository.on_main({"pyproject.toml": ""})


def break_main(repository: Repository) -> None:
    repository.on_main({"pyproject.toml": "[tool.artisan]\nrequird = 1"})


def disagree(repository: Repository) -> None:
    repository.on_main({"app.py": FIXED.replace("2", "3")})


def add_a_worktree(repository: Repository) -> None:
    repository.git("worktree", "add", "-q", "../other", "main")


def commit_again(repository: Repository) -> None:
    repository.commit("one more", {"more.py": ""})


def take_the_tag(repository: Repository) -> None:
    repository.git("tag", VERSION)


def say(**changes: Any) -> Callable[[Repository], None]:
    def prepare(repository: Repository) -> None:
        judged(repository, **changes)

    return prepare


# What is the matter, and what is told.
UNFINISHED = [
    (go_to_main, "main is no hotfix; go to a branch hotfix/... first"),
    (detach, "no branch is checked out here"),
    (leave, "untracked left.py"),
    (say(go=False), "the verdict is NO-GO"),
    (say(policy=""), "is by the policy main, not by the policy hotfix"),
    (commit_again, "the verdict is of commit"),
    (ask_less, "by a policy of digest"),
    (ask_less_by_a_limit, "by a policy of digest"),
    (ask_more_on_main, "by a policy of digest"),
    (ask_nothing_on_main, "main: default policy hotfix (no [tool.artisan]) states no required gates"),
    (break_main, "main: pyproject.toml [tool.artisan] has no key 'requird'"),
    (disagree, "hotfix/login-loop and main disagree in app.py; merge main into hotfix/login-loop"),
    (add_a_worktree, "other, where its files would stay behind"),
    (rename_main, "git knows no commit 'refs/heads/main'"),
    (take_the_tag, f"{VERSION} exists already"),
]
# Somebody may stand in for a verdict, and for nothing else.
OVERRIDDEN = {ask_less: True, commit_again: True, disagree: False, leave: False}


@pytest.mark.parametrize(
    ("prepare", "reason"), UNFINISHED, ids=[f"{n}-{told:.30}" for n, (_, told) in enumerate(UNFINISHED)]
)
def test_a_hotfix_that_is_refused_leaves_all_as_it_was(
    prepare: Callable[[Repository], None], reason: str, mended: Repository, artisan: Artisan
) -> None:
    prepare(mended)
    before = mended.state()
    status, told = artisan(*FINISH)

    assert status in (1, 2)
    assert told.count("\n") == 1
    assert reason in told
    assert mended.state() == before
    if prepare in OVERRIDDEN:
        assert (artisan(*FINISH, "--override=the site is down")[0] == 0) is OVERRIDDEN[prepare]
        assert (mended.state() == before) is not OVERRIDDEN[prepare]
        assert ("override = the site is down" in artisan("release", "show", VERSION)[1]) is OVERRIDDEN[prepare]


@pytest.mark.parametrize(
    "given", ["--no-model=", "--verdict=none.json", "--verdict=app.py", "--notes= ", "--notes=a\nOverride: b"]
)
def test_what_can_not_be_recorded_is_refused(given: str, mended: Repository, artisan: Artisan) -> None:
    before = mended.state()
    try:
        status, told = artisan(*FINISH, given)
    except SystemExit as error:  # argparse's
        status, told = int(str(error.code)), "-"

    assert (status, bool(told)) in ((1, True), (2, True))
    assert mended.state() == before
