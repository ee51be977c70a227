"""What is installed in the interpreter that runs this."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidName, canonicalize_name

from pytest_artisan.audit.inputs.ranges import applies
from pytest_artisan.audit.inputs.written import ADDRESS, exact
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin, Unaudited

if TYPE_CHECKING:
    from importlib.metadata import Distribution

ENVIRONMENT = "environment"
_EGG = ".egg-info"


def installed(root: Path) -> Inventory:
    """All distributions, of one name those of the first folder that has it, as an import does; the project at `root` is
    no pin.

    One folder has two of one name after an upgrade that failed; nobody can tell which of them an import gets.
    """
    from importlib.metadata import distributions

    folders: dict[str, Path] = {}
    found: dict[Pin | Unaudited, None] = {}
    requires: dict[str, set[str]] = {}
    own = ("", "")
    for distribution in distributions():
        path = _path(distribution)
        name, version, needs = _stated(distribution, path)
        if not name or not version:
            found[Unaudited(f"metadata in {path.name}", ENVIRONMENT, 1, "has no name or no version")] = None
            continue
        if folders.setdefault(name, path.parent) != path.parent:
            continue
        requires.setdefault(name, set()).update(_needed(needs))
        address = _address(distribution)
        if _is_source(path, root) or (address is not None and _is_of(address, root)):
            own = name, version
        elif address is not None:
            found[Unaudited(name, ENVIRONMENT, 1, ADDRESS)] = None
        else:
            found[Pin(name, version, ENVIRONMENT, 1)] = None
    return Inventory.of(
        sorted(found, key=lambda one: (one.name, str(one))),
        {name: tuple(sorted(needed & requires.keys())) for name, needed in requires.items()},
        own,
    )


def _path(distribution: Distribution) -> Path:
    """Where its metadata are; one that another kind of finder gives has no such place."""
    return Path(str(getattr(distribution, "_path", "?")))


def _stated(distribution: Distribution, path: Path) -> tuple[str, str, list[str]]:
    """Its canonical name, its version and what it needs; "" for what can not be read or is no name."""
    try:
        metadata = distribution.metadata
        name, version = (next(iter(metadata.get_all(key, [])), "") for key in ("Name", "Version"))
        needs = metadata.get_all("Requires-Dist", [])
        # Only the old form has them in a file of their own; to ask each would read all metadata twice.
        if path.suffix == _EGG:
            needs = distribution.requires or []
        return canonicalize_name(name, validate=True), exact(version, ENVIRONMENT), needs
    except (InvalidName, NoAudit, OSError, ValueError):
        return "", "", []


def _address(distribution: Distribution) -> str | None:
    """Where it was installed from, if not from an index (PEP 610); "" where that can not be read."""
    try:
        text = distribution.read_text("direct_url.json")
        return None if text is None else str(json.loads(text)["url"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _is_source(path: Path, root: Path) -> bool:
    """Whether a build left it in the project's own source, where `python -m pytest` finds it as well."""
    return path.suffix == _EGG and path.parent.resolve() in (root.resolve(), (root / "src").resolve())


def _is_of(address: str, root: Path) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme == "file" and Path(unquote(parts.path)).resolve() == root.resolve()
    except ValueError:
        return False


def _needed(texts: Iterable[str]) -> set[str]:
    found = set[str]()
    for text in texts:
        try:
            requirement = Requirement(text)
            if applies(requirement.marker, text):
                found.add(canonicalize_name(requirement.name))
        except (InvalidRequirement, NoAudit):
            continue
    return found
