"""Files of requirements as pip reads them, by the same parser as pip-audit; nothing is resolved, built or run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin, Unaudited
from pytest_artisan.audit.matching import version_of

# All that may hold a password: an address is never repeated.
_ADDRESS = "comes from an address, not from the index"


def requirements(root: Path, file: str) -> Inventory:
    """The pins of a file and of those that it names. Raises NoAudit where one of them can not be read as a whole."""
    from pip_requirements_parser import InstallationError, RequirementsFile

    path = root / file
    _check_nesting(path, ())
    try:
        parsed = RequirementsFile.from_file(str(path), include_nested=True)
    except (InstallationError, OSError, ValueError, RecursionError) as error:
        raise NoAudit(f"{file}: can not be read: {type(error).__name__}") from None
    for line in parsed.invalid_lines:
        raise NoAudit(f"{_place(root, line.filename)}:{line.line_number}: is no requirement")
    constraints = {canonicalize_name(r.name): r for r in parsed.requirements if r.is_constraint and r.name}
    wanted = [r for r in parsed.requirements if not r.is_constraint and _applies(r)]
    found = [_one(root, requirement, constraints) for requirement in wanted]
    return Inventory(
        pins=tuple(one for one in found if isinstance(one, Pin)),
        unaudited=tuple(one for one in found if isinstance(one, Unaudited)),
    )


def _check_nesting(path: Path, above: tuple[Path, ...]) -> None:
    """Whether every file is there and none names itself, which the parser would not tell of."""
    from pip_requirements_parser import RequirementsFile

    if path.resolve() in above:
        raise NoAudit(f"{path.name}: names itself")
    if not path.is_file():
        raise NoAudit(f"{path.name}: does not exist")
    try:
        parsed = RequirementsFile.from_file(str(path), include_nested=False)
    except (OSError, ValueError) as error:
        raise NoAudit(f"{path.name}: can not be read: {type(error).__name__}") from None
    for nested in _nested(parsed):
        _check_nesting(path.parent / nested, (*above, path.resolve()))


def _nested(parsed: Any) -> Iterator[str]:
    for line in parsed.options:
        for kind in ("requirements", "constraints"):
            yield from line.options.get(kind) or ()


def _applies(requirement: Any) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _one(root: Path, requirement: Any, constraints: Mapping[Any, Any]) -> Pin | Unaudited:
    line = requirement.requirement_line
    file, number = _place(root, line.filename), line.line_number
    name = canonicalize_name(requirement.name) if requirement.name else f"line {number}"
    if requirement.link is not None or requirement.req is None or requirement.req.url:
        return Unaudited(name, file, number, _ADDRESS)
    for one in (requirement, constraints.get(name)):
        version = None if one is None or one.req is None else _version(one.req.specifier)
        if version is not None:
            return Pin(name, version, file, number, tuple(requirement.hash_options))
    return Unaudited(name, file, number, "has no exact version")


def _version(specifier: Any) -> str | None:
    """The one version that a range allows, or None: `==1.*` is no such range."""
    exact = [s.version for s in specifier if s.operator in ("==", "===") and not s.version.endswith(".*")]
    if not exact:
        return None
    version = version_of(exact[0])
    return exact[0] if version is None else str(version)


def _place(root: Path, path: str) -> str:
    return Path(os.path.relpath(path, root)).as_posix()
