"""The branch main, as this clone knows it: what is on it, and since when."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from pytest_artisan.git import done, file_at, git, in_repository, is_shallow
from pytest_artisan.release.train.timetable import WHERE, Train, load_train, train_of
from pytest_artisan.settings import SettingsError, artisan_table
from pytest_artisan.verdict.evidence import NoEvidence

# What was fetched counts more than a branch of this clone, on which nothing was reviewed.
_NAMES = ("refs/remotes/origin/main", "refs/heads/main")


def id_of(root: Path, ref: str) -> str | None:
    """The id of the commit that a full ref names; None where there is no such ref. Raises NoEvidence without git."""
    return git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").stdout.strip() or None


def main_of(root: Path) -> str:
    """The full ref of origin's main, else of main. Raises NoEvidence where there is neither."""
    there = done(root, "for-each-ref", "--format=%(refname)", *_NAMES).stdout.splitlines()
    for name in _NAMES:
        if name in there:
            return name
    raise NoEvidence("this clone has no branch main; fetch it (git fetch origin main:refs/remotes/origin/main)")


def train_in_force(root: Path) -> Train:
    """What counts at `root`: main's timetable, so that no branch opens a window for itself, and freezes of either.

    Outside of a repository it is that of the project. Raises SettingsError and NoEvidence.
    """
    here = load_train(root)
    if not in_repository(root):
        return here
    main = train_of(artisan_at(root, main_of(root)), f"main: {WHERE}")
    return msgspec.structs.replace(main, freezes=(*here.freezes, *main.freezes))


def artisan_at(root: Path, main: str) -> Mapping[str, Any]:
    """The table [tool.artisan] as main has it, empty where there is none. Raises SettingsError and NoEvidence."""
    text = file_at(root, main, "pyproject.toml") or ""
    try:
        return artisan_table(tomllib.loads(text), f"main: {WHERE}")
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"pyproject.toml of main: {error}") from None


def contains(root: Path, ref: str, commit: str) -> bool:
    """Whether `commit` is `ref` or comes before it. Raises NoEvidence where a shallow clone can not tell."""
    status = git(root, "merge-base", "--is-ancestor", commit, ref).status
    if status == 0:
        return True
    if status != 1:
        raise NoEvidence(f"git can not say whether {commit[:12]} comes before {ref}")
    _check_whole(root)
    return False


def main_before(root: Path, at: datetime) -> str:
    """What was main just before the moment `at`, by the times of its own commits and merges. Raises NoEvidence."""
    last = (at - timedelta(seconds=1)).isoformat()
    found = done(root, "rev-list", "-1", "--first-parent", f"--before={last}", main_of(root)).stdout.strip()
    if not found:
        _check_whole(root)
        raise NoEvidence(f"main has no commit from before {last}")
    return found


def _check_whole(root: Path) -> None:
    if is_shallow(root):
        raise NoEvidence("this clone is shallow, so its history can not tell; git fetch --unshallow completes it")
