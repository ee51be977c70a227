"""A hotfix at its remote, in a race, cut short, and as the page has it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hotfix_repository
import pytest
from hotfix_repository import FINISH, NOW, SMALLER, VERSION, Artisan, Repository, hook
from sound_project import SECURITY, make_sound

from conftest import Project
from pytest_artisan.release import hotfix
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence

# The fixtures of both modules.
begun, repository, artisan = hotfix_repository.begun, hotfix_repository.repository, hotfix_repository.artisan
at_its_end, mended = hotfix_repository.at_its_end, hotfix_repository.mended


@pytest.fixture
def origin(mended: Repository, tmp_path: Path) -> Repository:
    """The remote of `mended`, with the main that it has."""
    mended.git("clone", "-q", "--bare", ".", "../origin.git")
    mended.git("remote", "add", "origin", "../origin.git")
    return Repository(tmp_path / "origin.git")


def refs(repository: Repository) -> str:
    return repository.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/main", "refs/tags")


def test_main_and_tag_are_pushed_together(mended: Repository, origin: Repository, artisan: Artisan) -> None:
    status, told = artisan(*FINISH, "--push")

    assert status == 0, told
    assert f"tag = {VERSION}, pushed to origin" in told
    assert VERSION in refs(origin)
    assert refs(origin) == refs(mended)


def protect_main(mended: Repository, origin: Repository) -> None:
    hook(origin, "update", 'test "$1" != refs/heads/main || { echo "main is protected" >&2; exit 1; }')


def move_main(mended: Repository, origin: Repository) -> None:
    tree = mended.git("rev-parse", "main^{tree}")
    mended.git(
        "push", "-q", "origin", f"{mended.git('commit-tree', tree, '-p', 'main', '-m', 'theirs')}:refs/heads/main"
    )


def keep_a_commit_back(mended: Repository, origin: Repository) -> None:
    mended.on_main({"own.py": ""})


def lose_the_remote(mended: Repository, origin: Repository) -> None:
    mended.git("remote", "set-url", "origin", "../nowhere.git")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (protect_main, "main is protected"),
        (move_main, "; bring them together first, by git pull or git push"),
        (keep_a_commit_back, "; bring them together first, by git pull or git push"),
        (lose_the_remote, "nowhere.git"),
    ],
    ids=["protected", "moved", "kept back", "lost"],
)
def test_a_push_that_fails_leaves_nothing_behind(
    prepare: Callable[[Repository, Repository], None],
    reason: str,
    mended: Repository,
    origin: Repository,
    artisan: Artisan,
) -> None:
    prepare(mended, origin)
    before, there = mended.state(), refs(origin)
    status, told = artisan(*FINISH, "--push")

    assert status in (1, 2)
    assert told.count("\n") == 1
    assert reason in told
    assert (mended.state(), refs(origin)) == (before, there)


def test_ctrl_c_while_the_remote_thinks_leaves_all_as_it_was(
    mended: Repository, origin: Repository, artisan: Artisan
) -> None:
    hook(origin, "pre-receive", f"kill -INT {os.getpid()}; sleep 60")
    before, there = mended.state(), refs(origin)

    assert artisan(*FINISH, "--push") == (130, "artisan: interrupted\n")
    assert (mended.state(), refs(origin)) == (before, there)


def test_ctrl_c_at_the_last_step_waits_for_it(mended: Repository, artisan: Artisan) -> None:
    hook(mended, "reference-transaction", f'test "$1" != prepared || kill -INT {os.getpid()}')

    assert artisan(*FINISH) == (130, "artisan: interrupted\n")
    assert mended.git("rev-parse", f"{VERSION}^{{commit}}") == mended.git("rev-parse", "main^2")
    assert not list((mended.path / ".git").rglob("*.lock.lock"))


def test_ctrl_c_while_it_starts_waits_for_the_record(repository: Repository, artisan: Artisan) -> None:
    hook(repository, "post-checkout", f"kill -INT {os.getpid()}")

    assert artisan("hotfix", "start", "a") == (130, "artisan: interrupted\n")
    assert repository.git("symbolic-ref", "--short", "HEAD") == "hotfix/a"
    assert len(repository.on_record()) == 1


def test_of_two_at_once_one_wins_and_the_other_is_told_in_a_line(mended: Repository) -> None:
    command = [sys.executable, "-m", "pytest_artisan", *FINISH]
    racers = [subprocess.Popen(command, stdout=-1, stderr=-1, text=True) for _ in range(2)]
    ends = sorted((process.communicate()[1].count("\n"), process.returncode) for process in racers)

    assert ends[0] == (0, 0)
    assert ends[1] in ((1, 1), (1, 2))
    assert len(mended.git("tag").splitlines()) == 1
    assert mended.git("status", "--porcelain") == ""


def test_of_two_that_start_at_once_one_wins(repository: Repository) -> None:
    def begin(why: str) -> str:
        try:
            return hotfix.start(repository.path, "a", why, NOW)
        except (SettingsError, NoEvidence) as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(begin, ("one", "other")))

    assert told.count("hotfix/a") == 1
    assert len(repository.on_record()) == 1
    assert repository.git("status", "-sb") == "## hotfix/a"


def test_the_page_is_typed_from_top_to_bottom(
    project: Project, monkeypatch: pytest.MonkeyPatch, artisan: Artisan, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What docs/hotfix.md shows first, in a project that meets the policy hotfix by its tests and a small snapshot."""
    monkeypatch.setenv("HOME", str(project.path))
    monkeypatch.chdir(project.path)
    make_sound(project)
    project.policy(f'required = ["unit"]\n{SECURITY}\n{SMALLER}')
    project.write(".gitignore", "advisories\nrecords.jsonl\n__pycache__\n.*_cache\n.artisan\nverdict.json\n")
    project.tests("def test_one(): assert 1 == 2\n@pytest.mark.smoke\ndef test_it_answers(): pass")
    repository = Repository(project.path)
    repository.git("init", "-q", "-b", "main")
    repository.git("config", "user.name", "Ada")
    repository.git("config", "user.email", "ada@example.org")
    repository.commit("begin", {})
    repository.git("clone", "-q", "--bare", ".", str(tmp_path_factory.mktemp("origin") / "origin.git"))
    repository.git("remote", "add", "origin", str(tmp_path_factory.getbasetemp() / "origin0/origin.git"))
    page = Path(__file__).parent.parent / "docs/hotfix.md"
    [block] = re.findall(r"^```bash\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        tool, *arguments = shlex.split(line)
        if tool == "git":
            project.tests("def test_one(): pass\n@pytest.mark.smoke\ndef test_it_answers(): pass")
            repository.git(*arguments)
        elif tool == "pytest":
            assert project.plain(*arguments).last_line == "GO"
        else:
            assert artisan(*arguments)[0] == 0, line

    assert repository.git("ls-remote", "origin", "main").startswith(repository.git("rev-parse", "main"))
    assert repository.git("log", "-1", "--format=%s", "main^2") == "Mend the login loop"
    assert VERSION in repository.git("ls-remote", "--tags", "origin")
