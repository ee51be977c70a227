"""What the files of an inventory have in common: where a package stands in them, and the words for what is no pin."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pytest_artisan.audit.inventory import NoAudit
from pytest_artisan.audit.matching import version_of

# All that may hold a password: an address is never repeated, and neither is what stands where something else should.
ADDRESS = "comes from an address, not from the index"
UNPINNED = "has no exact version"

AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)
_HASH = re.compile(r"[a-z0-9_]+:[0-9a-fA-F]+")
# What versions had before PEP 440; a space would be more than a version to a tool that is given it, an address no version.
_VERSION = re.compile(r"[A-Za-z0-9.+!*_~-]*")
_MULTILINE = ('"""', "'''")
# The strings of one line and the comments are here so that quotes within them begin nothing.
_STRINGS = re.compile(r"""\"{3}(?:\\.|[^\\])*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Toml:
    """A file of TOML: its path from the project's root, its text and its tables."""

    file: str
    text: str
    tables: dict[str, Any]

    def converted(self, kind: type[AnyStruct]) -> AnyStruct:
        """Its tables as a `kind`. Raises NoAudit where they have another shape."""
        try:
            return msgspec.convert(self.tables, kind)
        except msgspec.ValidationError as error:
            text, _, path = str(error).partition(" - at `$")
            key = path.rstrip("`").lstrip(".")
            raise NoAudit(f"{self.file}: {key + ': ' if key else ''}{text.replace('`', '')}") from None

    def lines(self, table: str) -> list[int]:
        """The lines of the headers `[[table]]`, in their order; a text over several lines that holds one has none."""
        text = self.text
        if any(quotes in text for quotes in _MULTILINE):
            text = _STRINGS.sub(lambda match: "\n" * match[0].count("\n"), text)
        head = re.compile(rf"[ \t]*\[\[[ \t]*{table}[ \t]*\]\]")
        return [number for number, line in enumerate(text.split("\n"), 1) if head.match(line)]


def read_toml(root: Path, file: str) -> Toml:
    """A file that is named from the project's root. Raises NoAudit."""
    # It is tomllib, compiled: a lock of two megabytes takes a tenth of what a command may take.
    import tomli

    try:
        text = on_disk(root / file, file).read_bytes().decode()
        return Toml(place(root, root / file), text, tomli.loads(text))
    except OSError as error:
        raise NoAudit(f"{file}: can not be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NoAudit(f"{file}: is not UTF-8, as TOML is") from None
    except (ValueError, RecursionError) as error:
        raise NoAudit(f"{file}: is no TOML: {error}") from None


def on_disk(path: Path, file: str) -> Path:
    """The path, where a file is there; a pipe may never end, and is none. Raises NoAudit, naming it `file`."""
    try:
        if path.is_file():
            return path
        raise NoAudit(f"{file}: {'is no file' if path.exists() else 'does not exist'}")
    except OSError as error:
        raise NoAudit(f"{file}: can not be read: {error.strerror}") from None


def place(root: Path, path: str | Path) -> str:
    """A path as people find it from the project's root."""
    return Path(os.path.relpath(path, root)).as_posix()


def exact(version: str, where: str) -> str:
    """A version as PEP 440 writes it; another text is as it is. Raises NoAudit for one that could be no version at all."""
    parsed = version_of(version)
    if parsed is not None:
        return str(parsed)
    if _VERSION.fullmatch(version) is None:
        raise NoAudit(f"{where}: has a version that is none")
    return version


def checked(hashes: Iterable[str], where: str) -> tuple[str, ...]:
    """Each of the hashes once. Raises NoAudit where one is not such as "sha256:<hex>"."""
    found = tuple(dict.fromkeys(hashes))
    for text in found:
        if _HASH.fullmatch(text) is None:
            raise NoAudit(f"{where}: has a hash that is not such as 'sha256:<hex>'")
    return found
