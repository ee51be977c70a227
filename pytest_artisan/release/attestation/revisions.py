"""Where the migrations end, by what their files say: nothing of them is run, and Alembic is not needed."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pytest_artisan.git import git
from pytest_artisan.settings import artisan_table, as_table, read_toml
from pytest_artisan.verdict.evidence import NoEvidence

_WHERE = "pyproject.toml [tool.artisan]"


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision of the tree, those before it, and the digest of its file."""

    id: str
    down: tuple[str, ...]
    sha256: str


def revisions_of(root: Path) -> tuple[Revision, ...]:
    """All that git has in the folder `root`; none where Alembic is not configured. Raises SettingsError and NoEvidence."""
    path = root / "pyproject.toml"
    pyproject = read_toml(path) if path.exists() else {}
    table = as_table(artisan_table(pyproject, _WHERE).get("migrations", {}), f"{_WHERE} migrations")
    config = root / str(table.get("config", "alembic.ini"))
    if not config.exists() and "alembic" not in as_table(pyproject.get("tool", {}), "pyproject.toml [tool]"):
        return ()
    both = ("--all-match", "-e", "^revision( *:.*)? *=", "-e", "^down_revision( *:.*)? *=")
    found = git(root, "grep", "-z", "-l", "-E", *both, "--", "*.py")
    if found.status > 1:
        raise NoEvidence(f"git grep failed: {found.stderr.strip()}")
    return tuple(_revision(root, name) for name in found.stdout.split("\0")[:-1])


def heads(revisions: Collection[Revision]) -> list[str]:
    """The ids of those that no other one follows, sorted."""
    before = {id_ for one in revisions for id_ in one.down}
    return sorted({one.id for one in revisions} - before)


def _revision(root: Path, name: str) -> Revision:
    try:
        data = (root / name).read_bytes()
        values = {
            target.id: ast.literal_eval(node.value)
            for node in ast.parse(data).body
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name) and target.id in ("revision", "down_revision")
        }
        id_, down = values["revision"], values["down_revision"] or ()
        parents = (down,) if isinstance(down, str) else tuple(down)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise NoEvidence(f"{name} can not be read as a revision: {error!r}") from None
    if not isinstance(id_, str) or not all(isinstance(one, str) for one in parents):
        raise NoEvidence(f"{name}: revision and down_revision have to be plain strings")
    return Revision(id_, parents, hashlib.sha256(data).hexdigest())
