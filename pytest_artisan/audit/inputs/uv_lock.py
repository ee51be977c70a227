"""The lock that uv writes; no library reads it, and its form is documented by uv's source alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from packaging.utils import InvalidName, canonicalize_name

from pytest_artisan.audit.inputs.written import ADDRESS, UNPINNED, checked, exact, read_toml
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin, Unaudited
from pytest_artisan.audit.matching import version_of

UV_LOCK = "uv.lock"
_VERSION = 1  # of the lock's form; a revision adds to it


class _Form(msgspec.Struct, frozen=True):
    version: int


class _File(msgspec.Struct, frozen=True):
    hash: str | None = None


class _Dependency(msgspec.Struct, frozen=True):
    name: str


class _Package(msgspec.Struct, frozen=True, rename="kebab"):
    """`source` has one key that says of which kind it is: `registry` for a release of an index."""

    name: str
    source: Mapping[str, object]
    version: str | None = None
    dependencies: Sequence[_Dependency] = ()
    optional_dependencies: Mapping[str, Sequence[_Dependency]] = {}
    dev_dependencies: Mapping[str, Sequence[_Dependency]] = {}
    sdist: _File | None = None
    wheels: Sequence[_File] = ()

    @property
    def is_root(self) -> bool:
        return "." in (self.source.get("virtual"), self.source.get("editable"))

    def needed(self) -> Iterator[str]:
        """The names that it needs, with all of its extras and groups."""
        groups = (*self.optional_dependencies.values(), *self.dev_dependencies.values())
        return (canonicalize_name(one.name) for group in (self.dependencies, *groups) for one in group)


class _Lock(msgspec.Struct, frozen=True):
    package: tuple[_Package, ...] = ()


def uv_lock(root: Path, file: str) -> Inventory:
    """All packages of a lock, for whichever Python, platform, extra or group.

    Such a lock is for all of them together, and whoever audits it for one could miss what another one installs. The package
    whose source is the lock's own folder is the project. Raises NoAudit where the file has not the form of such a lock, or
    a package needs one that is not in it.
    """
    toml = read_toml(root, file)
    form = toml.converted(_Form).version
    if form != _VERSION:
        raise NoAudit(f"{toml.file}: is a lock of version {form}; {_VERSION} can be read")
    packages, lines = toml.converted(_Lock).package, toml.lines("package")
    own, requires, found = ("", ""), dict[str, set[str]](), list[Pin | Unaudited]()
    for number, package in enumerate(packages):
        line = lines[number] if number < len(lines) else 1
        where = f"{toml.file}:{line}"
        name = _name(package, where)
        requires.setdefault(name, set()).update(package.needed())
        if package.is_root:
            own = name, exact(package.version or "", where)
        else:
            found.append(_one(name, package, toml.file, line))
    _check_whole(requires, toml.file)
    return Inventory.of(found, requires, own)


def _name(package: _Package, where: str) -> str:
    try:
        return canonicalize_name(package.name, validate=True)
    except InvalidName:
        raise NoAudit(f"{where}: has a name that no package can have") from None


def _one(name: str, package: _Package, file: str, line: int) -> Pin | Unaudited:
    if package.source.keys() != {"registry"}:
        return Unaudited(name, file, line, ADDRESS)
    if not package.version:
        return Unaudited(name, file, line, UNPINNED)
    files = (*([package.sdist] if package.sdist else []), *package.wheels)
    hashes = (one.hash for one in files if one.hash is not None)
    where = f"{file}:{line}"
    version = version_of(package.version)
    if version is None:
        # uv itself knows no other ones.
        raise NoAudit(f"{where}: has a version that is none")
    return Pin(name, str(version), file, line, checked(hashes, where))


def _check_whole(requires: Mapping[str, set[str]], file: str) -> None:
    """Whether all that is needed is there, which a lock that was cut has not."""
    for name, needed in requires.items():
        for missing in sorted(needed - requires.keys()):
            raise NoAudit(f"{file}: {name} needs {missing}, which is not in it; it is not whole")
