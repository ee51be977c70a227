"""What is installed in the interpreter that runs this."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pytest_artisan.audit.inventory import Inventory, Pin, Unaudited
from pytest_artisan.audit.matching import version_of

ENVIRONMENT = "environment"


def installed(root: Path) -> Inventory:
    """All distributions, of one name the first that is found, as an import does; the project at `root` is no pin."""
    pins: dict[str, Pin | Unaudited] = {}
    requires: dict[str, tuple[str, ...]] = {}
    own = ("", "")
    for distribution in distributions():
        stated, version = distribution.metadata["Name"], distribution.metadata["Version"]
        if not stated or not version:
            where = getattr(distribution, "_path", None)
            name = f"metadata in {where.name if where else '?'}"
            pins.setdefault(name, Unaudited(name, ENVIRONMENT, 1, "has no name or no version"))
            continue
        name = canonicalize_name(stated)
        if name in pins or name == own[0]:
            continue
        address = _address(distribution)
        if address is not None and _is_of(address, root):
            own = name, version
        elif address is not None:
            pins[name] = Unaudited(name, ENVIRONMENT, 1, "comes from an address, not from the index")
        else:
            pins[name] = Pin(name, _exact(version), ENVIRONMENT, 1)
        requires[name] = tuple(sorted(_needed(distribution)))
    ordered = [pins[name] for name in sorted(pins)]
    return Inventory(
        pins=tuple(one for one in ordered if isinstance(one, Pin)),
        unaudited=tuple(one for one in ordered if isinstance(one, Unaudited)),
        requires={name: tuple(n for n in needed if n in requires) for name, needed in requires.items()},
        root=own,
    )


def _exact(version: str) -> str:
    parsed = version_of(version)
    return version if parsed is None else str(parsed)


def _address(distribution: Distribution) -> str | None:
    """Where it was installed from, if not from an index (PEP 610); "" where that can not be read."""
    text = distribution.read_text("direct_url.json")
    if text is None:
        return None
    try:
        return str(json.loads(text)["url"])
    except (ValueError, KeyError, TypeError):
        return ""


def _is_of(address: str, root: Path) -> bool:
    parts = urlsplit(address)
    return parts.scheme == "file" and Path(unquote(parts.path)).resolve() == root.resolve()


def _needed(distribution: Distribution) -> set[str]:
    found = set[str]()
    for text in distribution.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found.add(canonicalize_name(requirement.name))
    return found
