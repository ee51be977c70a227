"""The commit that a change is compared with: its files as they were, whatever the change has done to them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pytest_artisan.gates import tools
from pytest_artisan.gates.gate import NoEvidence

_GIT_S = 60.0


def commit_of(root: Path, ref: str) -> str:
    """The id of the commit that `ref` names. Raises NoEvidence."""
    answer = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if answer.status != 0:
        raise NoEvidence(f"git knows no commit {ref!r} here; a shallow clone has to fetch it (git fetch origin {ref})")
    return answer.stdout.strip()


@contextmanager
def checked_out(root: Path, commit: str, *names: str) -> Iterator[Path]:
    """A temporary folder in the place of `root`, with the commit's files: those of these names below it, or all there are.

    It is empty where the commit has none. Raises NoEvidence.
    """
    top, below = Path(_told(root, "--show-toplevel")), _told(root, "--show-prefix")
    with tempfile.TemporaryDirectory(prefix="artisan-base-") as name:
        tree = Path(name, "files")
        (tree / below).mkdir(parents=True)
        # Not by `git archive`, from which .gitattributes may leave files out; and not by the change's index.
        index = {"GIT_INDEX_FILE": str(Path(name, "index"))}
        _done(top, "read-tree", commit, extra=index)
        wanted = ["--", *(f"{below}{one}" for one in names)] if names else ["--all"]
        # Of names that are not in the commit it says nothing, and ends with 1.
        _git(top, "checkout-index", "--quiet", f"--prefix={tree}/", *wanted, extra=index)
        for one in _tracked(top, commit, wanted[1:]) if names else ():
            if not os.path.lexists(tree / one):
                raise NoEvidence(f"git can not check out {one} of {commit[:12]}")
        yield tree / below


def is_of_the_change(root: Path, name: str) -> bool:
    """Whether this path, or what it leads to, is in git, so that the change may have put it there. Raises NoEvidence."""
    top = Path(_told(root, "--show-toplevel")).resolve()
    # A tracked folder says nothing of what lies in it beside its files; a link or a submodule is an entry of its own.
    places = {Path(os.path.abspath(root / name)), (root / name).resolve()}
    inside = [place.relative_to(top) for place in places if place.is_relative_to(top)]
    wanted = {part.as_posix() for place in inside for part in (place, *place.parents)} - {"."}
    if not wanted:
        return False
    told = _done(top, "--literal-pathspecs", "ls-files", "-z", "--", *sorted(wanted)).stdout.split("\0")
    return not wanted.isdisjoint([*told, *_tracked(top, "HEAD", sorted(wanted))])


def _tracked(top: Path, commit: str, names: Sequence[str]) -> list[str]:
    """Those of these paths from the top that are entries of a commit."""
    return _done(top, "ls-tree", "-z", "--name-only", commit, "--", *names).stdout.split("\0")[:-1]


def way_up(root: Path) -> str:
    """The way from `root` to the top of its repository, such as "../", as `root` is written. Raises NoEvidence."""
    return _told(root, "--show-cdup")


def _told(root: Path, option: str) -> str:
    return _done(root, "rev-parse", option).stdout.rstrip("\n")


def _done(root: Path, *arguments: str, extra: dict[str, str] | None = None) -> tools.Answer:
    answer = _git(root, *arguments, extra=extra)
    if answer.status != 0:
        raise NoEvidence(f"git {' '.join(arguments[:2])} failed: {answer.stderr.strip() or answer.status}")
    return answer


def _git(root: Path, *arguments: str, extra: dict[str, str] | None = None) -> tools.Answer:
    return tools.run("git", list(arguments), cwd=root, timeout_s=_GIT_S, extra=extra)
