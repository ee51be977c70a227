"""Files of requirements as pip reads them, by the same parser as pip-audit; nothing is resolved, built or run."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pytest_artisan.audit.inputs.project import name_in
from pytest_artisan.audit.inputs.ranges import applies, is_exact, pin_of
from pytest_artisan.audit.inputs.written import ADDRESS, checked, on_disk, place
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin, Unaudited

_DEEPEST = 100  # pip would end at Python's own limit
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def requirements(root: Path, file: str) -> Inventory:
    """The pins of a file and of those that it names. Raises NoAudit where one of them can not be read as a whole.

    A line without an exact version has the one that constraints name, or else other lines about the same package.
    """
    lines = [one for one in _Reading(root).lines(root / file) if applies(one.marker, _where(root, one))]
    wanted = [one for one in lines if not one.is_constraint]
    constraints = _by_name(one for one in lines if one.is_constraint)
    pinned = _by_name(one for one in wanted if one.link is None and is_exact(one.req.specifier))
    return Inventory.of(_one(root, one, constraints, pinned) for one in wanted)


class _Reading:
    """One reading of a file and all that it names, each once as requirements and once as constraints."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: set[tuple[Path, bool]] = set()

    def lines(self, path: Path, is_constraint: bool = False, above: tuple[Path, ...] = ()) -> Iterator[Any]:
        file = place(self._root, path)
        here = on_disk(path, file).resolve()
        if here in above:
            raise NoAudit(f"{file}: names itself")
        if len(above) > _DEEPEST:
            raise NoAudit(f"{file}: is named by more than {_DEEPEST} files, one through the other")
        if (here, is_constraint) in self._read:
            return
        self._read.add((here, is_constraint))
        for line in _parsed(path, file, is_constraint):
            options = getattr(line, "options", None)
            if options is None:
                yield line
                continue
            for name, constrains in _named(options, f"{file}:{line.line_number}"):
                yield from self.lines(path.parent / name, constrains, (*above, here))


def _parsed(path: Path, file: str, is_constraint: bool) -> list[Any]:
    """Its requirements, and its lines of options. The parser passes over what it can not read; here that is an error."""
    from pip_requirements_parser import (
        CommentRequirementLine,
        InstallationError,
        InvalidRequirementLine,
        RequirementsFile,
    )

    try:
        parsed = list(RequirementsFile.parse(str(path), is_constraint=is_constraint))
    except (UnicodeError, LookupError):
        raise NoAudit(f"{file}: is not UTF-8, nor of an encoding that it names") from None
    except (InstallationError, OSError, ValueError) as error:
        raise NoAudit(f"{file}: can not be read: {type(error).__name__}") from None
    for line in parsed:
        if isinstance(line, InvalidRequirementLine):
            raise NoAudit(f"{file}:{line.line_number}: is no requirement")
    return [line for line in parsed if not isinstance(line, CommentRequirementLine)]


def _named(options: Mapping[str, Any], where: str) -> list[tuple[str, bool]]:
    """The file that a line of options names, if any, and whether it holds constraints."""
    named = [
        (name, kind == "constraints") for kind in ("requirements", "constraints") for name in options.get(kind, ())
    ]
    if len(named) > 1:
        raise NoAudit(f"{where}: names more than one file, of which pip reads the first; write a line for each")
    for name, _ in named:
        if ":/" in name or _SCHEME.match(name):
            raise NoAudit(f"{where}: names a file by an address, which is not fetched")
    return named


def _where(root: Path, line: Any) -> str:
    return f"{place(root, line.filename)}:{line.line_number}"


def _by_name(lines: Iterable[Any]) -> dict[str, list[Any]]:
    found = defaultdict[str, list[Any]](list)
    for line in lines:
        found[canonicalize_name(line.name or "")].append(line)
    return found


def _one(
    root: Path, line: Any, constraints: Mapping[str, Sequence[Any]], pinned: Mapping[str, Sequence[Any]]
) -> Pin | Unaudited:
    file, number, name = place(root, line.filename), line.line_number, _name(root, line)
    counting = [line, *constraints.get(name, ())]
    if any(one.link is not None for one in counting):
        return Unaudited(name, file, number, ADDRESS)
    if not is_exact(_ranges(counting)):
        counting += pinned.get(name, ())
    hashes = checked((text for one in counting for text in one.hash_options), f"{file}:{number}")
    return pin_of(name, _ranges(counting), file, number, hashes)


def _name(root: Path, line: Any) -> str:
    """By what people know it: a project on disk is asked for its name, as pip takes it from where it runs."""
    if line.name:
        return canonicalize_name(line.name)
    on_disk = None if _SCHEME.match(line.link.url) else name_in(root, line.link.url)
    return on_disk or f"line {line.line_number}"


def _ranges(lines: Iterable[Any]) -> SpecifierSet:
    return SpecifierSet(specifier for line in lines for specifier in line.req.specifier)
