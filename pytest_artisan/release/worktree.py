"""What of a repository lies on disk: the commit, and what differs from it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_artisan.git import done, in_repository, told
from pytest_artisan.verdict.evidence import NoEvidence

CHANGED = "+changed"
# Whatever is configured, a file is looked at where anything of it is another than git remembers, its ctime too, which
# nobody can set; and nobody is asked whether something changed.
_LOOKING = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_CONFIG_COUNT": "3",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "core.trustctime",
    "GIT_CONFIG_VALUE_1": "true",
    "GIT_CONFIG_KEY_2": "core.checkStat",
    "GIT_CONFIG_VALUE_2": "default",
}


@dataclass(frozen=True, slots=True)
class Worktree:
    """The id of HEAD's commit, empty before the first one, and paths from the repository's top.

    `changed` are tracked files that differ from it, or of which git was told not to look (assume-unchanged, sparse), in
    submodules too; `untracked` those that are neither tracked nor ignored.
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
    """The state of the repository that `root` is in. Raises NoEvidence outside of one."""
    options = ("--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--ignore-submodules=none", "--no-renames")
    commit, changed, untracked = "", list[str](), list[str]()
    for entry in done(root, "status", *options, extra=_LOOKING).stdout.split("\0"):
        kind, _, rest = entry.partition(" ")
        if kind == "#" and rest.startswith("branch.oid ") and "(" not in rest:
            commit = rest.removeprefix("branch.oid ")
        elif kind in ("1", "u"):
            changed.append(rest.split(" ", 7 if kind == "1" else 9)[-1])
        elif kind == "?":
            untracked.append(rest)
    submodules = []
    for entry in done(root, "ls-files", "-v", "-s", "-z", "--full-name", ":/").stdout.split("\0"):
        about, _, name = entry.partition("\t")
        # A small letter is a file that git takes to be unchanged, S one that it does not expect on disk.
        if about[:1].islower() or about.startswith("S"):
            changed.append(name)
        elif about[2:].startswith("160000 "):
            submodules.append(name)
    top = Path(told(root, "--show-toplevel")) if submodules else root
    for name in submodules:
        if (top / name / ".git").exists():
            changed += [f"{name}/{one}" for one in worktree(top / name).changed]
        elif (top / name).is_dir() and any((top / name).iterdir()):
            untracked.append(f"{name}/")  # where git does not look, as it has not put the submodule there
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
