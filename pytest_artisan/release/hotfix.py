"""A hotfix: its branch from main, and the merge that brings it back. Nothing but git, and no working tree but the user's."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pytest_artisan.git import at_remote, commit_of, done, git, shown, to_its_end
from pytest_artisan.release.record import Entry, note, who
from pytest_artisan.release.tagging import Move
from pytest_artisan.release.worktree import worktree
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence

PREFIX = "hotfix/"
MAIN = "refs/heads/main"


def start(root: Path, name: str, why: str, now: datetime) -> str:
    """Make the branch of a new hotfix from main, and go there; returns its name. On any error nothing is changed.

    Raises SettingsError and NoEvidence.
    """
    branch = PREFIX + name.removeprefix(PREFIX)
    described = any(map(str.isalnum, branch[len(PREFIX) :]))
    if not described or git(root, "check-ref-format", "--branch", branch).status != 0:
        raise SettingsError(f"{branch!r} is no name for it; write words with hyphens, such as login-loop")
    before, commit = branch_here(root), commit_of(root, MAIN)
    if told := worktree(root).told:
        raise SettingsError(f"commit or stash what differs from the last commit: {told}")
    with to_its_end():
        # Of two at once, one makes it.
        done(root, "branch", "--no-track", branch, commit)
        try:
            done(root, "switch", "--quiet", "--no-overwrite-ignore", branch)
            note(root, Entry(at=now, who=who(root), action="hotfix start", subject=f"{branch} from {commit}", why=why))
        except BaseException:
            # Whatever a hook answers: the branch can not go while it is checked out.
            git(root, "switch", "--quiet", before)
            done(root, "branch", "--quiet", "-D", branch)
            raise
    return branch


def branch_here(root: Path) -> str:
    """The branch that is checked out; raises SettingsError where none is."""
    answer = git(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    if answer.status != 0:
        raise SettingsError("no branch is checked out here (detached HEAD); go to one with git switch")
    return answer.stdout.strip()


def check_main_at(root: Path, remote: str) -> None:
    """Raises SettingsError where the remote's main is not the one here, and NoEvidence."""
    here, there = commit_of(root, MAIN), at_remote(root, "ls-remote", "--", remote, MAIN).partition("\t")[0]
    if here != there:
        told = f"main is {there[:12] or 'missing'} at {shown(remote)}, and {here[:12]} here"
        raise SettingsError(f"{told}; bring them together first, by git pull or git push")


def merge(root: Path, branch: str, head: str, text: str, now: datetime) -> Move:
    """The move of main to a commit that merges `head`, the branch's, into it; nothing names that commit yet.

    Raises SettingsError where git can not merge them by itself, and NoEvidence.
    """
    main = commit_of(root, MAIN)
    if git(root, "merge-base", "--is-ancestor", head, main).status == 0:
        raise SettingsError(f"{branch} has no commit that main has not")
    if place := _checked_out(root):
        raise SettingsError(f"main is checked out in {place}, where its files would stay behind; go to a branch there")
    # Nothing is checked out for it, so nothing is left behind.
    merged = git(root, "merge-tree", "--write-tree", "--name-only", "-z", main, head)
    tree, *files = merged.stdout.partition("\0\0")[0].rstrip("\0").split("\0")
    if merged.status == 1:
        told = f"{branch} and main disagree in {', '.join(files)}"
        raise SettingsError(f"{told}; merge main into {branch}, and have it judged again")
    if merged.status != 0:
        raise NoEvidence(f"git merge-tree --write-tree failed, which git has from 2.38: {merged.stderr.strip()}")
    when = {f"GIT_{role}_DATE": f"{int(now.timestamp())} +0000" for role in ("AUTHOR", "COMMITTER")}
    made = done(root, "commit-tree", tree, "-p", main, "-p", head, "-F", "-", stdin=text, extra=when)
    return Move(MAIN, main, made.stdout.strip())


def _checked_out(root: Path) -> str:
    """Where main is checked out; it must not move under its files."""
    for entry in done(root, "worktree", "list", "--porcelain", "-z").stdout.split("\0\0"):
        lines = entry.split("\0")
        if f"branch {MAIN}" in lines:
            return lines[0].removeprefix("worktree ")
    return ""
