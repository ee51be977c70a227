"""What a `pyproject.toml` says that its project needs, as it is written: nothing is resolved, built or run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidName, canonicalize_name

from pytest_artisan.audit.inputs.ranges import applies, pin_of
from pytest_artisan.audit.inputs.written import ADDRESS, Toml, exact, read_toml
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin, Unaudited

PYPROJECT = "pyproject.toml"
_DYNAMIC = "are dynamic, known only when the project is built"
_NEEDS = ("dependencies", "optional-dependencies")


class _Project(msgspec.Struct, frozen=True, rename="kebab"):
    name: str
    version: str = ""
    dependencies: Sequence[str] = ()
    optional_dependencies: Mapping[str, Sequence[str]] = {}
    dynamic: Sequence[str] = ()


class _Pyproject(msgspec.Struct, frozen=True):
    project: _Project | None = None


def project(root: Path, file: str) -> Inventory:
    """The dependencies of a project with those of all its extras; those of its groups are not of what it installs.

    Raises NoAudit where there is no table [project], or it is not of its form.
    """
    toml = read_toml(root, file)
    stated = toml.converted(_Pyproject).project
    if stated is None:
        raise NoAudit(f"{toml.file}: has no table [project], so it says nothing of what is installed")
    own = canonicalize_name(stated.name)
    found: list[Pin | Unaudited] = []
    for text, line in _written(toml, stated):
        one = _one(text, toml.file, line)
        # An extra may name others of the same project, which are here anyway.
        if one is not None and one.name != own:
            found.append(one)
    found += [Unaudited(key, toml.file, 1, _DYNAMIC) for key in _NEEDS if key in stated.dynamic]
    needed = {one.name for one in found} - set(_NEEDS)
    return Inventory.of(found, {own: needed}, (own, exact(stated.version, toml.file)))


def name_in(root: Path, folder: str = ".") -> str | None:
    """The canonical name of the project in a folder, as its `pyproject.toml` states it; None where none does."""
    with suppress(NoAudit, KeyError, TypeError, InvalidName):
        stated = read_toml(root, f"{folder}/{PYPROJECT}").tables["project"]["name"]
        return canonicalize_name(stated, validate=True)
    return None


def _written(toml: Toml, stated: _Project) -> Iterator[tuple[str, int]]:
    """Each requirement and its line: that of the next string that says so, as they come in the file's order."""
    texts = {
        "dependencies": list(stated.dependencies),
        "optional-dependencies": [text for extra in stated.optional_dependencies.values() for text in extra],
    }
    lines = toml.text.split("\n")
    start = next((n for n, line in enumerate(lines) if line.lstrip().startswith("[project")), 0)
    for key in toml.tables["project"]:
        for text in texts.get(key, ()):
            forms = (f'"{text}"', f"'{text}'", json.dumps(text))
            start = next((n for n in range(start, len(lines)) if _holds(lines[n], forms)), start)
            yield text, start + 1


def _holds(line: str, forms: Sequence[str]) -> bool:
    return not line.lstrip().startswith("#") and any(form in line for form in forms)


def _one(text: str, file: str, line: int) -> Pin | Unaudited | None:
    """A requirement, or None for one of another Python."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise NoAudit(f"{file}:{line}: is no requirement") from None
    if not applies(requirement.marker, f"{file}:{line}"):
        return None
    name = canonicalize_name(requirement.name)
    if requirement.url is not None:
        return Unaudited(name, file, line, ADDRESS)
    return pin_of(name, requirement.specifier, file, line)
