"""A verdict says which commit it is about, and that it stayed the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from release_house import git

from conftest import Project, Run
from pytest_artisan.ledger import replay
from pytest_artisan.release.worktree import Worktree, moved, worktree
from pytest_artisan.verdict.decide import Verdict, decide

CLEAN = "__pycache__/\nverdict.json\nj.jsonl\n"


def commit(project: Project, ignored: str = CLEAN) -> str:
    project.write(".gitignore", ignored)
    git(project.path, "init", "-q", "-b", "main", "--template=")
    git(project.path, "add", ".")
    git(project.path, "commit", "-q", "-m", "first")
    return git(project.path, "rev-parse", "HEAD")


def told(run: Run) -> Verdict:
    assert run.verdict is not None
    return run.verdict


def test_the_verdict_names_its_commit(project: Project) -> None:
    project.tests("def test_it(): open('new.txt', 'w').close()")
    head = commit(project)
    run = project.run("--artisan-journal=j.jsonl")
    assert run.last_line == "GO"
    assert told(run).commit == head
    assert f"commit {head[:12]}, policy sha256:" in run.out
    assert "not just its commit" not in run.out
    assert decide(*replay(project.path / "j.jsonl")).commit == head
    # What the run itself left is in the way of the next one, which says so.
    run = project.run()
    assert told(run).commit == f"{head}+changed"
    assert "artisan: not just its commit: untracked new.txt\n" in run.out
    assert f"commit {head[:12]}+changed, policy" in run.out
    assert run.last_line == "GO"


def test_a_report_of_an_earlier_run_is_gone_before_the_tree_is_looked_at(project: Project) -> None:
    project.tests("def test_it(): pass")
    head = commit(project, "__pycache__/\n")
    project.write("verdict.json", "left by an earlier run")
    assert told(project.run()).commit == head


GIT = "git -c user.name=x -c user.email=x"
MOVES = {
    "a commit": (f"{GIT} commit -q --allow-empty -m second", "HEAD was "),
    "another branch": ("git checkout -q --orphan other", "and is none now"),
    "an edit": ("echo '# x' >> test_it.py", "changed during the run: test_it.py"),
    "the end of the repository": ("mv .git gone", "and is none now"),
}


@pytest.mark.parametrize(("command", "said"), MOVES.values(), ids=MOVES)
def test_a_commit_that_changes_in_mid_run_is_no_go(project: Project, command: str, said: str) -> None:
    project.tests(f"def test_it():\n    import os\n    assert os.system({command!r}) == 0")
    head = commit(project, "__pycache__/\nverdict.json\ngone/\n")
    run = project.run()
    assert run.status == 1
    [reason] = told(run).reasons
    assert reason.subject == "commit_changed"
    assert said in reason.text
    assert told(run).commit == head


def test_outside_of_a_repository_there_is_no_commit(project: Project) -> None:
    project.tests("def test_it(): pass")
    run = project.run()
    assert (told(run).commit, told(run).policy) == ("", "")
    assert "environment dev, policy sha256" in run.out


def test_what_differs_already_may_change_as_it_likes() -> None:
    clean, dirty = Worktree("a"), Worktree("a", ("f",))
    assert moved(clean, Worktree("a", (), ("new",))) == ""
    assert moved(dirty, Worktree("a", ("f", "g"))) == ""
    assert moved(Worktree("a", (), ("u",)), dirty) == ""
    assert moved(clean, dirty) == "the files of a changed during the run: f"
    assert moved(dirty, Worktree("b", ("f",))) == "HEAD was a at the start, and is b now"


def test_git_is_asked_for_every_kind_of_difference(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "--template=")
    assert worktree(tmp_path) == Worktree()
    for name in ("same", "edited", "gone", "assumed", "sparse", "mode", "old name", "가"):
        (tmp_path / name).write_text(f"{name}\n" * 9, encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert worktree(tmp_path) == Worktree(head)
    assert worktree(tmp_path).text == head
    (tmp_path / "below").mkdir()
    (tmp_path / "edited").write_text("x", encoding="utf-8")
    (tmp_path / "gone").unlink()
    os.chmod(tmp_path / "mode", 0o755)  # noqa: S103
    git(tmp_path, "update-index", "--assume-unchanged", "assumed")
    git(tmp_path, "update-index", "--skip-worktree", "sparse")
    git(tmp_path, "mv", "old name", "new name")
    (tmp_path / "below" / "n\n e w").touch()
    git(tmp_path, "config", "status.showUntrackedFiles", "no")
    found = worktree(tmp_path / "below")
    assert set(found.changed) == {"edited", "gone", "mode", "assumed", "sparse", "old name", "new name"}
    assert found.untracked == ("below/n\n e w",)
    assert found.text == f"{head}+changed"


def test_git_is_told_to_look_whatever_is_configured(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "--template=")
    path = tmp_path / "app.py"
    path.write_text("x = 1\n", encoding="utf-8")
    os.utime(path, (1, 1))
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    for key, value in (("core.trustctime", "false"), ("core.checkStat", "minimal")):
        git(tmp_path, "config", key, value)
    other = tmp_path / "other"
    other.write_text("x = 2\n", encoding="utf-8")
    os.utime(other, (1, 1))
    other.rename(path)
    assert git(tmp_path, "status", "--porcelain") == ""
    assert worktree(tmp_path).changed == ("app.py",)


def test_a_submodule_hides_nothing(tmp_path: Path) -> None:
    inside = tmp_path / "lib"
    inside.mkdir()
    (inside / "lib.py").touch()
    for folder in (inside, tmp_path):
        git(folder, "init", "-q", "-b", "main", "--template=")
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", "first")
    assert worktree(tmp_path).told == ""
    git(inside, "update-index", "--assume-unchanged", "lib.py")
    (inside / "lib.py").write_text("evil = 1", encoding="utf-8")
    assert git(tmp_path, "status", "--porcelain") == ""
    assert worktree(tmp_path).changed == ("lib/lib.py",)
    shutil.rmtree(inside / ".git")
    assert git(tmp_path, "status", "--porcelain") == ""
    assert worktree(tmp_path).untracked == ("lib/",)
