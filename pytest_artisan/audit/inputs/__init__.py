"""What is installed, from the files that say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_artisan.audit.inputs.installed import ENVIRONMENT, installed
from pytest_artisan.audit.inputs.project import PYPROJECT, project
from pytest_artisan.audit.inputs.pylock import is_pylock, pylock
from pytest_artisan.audit.inputs.requirements import requirements
from pytest_artisan.audit.inputs.uv_lock import UV_LOCK, uv_lock
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin, Unaudited

_KNOWN = (
    "requirements files (*.txt, *.in), pylock.toml and pylock.*.toml, "
    f"{UV_LOCK}, {PYPROJECT} and {ENVIRONMENT!r} can be read"
)


def inventory_of(root: Path, files: Sequence[str]) -> Inventory:
    """All that files install, or that is installed in this interpreter, for the word "environment".

    Raises NoAudit for a file that is missing, can not be read, is of an unknown kind or installs nothing.
    """
    parts = [_part(root, file) for file in dict.fromkeys(files)]
    requires: dict[str, set[str]] = {}
    for name, needed in (one for part in parts for one in part.requires.items()):
        requires.setdefault(name, set()).update(needed)
    found: list[Pin | Unaudited] = [pin for part in parts for pin in part.pins]
    found += [one for part in parts for one in part.unaudited]
    own = next((part.root for part in parts if part.root != ("", "")), ("", ""))
    return Inventory.of(dict.fromkeys(found), requires, own)


def _part(root: Path, file: str) -> Inventory:
    part = installed(root) if file == ENVIRONMENT else _reader(file)(root, file)
    if not part.pins and not part.unaudited:
        raise NoAudit(f"{file}: installs nothing, so there is nothing to audit")
    return part


def _reader(file: str) -> Callable[[Path, str], Inventory]:
    name = Path(file).name
    if is_pylock(name):
        return pylock
    if name == UV_LOCK:
        return uv_lock
    if name == PYPROJECT:
        return project
    if name.endswith((".txt", ".in")):
        return requirements
    raise NoAudit(f"{file}: is of an unknown kind; {_KNOWN}")
