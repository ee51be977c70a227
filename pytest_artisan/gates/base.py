"""The commit that a change is compared with: its files as they were, whatever the change has done to them."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
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
    """A temporary folder with the commit's files below `root`: those of these names that it has, or all. Raises NoEvidence."""
    with tempfile.TemporaryDirectory(prefix="artisan-base-") as name:
        folder = Path(name)
        archive, tree = folder / "files.tar", folder / "files"
        tree.mkdir()
        wanted = _tracked(root, commit, names) if names else ["."]
        if wanted:
            answer = _git(root, "archive", "--format=tar", f"--output={archive}", commit, "--", *wanted)
            if answer.status != 0:
                raise NoEvidence(f"git can not read the files of {commit[:12]}: {answer.stderr.strip()}")
            with tarfile.open(archive) as files:
                files.extractall(tree, filter="data")
        yield tree


def is_tracked(root: Path, name: str) -> bool:
    """Whether the change has this path in git, so that it may have put it there. Raises NoEvidence."""
    return bool(_git(root, "--literal-pathspecs", "ls-files", "-z", "--", name).stdout)


def _tracked(root: Path, commit: str, names: tuple[str, ...]) -> list[str]:
    answer = _git(root, "ls-tree", "-z", "--name-only", commit, "--", *names)
    return [name for name in answer.stdout.split("\0") if name]


def _git(root: Path, *arguments: str) -> tools.Answer:
    return tools.run("git", list(arguments), cwd=root, timeout_s=_GIT_S)
