"""Locks of the form that all tools share, `pylock.toml` (PEP 751), read and judged by the library that defines them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from pytest_artisan.audit.inputs.written import ADDRESS, UNPINNED, Toml, checked, read_toml
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin, Unaudited

if TYPE_CHECKING:
    from packaging.pylock import Package, Pylock

_CREDENTIALS = re.compile(r"[^\s'\"/]+@")


def is_pylock(file: str) -> bool:
    """Whether a file has the name of such a lock, `pylock.toml` or `pylock.<name>.toml`."""
    return re.fullmatch(r"pylock\.([^.]+\.)?toml", Path(file).name) is not None


def pylock(root: Path, file: str) -> Inventory:
    """What the lock installs into the Python that runs this: no extras, and the groups that it has as its default.

    The package whose folder is the lock's own is the project. Raises NoAudit where the lock is not of its form, or is not
    for this Python.
    """
    toml = read_toml(root, file)
    lock = _lock(toml)
    lines = toml.lines("packages")
    found: list[Pin | Unaudited] = []
    own, requires = ("", ""), dict[str, set[str]]()
    for number in _selected(lock, toml.file):
        package = lock.packages[number]
        if package.directory is not None and Path(package.directory.path) == Path():
            own = package.name, str(package.version or "")
        else:
            found.append(_one(package, toml.file, lines[number] if number < len(lines) else 1))
        if package.dependencies is not None:
            requires[package.name] = set(_names(package.dependencies))
    there = {own[0], *(one.name for one in found)}
    return Inventory.of(found, {name: needed & there for name, needed in requires.items()}, own)


def _lock(toml: Toml) -> Pylock:
    from packaging.pylock import Pylock, PylockValidationError

    try:
        return Pylock.from_dict(toml.tables)
    except PylockValidationError as error:
        # It may quote an address that is none.
        raise NoAudit(f"{toml.file}: is no lock of PEP 751: {_CREDENTIALS.sub('***@', str(error))}") from None


def _selected(lock: Pylock, file: str) -> list[int]:
    """Which of its packages this Python gets. Which of their files fits this machine is nothing to an audit: one does."""
    from packaging.pylock import PylockSelectError
    from packaging.utils import parse_wheel_filename

    packages = [replace(package, wheels=package.wheels[:1] if package.wheels else None) for package in lock.packages]
    wheels = [wheel for package in packages for wheel in package.wheels or ()]
    tags = list({tag for wheel in wheels for tag in parse_wheel_filename(wheel.filename)[-1]})
    try:
        selected = {id(package) for package, _ in replace(lock, packages=packages).select(tags=tags)}
    # A marker may also compare what can not be compared.
    except (PylockSelectError, ValueError, KeyError, RecursionError) as error:
        raise NoAudit(f"{file}: is not for this Python: {error}") from None
    return [number for number, package in enumerate(packages) if id(package) in selected]


def _one(package: Package, file: str, line: int) -> Pin | Unaudited:
    if package.is_direct:
        return Unaudited(package.name, file, line, ADDRESS)
    if package.version is None:
        return Unaudited(package.name, file, line, UNPINNED)
    of_files = [one.hashes for one in package.wheels or ()]
    if package.sdist is not None:
        of_files.insert(0, package.sdist.hashes)
    hashes = (f"{algorithm}:{value}" for of_file in of_files for algorithm, value in of_file.items())
    return Pin(package.name, str(package.version), file, line, checked(hashes, f"{file}:{line}"))


def _names(dependencies: Any) -> Iterator[str]:
    entry: Mapping[str, Any]
    for entry in dependencies:
        if isinstance(entry.get("name"), str):
            yield canonicalize_name(entry["name"])
