"""CISA's catalogue of vulnerabilities that are known to be exploited."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from pytest_artisan.audit.advisories import key_of
from pytest_artisan.settings import SettingsError, read_json


class _Entry(msgspec.Struct, frozen=True):
    cve: str = msgspec.field(name="cveID")


class _Catalogue(msgspec.Struct, frozen=True):
    vulnerabilities: tuple[_Entry, ...]
    count: int | None = None


def read_kev(path: Path, name: str) -> frozenset[str]:
    """The CVE ids of the catalogue's JSON, or of a list of its entries. Raises SettingsError for anything else."""
    kind = _Catalogue | tuple[_Entry, ...]
    read: Any = read_json(path, kind, f"{name}: no catalogue of exploited vulnerabilities")
    entries = read.vulnerabilities if isinstance(read, _Catalogue) else read
    if isinstance(read, _Catalogue) and read.count not in (None, len(entries)):
        raise SettingsError(f"{name}: the catalogue has {len(entries)} entries, and says that it has {read.count}")
    if not entries:
        raise SettingsError(f"{name}: the catalogue is empty")
    for entry in entries:
        if not re.fullmatch(r"CVE-\d{4}-\d{4,}", key_of(entry.cve)):
            raise SettingsError(f"{name}: {entry.cve!r} is no CVE id")
    return frozenset(key_of(entry.cve) for entry in entries)
