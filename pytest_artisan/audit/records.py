"""Records of OSV as they lie in files: one or many in JSON, a line each, compressed or not, in a folder or a zip."""

from __future__ import annotations

import codecs
import gzip
import json
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, NoReturn

import msgspec

from pytest_artisan.audit.advisories import canonical, is_pypi, key_of
from pytest_artisan.audit.inventory import NoAudit

_NAMES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".zip")
_EXPECTED = f"expected {', '.join(_NAMES)} or a folder of them"
# What lies beside the records where they come from; anything else may hold records, and is not passed over.
_PROSE = frozenset({"readme", "license", "licence", "copying", "notice", "contributing", "changelog", "security"})
_GZIP = b"\x1f\x8b"
_LARGEST = 1 << 30  # bytes of one file, so that a few of them can not fill the memory
_NAME = re.compile(rb'"package"\s*:\s*\{[^{}]*?"name"\s*:\s*"([^"\\]{1,200})"')
_ID = re.compile(rb'"id"\s*:\s*"([^"\\]{1,200})"')
# In place of a package: it may be any.
ANY = ""


class Record(NamedTuple):
    """The text of a record, in which file it is, and where it stands in that, for people."""

    text: bytes
    where: str
    file: str = ""


def records_of(path: Path) -> Iterator[Record]:
    """All records below a path. Raises NoAudit for what is not there, cut off, of no known kind, or holds none."""
    found = False
    try:
        for name, data, is_checked in _files(path):
            for number, text in enumerate(_split(data, name, is_checked), 1):
                found = True
                yield Record(text, f"{name}, record {number}", name)
    except (OSError, EOFError, zlib.error) as error:
        raise NoAudit(f"{path}: can not be read: {error}") from error
    if not found:
        raise NoAudit(f"{path}: holds no record ({_EXPECTED})")


def names_in(text: bytes) -> frozenset[str]:
    """The packages of PyPI that a record which can not be read may be about, and "" where it may be about any."""
    try:
        record = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        record = None
    parts = record.get("affected") if isinstance(record, dict) else None
    if isinstance(parts, list) and parts:
        return frozenset(name for part in parts for name in _names_of(part))
    names = {canonical(name.decode(errors="replace")) for name in _NAME.findall(text)}
    return frozenset(names or {ANY})


def id_in(record: Record) -> str:
    """By which id a record that can not be read seems to go, else where it stands."""
    found = _ID.search(record.text)
    return record.where if found is None else key_of(found[1].decode(errors="replace"))


def _names_of(part: Any) -> Iterator[str]:
    """The package that a part is about, unless it is another ecosystem's."""
    package = part.get("package") if isinstance(part, dict) else None
    told = package if isinstance(package, dict) else {}
    ecosystem, name = told.get("ecosystem"), told.get("name")
    if isinstance(ecosystem, str) and not is_pypi(ecosystem):
        return
    yield canonical(name) if isinstance(name, str) else ANY if "purl" not in told else _of_purl(told["purl"])


def _of_purl(purl: Any) -> str:
    from packageurl import PackageURL

    try:
        return canonical(PackageURL.from_string(purl).name)
    except ValueError:
        return ANY


def _files(path: Path) -> Iterator[tuple[str, bytes, bool]]:
    """Each file below with its name, a compressed one as what is in it; and whether a checksum says that it is whole."""
    if not path.is_dir():
        yield from _of_file(path, path.name)
        return
    for base, folders, names in os.walk(path, onerror=_raised):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in [*folders, *sorted(names)]:
            file = Path(base, name)
            shown = file.relative_to(path).as_posix()
            if name in folders and file.is_symlink():
                raise NoAudit(f"{shown}: is a link to a folder; name that folder itself")
            if name not in folders and _holds_records(shown):
                yield from _of_file(file, shown)


def _raised(error: OSError) -> NoReturn:
    raise error


def _of_file(file: Path, name: str) -> Iterator[tuple[str, bytes, bool]]:
    if zipfile.is_zipfile(file):
        yield from _of_zip(file, name)
    else:
        yield name, _unpacked(file.read_bytes()), False


def _of_zip(file: Path, name: str) -> Iterator[tuple[str, bytes, bool]]:
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if not entry.filename.endswith("/") and _holds_records(entry.filename):
                    # Read where it lies: nothing is extracted, whatever its name says.
                    with archive.open(entry) as member:
                        yield entry.filename, _unpacked(_bounded(member.read(_LARGEST + 1))), True
    # Also of a kind of compression that is not known, and of one that asks for a password.
    except (zipfile.BadZipFile, lzma.LZMAError, RuntimeError, ValueError) as error:
        raise NoAudit(f"{name}: can not be read: {error}") from error


def _holds_records(name: str) -> bool:
    """Whether a file is of a kind that may. Raises NoAudit for a kind that nobody knows."""
    path = PurePosixPath(name)
    if any(part.startswith(".") and part != ".." for part in path.parts):
        return False
    if path.name.lower().endswith(_NAMES):
        return True
    if path.stem.lower() in _PROSE:
        return False
    raise NoAudit(f"{name}: is of no kind that holds records ({_EXPECTED}); take it out")


def _unpacked(data: bytes) -> bytes:
    if not data.startswith(_GZIP):
        return data
    with gzip.GzipFile(fileobj=BytesIO(data)) as file:
        return _bounded(file.read(_LARGEST + 1))


def _bounded(data: bytes) -> bytes:
    if len(data) > _LARGEST:
        raise OSError(f"more than {_LARGEST:,} bytes in one file")
    return data


def _split(data: bytes, name: str, is_checked: bool) -> Iterator[bytes]:
    """The records in a file: a list, one object, or a line each.

    Raises NoAudit for a file that breaks off; one that is whole all the same is one record that can not be read.
    """
    text = data.removeprefix(codecs.BOM_UTF8).strip()
    if not text and not is_checked:
        raise NoAudit(f"{name}: is empty, and holds no record")
    try:
        whole = msgspec.json.decode(text, type=list[msgspec.Raw] | dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        lines = text.splitlines()
        # A list, or an object over many lines, that can not be read as a whole has no lines that can be.
        is_by_line = bool(lines) and lines[0].startswith(b"{") and lines[0].rstrip() != b"{"
        is_whole = is_by_line and (data.endswith((b"\n", b"\r")) or _is_whole(lines[-1]))
        if is_checked and (not is_whole or len(lines) == 1):
            yield text
            return
        if not is_whole:
            raise NoAudit(
                f"{name}: is cut off, or no JSON: it ends in {text[-40:].decode(errors='replace')!r}"
            ) from None
        yield from (line for line in lines if line.strip())
        return
    yield from [bytes(one) for one in whole] if isinstance(whole, list) else [text]


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
