"""The commit that a change is compared with: its files as they were, whatever the change has done to them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pytest_artisan.git import done, git, told
from pytest_artisan.verdict.evidence import NoEvidence


@contextmanager
def checked_out(root: Path, commit: str, *names: str) -> Iterator[Path]:
    """A temporary folder in the place of `root`, with the commit's files: those of these names below it, or all there are.

    It is empty where the commit has none. Raises NoEvidence.
    """
    top, below = Path(told(root, "--show-toplevel")), told(root, "--show-prefix")
    with tempfile.TemporaryDirectory(prefix="artisan-base-") as name:
        tree = Path(name, "files")
        (tree / below).mkdir(parents=True)
        # Not by `git archive`, from which .gitattributes may leave files out; and not by the change's index.
        index = {"GIT_INDEX_FILE": str(Path(name, "index"))}
        done(top, "read-tree", commit, extra=index)
        wanted = ["--", *(f"{below}{one}" for one in names)] if names else ["--all"]
        # Of names that are not in the commit it says nothing, and ends with 1.
        git(top, "checkout-index", "--quiet", f"--prefix={tree}/", *wanted, extra=index)
        for one in _tracked(top, commit, wanted[1:]) if names else ():
            if not os.path.lexists(tree / one):
                raise NoEvidence(f"git can not check out {one} of {commit[:12]}")
        yield tree / below


def is_of_the_change(root: Path, name: str) -> bool:
    """Whether this path, or what it leads to, is in git, so that the change may have put it there. Raises NoEvidence."""
    top = Path(told(root, "--show-toplevel")).resolve()
    # A tracked folder says nothing of what lies in it beside its files; a link or a submodule is an entry of its own.
    places = {Path(os.path.abspath(root / name)), (root / name).resolve()}
    inside = [place.relative_to(top) for place in places if place.is_relative_to(top)]
    wanted = {part.as_posix() for place in inside for part in (place, *place.parents)} - {"."}
    if not wanted:
        return False
    entries = done(top, "--literal-pathspecs", "ls-files", "-z", "--", *sorted(wanted)).stdout.split("\0")
    return not wanted.isdisjoint([*entries, *_tracked(top, "HEAD", sorted(wanted))])


def _tracked(top: Path, commit: str, names: Sequence[str]) -> list[str]:
    """Those of these paths from the top that are entries of a commit."""
    return done(top, "ls-tree", "-z", "--name-only", commit, "--", *names).stdout.split("\0")[:-1]


def way_up(root: Path) -> str:
    """The way from `root` to the top of its repository, such as "../", as `root` is written. Raises NoEvidence."""
    return told(root, "--show-cdup")
