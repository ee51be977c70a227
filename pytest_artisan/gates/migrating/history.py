"""Which revisions a release holds, by git alone, and since when: nothing of an older commit is ever run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from pytest_artisan.gates.base import checked_out
from pytest_artisan.gates.migrating.judging import Fault
from pytest_artisan.gates.migrating.steps import Directory
from pytest_artisan.git import done, git, is_shallow
from pytest_artisan.release.tags import Release, releases
from pytest_artisan.verdict.evidence import NoEvidence


@dataclass(frozen=True, slots=True)
class Program:
    """A revision's file in a commit: its path, and its code without comments and layout."""

    path: str
    code: str


@dataclass(frozen=True, slots=True)
class History:
    """The releases, and by revision the programs that they hold.

    `tagged` are also the revisions of all other tags: of those nobody has judged any, but a database may have run them.
    """

    root: Path
    releases: tuple[Release, ...]
    released: Mapping[str, frozenset[Program]]
    tagged: frozenset[str]

    def changes(self, directory: Directory) -> Iterator[Fault]:
        """What was done to revisions since they were released."""
        there = {revision.id: revision.path for revision in directory.revisions}
        for id_, programs in self.released.items():
            if id_ not in there:
                # A revision of another script directory is still there.
                gone = sorted(one.path for one in programs if not (self.root / one.path).exists())
                if gone:
                    yield Fault(id_, "missing-revision", f"{gone[0]} is gone", gone[0])
            elif _code(self.root / there[id_]) not in {one.code for one in programs}:
                yield Fault(id_, "changed-revision", "it is not what was released", there[id_])

    def may_not_drop(self, revision: str, days: int, now: datetime) -> str | None:
        """Why a column that the revision made nullable may not be dropped yet; None where it may."""
        if revision not in self.released:
            return f"nullable by revision {revision}, which no release has yet"
        by_time = sorted(self.releases, key=lambda release: release.at)
        first = next(one for one in by_time if revision in programs_at(self.root, one.commit))
        # No release is older than its commit, whatever its tag says.
        made = int(done(self.root, "show", "--no-patch", "--format=%ct", first.commit).stdout)
        due = max(first.at, datetime.fromtimestamp(made, UTC)) + timedelta(days=days)
        if now >= due:
            return None
        return f"nullable since {first.version} of {first.at:%Y-%m-%d}, so not before {due:%Y-%m-%d %H:%M} UTC"


def history_of(root: Path) -> History:
    """Of the repository that `root` is in. Raises NoEvidence, for a shallow clone too: it does not know its tags."""
    if is_shallow(root):
        raise NoEvidence("a shallow clone does not know its releases; fetch all of it, with its tags (fetch-depth: 0)")
    sound = tuple(one for one in releases(root) if one.commit and not one.fault)
    tags = done(root, "rev-list", "--no-walk", "--tags").stdout.split()
    if not tags and git(root, "config", "--get-regexp", r"^remote\..*\.tagopt$", "--no-tags").status == 0:
        raise NoEvidence("a clone without tags does not know its releases; git fetch --tags")
    programs: dict[str, set[Program]] = {}
    for commit in _tips(root, [one.commit for one in sound]):
        for id_, program in programs_at(root, commit).items():
            programs.setdefault(id_, set()).add(program)
    tagged = {id_ for commit in _tips(root, tags) for id_ in programs_at(root, commit)}
    return History(root, sound, {id_: frozenset(found) for id_, found in programs.items()}, frozenset(tagged))


def _tips(root: Path, commits: list[str]) -> list[str]:
    """Those that no other one contains."""
    if not commits:
        return []
    return done(root, "merge-base", "--independent", *sorted(set(commits))).stdout.split()


@lru_cache(maxsize=256)
def programs_at(root: Path, commit: str) -> Mapping[str, Program]:
    """The revisions in a commit's files below `root`, wherever they stand. Raises NoEvidence."""
    # Their folder may have had another name.
    found = git(root, "grep", "-z", "-l", "-E", "^revision( *:.*)? *=", commit, "--", "*.py")
    if found.status > 1:
        raise NoEvidence(f"git grep failed: {found.stderr.strip()}")
    names = [entry.removeprefix(f"{commit}:") for entry in found.stdout.split("\0")[:-1]]
    if not names:
        return {}
    with checked_out(root, commit, *names) as folder:
        ids = {name: _id(folder / name, f"{name} of {commit[:12]}") for name in names}
        return {id_: Program(name, _code(folder / name)) for name, id_ in ids.items() if id_ is not None}


def _id(path: Path, what: str) -> str | None:
    """What a file assigns to `revision`; None for one that has no `down_revision`, and so is no revision."""
    values: dict[str, ast.expr | None] = {}
    for node in _parsed(path, what).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            values |= {target.id: node.value for target in targets if isinstance(target, ast.Name)}
    if "down_revision" not in values:
        return None
    value = values.get("revision")
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        raise NoEvidence(f"{what}: revision is no plain string, so nobody can tell what was released")
    return value.value


def _code(path: Path) -> str:
    tree = _parsed(path, path.name)
    # Alembic writes the date and the parent into the docstring, for people.
    body = tree.body[1:] if ast.get_docstring(tree) is not None else tree.body
    return "\n".join(map(ast.unparse, body))


def _parsed(path: Path, what: str) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        raise NoEvidence(f"{what} can not be read: {error}") from None
