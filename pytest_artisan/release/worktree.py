"""What of a repository lies on disk: the commit, and what differs from it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_artisan.git import done, in_repository
from pytest_artisan.verdict.evidence import NoEvidence

CHANGED = "+changed"


@dataclass(frozen=True, slots=True)
class Worktree:
    """The id of HEAD's commit, empty before the first one, and paths from the repository's top.

    `changed` are tracked files that differ from it, or of which git was told not to look (assume-unchanged, sparse);
    `untracked` those that are neither tracked nor ignored.
    """

    commit: str = ""
    changed: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The commit's id, with "+changed" behind it where the files on disk are not just those of it."""
        return self.commit + CHANGED if self.commit and (self.changed or self.untracked) else self.commit

    @property
    def told(self) -> str:
        """What differs, for people: the first of each kind; empty where nothing does."""
        kinds = {"changed": self.changed, "untracked": self.untracked}
        return ", ".join(f"{kind} {_first(paths)}" for kind, paths in kinds.items() if paths)


def _first(paths: tuple[str, ...]) -> str:
    return paths[0] + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")


def worktree(root: Path) -> Worktree:
    """The state of the repository that `root` is in, by two questions to git. Raises NoEvidence outside of one."""
    options = ("--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--ignore-submodules=none", "--no-renames")
    commit, changed, untracked = "", list[str](), list[str]()
    for entry in done(root, "--no-optional-locks", "status", *options).stdout.split("\0"):
        kind, _, rest = entry.partition(" ")
        if kind == "#" and rest.startswith("branch.oid ") and "(" not in rest:
            commit = rest.removeprefix("branch.oid ")
        elif kind in ("1", "u"):
            changed.append(rest.split(" ", 7 if kind == "1" else 9)[-1])
        elif kind == "?":
            untracked.append(rest)
    # A small letter is a file that git takes to be unchanged, S one that it does not expect on disk.
    listed = done(root, "ls-files", "-v", "-z", "--full-name", ":/").stdout.split("\0")
    changed += [entry[2:] for entry in listed if entry[:1].islower() or entry.startswith("S")]
    return Worktree(commit, tuple(changed), tuple(untracked))


def surroundings(root: Path) -> Worktree:
    """The same for who can do without: empty outside of a repository, and where git is missing or refuses."""
    if not in_repository(root):
        return Worktree()
    with suppress(NoEvidence):
        return worktree(root)
    return Worktree()


def moved(before: Worktree, after: Worktree) -> str:
    """How the commit of a run is another one at its end, for people; empty where it is the same.

    What was clean has to stay so, but for new files: reports are such. What was not is no commit anyway.
    """
    if before.commit != after.commit:
        return f"HEAD was {before.commit[:12] or 'no commit'} at the start, and is {after.commit[:12] or 'none'} now"
    if after.changed and not (before.changed or before.untracked):
        return f"the files of {before.commit[:12]} changed during the run: {_first(after.changed)}"
    return ""
