"""Records of OSV as they lie in files: one or many in JSON, a line each, compressed or not, in a folder or a zip."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import msgspec
from packaging.utils import canonicalize_name

from pytest_artisan.audit.inventory import NoAudit

_NAMES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
_LARGEST = 1 << 30  # bytes of one file, so that a few of them can not fill the memory
_PACKAGE = re.compile(rb'"name"\s*:\s*"([^"\\]{1,200})"')
_ID = re.compile(rb'"id"\s*:\s*"([^"\\]{1,200})"')


class Record(NamedTuple):
    """The text of a record, and where it stands, for people."""

    text: bytes
    where: str


def records_of(path: Path) -> Iterator[Record]:
    """All records below a path. Raises NoAudit for what is not there, cut off, or holds none."""
    found = False
    try:
        for name, data in _files(path):
            for number, text in enumerate(_split(data, name), 1):
                found = True
                yield Record(text, f"{name}, record {number}")
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise NoAudit(f"{path}: can not be read: {error}") from error
    if not found:
        raise NoAudit(f"{path}: holds no record (expected {', '.join(_NAMES)}, a zip or a folder of them)")


def names_in(text: bytes) -> set[str]:
    """The packages that a record which can not be read may be about."""
    return {canonicalize_name(name.decode(errors="replace")) for name in _PACKAGE.findall(text)}


def id_in(record: Record) -> str:
    """By which id a record that can not be read seems to go, else where it stands."""
    found = _ID.search(record.text)
    return record.where if found is None else found[1].decode(errors="replace")


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and file.name.endswith(_NAMES):
                yield file.relative_to(path).as_posix(), _unpacked(file.read_bytes(), file.name)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(_NAMES):
                    # Read where it lies: nothing is extracted, whatever its name says.
                    with archive.open(entry) as member:
                        yield entry.filename, _unpacked(_bounded(member.read(_LARGEST + 1)), entry.filename)
    else:
        yield path.name, _unpacked(path.read_bytes(), path.name)


def _unpacked(data: bytes, name: str) -> bytes:
    if not name.endswith(".gz"):
        return data
    with gzip.GzipFile(fileobj=BytesIO(data)) as file:
        return _bounded(file.read(_LARGEST + 1))


def _bounded(data: bytes) -> bytes:
    if len(data) > _LARGEST:
        raise OSError(f"more than {_LARGEST:,} bytes in one file")
    return data


def _split(data: bytes, name: str) -> Iterator[bytes]:
    """The records in a file: a list, one object, or a line each. Raises NoAudit for one that breaks off."""
    text = data.strip()
    if not text:
        return
    try:
        whole = msgspec.json.decode(text, type=list[msgspec.Raw] | dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        lines = text.splitlines()
        if not (data.endswith(b"\n") or _is_whole(lines[-1])):
            raise NoAudit(
                f"{name}: is cut off, or no JSON: it ends in {text[-40:].decode(errors='replace')!r}"
            ) from None
        yield from (line for line in lines if line.strip())
        return
    yield from [bytes(one) for one in whole] if isinstance(whole, list) else [text]


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
