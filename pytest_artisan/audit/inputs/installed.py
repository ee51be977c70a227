"""What is installed in the interpreter that runs this."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidName, canonicalize_name

from pytest_artisan.audit.inputs.project import name_in
from pytest_artisan.audit.inputs.ranges import applies
from pytest_artisan.audit.inputs.written import ADDRESS, exact
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin, Unaudited

if TYPE_CHECKING:
    from importlib.metadata import Distribution

ENVIRONMENT = "environment"
_EGG = ".egg-info"
_NAMELESS = "has no name or no version"
_IN_TREE = "has metadata in the project's own folder, not where packages are installed"


class _Found(NamedTuple):
    """One distribution: "" for a name and a version that can not be read, `address` None for one of an index."""

    path: Path
    name: str
    version: str
    needs: Sequence[str]
    address: str | None


def installed(root: Path) -> Inventory:
    """All distributions that an import could find, also where one hides another of its name; the project is no pin.

    The project is what was installed from `root`, or was built in it, under its own name. Anything else that lies there,
    outside of where this interpreter has its packages, may say what it likes, and is not audited.
    """
    from importlib.metadata import distributions

    everything = [_stated(distribution) for distribution in distributions()]
    name_here, is_in_tree = name_in(root), _in_tree_of(root)
    by_address = {one.name for one in everything if one.address is not None}
    own, found, requires = ("", ""), dict[Pin | Unaudited, None](), dict[str, set[str]]()
    for one in everything:
        if not one.name or not one.version:
            found[Unaudited(f"metadata in {one.path.name}", ENVIRONMENT, 1, _NAMELESS)] = None
            continue
        requires.setdefault(one.name, set()).update(_needed(one.needs))
        in_tree = is_in_tree(one.path.parent)
        is_here = _is_source(one.path, root) if in_tree else one.address is not None and _is_of(one.address, root)
        if is_here and name_here in (None, one.name):
            own = one.name, one.version
        # What was installed from a folder may have been built there, and is found there as well.
        elif one.address is not None or (one.name in by_address and one.path.suffix == _EGG):
            found[Unaudited(one.name, ENVIRONMENT, 1, ADDRESS)] = None
        elif in_tree:
            found[Unaudited(one.name, ENVIRONMENT, 1, _IN_TREE)] = None
        else:
            found[Pin(one.name, one.version, ENVIRONMENT, 1)] = None
    return Inventory.of(
        sorted(found, key=lambda one: (one.name, str(one))),
        {name: needed & requires.keys() for name, needed in requires.items()},
        own,
    )


def _stated(distribution: Distribution) -> _Found:
    # One that another kind of finder gives has no place.
    path, address = Path(str(getattr(distribution, "_path", "/?"))), _address(distribution)
    try:
        metadata = distribution.metadata
        name, version = (next(iter(metadata.get_all(key, [])), "") for key in ("Name", "Version"))
        needs = metadata.get_all("Requires-Dist", [])
        # Only the old form has them in a file of their own; to ask each would read all metadata twice.
        if path.suffix == _EGG:
            needs = distribution.requires or []
        return _Found(path, canonicalize_name(name, validate=True), exact(version, ENVIRONMENT), needs, address)
    except (InvalidName, NoAudit, OSError, ValueError):
        return _Found(path, "", "", (), address)


def _address(distribution: Distribution) -> str | None:
    """Where it was installed from, if not from an index (PEP 610); "" where that can not be read."""
    try:
        text = distribution.read_text("direct_url.json")
        return None if text is None else str(json.loads(text)["url"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _in_tree_of(root: Path) -> Callable[[Path], bool]:
    """Whether a folder is the project's own; an environment may lie in it, and is not."""
    import site
    import sysconfig

    named = {*site.getsitepackages(), site.getusersitepackages(), *map(sysconfig.get_path, ("purelib", "platlib"))}
    packages, here = [Path(name).resolve() for name in named], root.resolve()

    @cache
    def is_in_tree(folder: Path) -> bool:
        place = folder.resolve()
        return place.is_relative_to(here) and not any(place.is_relative_to(one) for one in packages)

    return is_in_tree


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
