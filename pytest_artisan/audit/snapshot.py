"""Advisories in a file of SQLite: imported once from records of OSV, and read without a network."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import msgspec

from pytest_artisan.audit.advisories import AHEAD, Advisory
from pytest_artisan.audit.canaries import canaries_in
from pytest_artisan.audit.clusters import clusters_of
from pytest_artisan.audit.gathered import Gathered, gathered
from pytest_artisan.audit.inventory import NoAudit
from pytest_artisan.audit.matching import unplaced
from pytest_artisan.audit.records import ANY
from pytest_artisan.audit.source import Canaries, Known, Malformed, Release
from pytest_artisan.files import share

_FORMAT = 2
# All advisories that share a name are one cluster, which is known to each package that one of them is about: whoever looks
# up a package has all that is said of its vulnerabilities. Without row ids each table is one tree, so that what is
# checked is what is looked up; most records fit in such a page, and need no other.
_SCHEMA = """
PRAGMA page_size = 32768;
CREATE TABLE manifest (data BLOB NOT NULL);
CREATE TABLE package (name TEXT, cluster INTEGER, PRIMARY KEY (name, cluster)) WITHOUT ROWID;
CREATE TABLE advisory (cluster INTEGER, n INTEGER, record BLOB NOT NULL, PRIMARY KEY (cluster, n)) WITHOUT ROWID;
CREATE TABLE malformed (package TEXT, id TEXT, why TEXT NOT NULL, PRIMARY KEY (package, id)) WITHOUT ROWID;
"""
# What all tables hold, each row as a text, which tells of what type each value is, and bytes.
_ROWS = (
    "SELECT quote(name) || quote(cluster), x'' FROM package ORDER BY name, cluster",
    "SELECT quote(cluster) || quote(n) || typeof(record), record FROM advisory ORDER BY cluster, n",
    "SELECT quote(package) || quote(id) || typeof(why), CAST(why AS BLOB) FROM malformed ORDER BY package, id",
)
_OF_PACKAGE = "SELECT record FROM package CROSS JOIN advisory USING (cluster) WHERE name = ? ORDER BY cluster, n"
_MALFORMED = "SELECT id, why FROM malformed WHERE package = ? ORDER BY id"
_NAMED = 5  # records that may be about any package
_decoder = msgspec.json.Decoder(Advisory)


class Manifest(msgspec.Struct, frozen=True):
    """What was imported, and when: `digest` is the SHA-256 of all that was read, `rows` of all that was kept, and of this.

    `records` are those about packages of PyPI. `modified` is when the newest of them was changed, as far as that is not
    in the future; where there are several sources, of the oldest.
    """

    format: int
    sources: tuple[str, ...]
    digest: str
    records: int
    malformed: int
    modified: datetime
    imported: datetime
    rows: str
    canaries: Canaries | None


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import has done; `unplaced` are versions in records that nobody can place, by the record's id."""

    manifest: Manifest
    malformed: tuple[Malformed, ...]
    unplaced: Mapping[str, Sequence[str]]


def import_records(paths: Sequence[Path], into: Path, now: datetime) -> Imported:
    """Write what `paths` hold into one new snapshot, in the place of an old one once it is whole. Raises NoAudit."""
    found = gathered(paths, now)
    manifest = Manifest(
        format=_FORMAT,
        sources=tuple(path.name for path in paths),
        digest=found.digest,
        records=found.records,
        malformed=len({one.id for one in found.malformed.values()}),
        modified=found.modified,
        imported=now,
        rows="",
        canaries=canaries_in(found.live),
    )
    manifest = _write(into, manifest, found)
    odd: dict[str, list[str]] = {}
    for advisory in found.live:
        if texts := unplaced(advisory):
            odd.setdefault(advisory.id, []).extend(texts)
    return Imported(manifest, tuple(dict.fromkeys(found.malformed.values())), odd)


def _write(into: Path, manifest: Manifest, found: Gathered) -> Manifest:
    """The file, whole or not at all; its manifest, with the digest of what it holds."""
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=into.parent, prefix=f".{into.name}.")
        os.close(handle)
        try:
            with closing(sqlite3.connect(name)) as database, database:
                database.executescript(_SCHEMA)
                _fill(database, found)
                manifest = msgspec.structs.replace(manifest, rows=_digest(database, manifest))
                database.execute("INSERT INTO manifest VALUES (?)", [msgspec.json.encode(manifest)])
            share(name)
            os.replace(name, into)
        finally:
            Path(name).unlink(missing_ok=True)
    # Of the last two, one is raised by text that is none, and one by what is nested too deeply.
    except (OSError, sqlite3.Error, UnicodeEncodeError, RecursionError) as error:
        raise NoAudit(f"{into}: can not be written: {error}") from error
    return manifest


def _fill(database: sqlite3.Connection, found: Gathered) -> None:
    number = 0
    for cluster in clusters_of(found.live):
        packages = {package for advisory in cluster for package in advisory.packages}
        if packages:
            number += 1
            rows = ((number, n, msgspec.json.encode(advisory)) for n, advisory in enumerate(cluster))
            database.executemany("INSERT INTO advisory VALUES (?, ?, ?)", rows)
            database.executemany("INSERT INTO package VALUES (?, ?)", ((package, number) for package in packages))
    told = ((package, one.id, one.why) for (package, _), one in found.malformed.items())
    database.executemany("INSERT INTO malformed VALUES (?, ?, ?)", told)


def _digest(database: sqlite3.Connection, manifest: Manifest) -> str:
    digest = hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(manifest, rows="")))
    for statement in _ROWS:
        for text, data in database.execute(statement):
            digest.update(b"%b\0%b\0" % (text.encode(), data))
    return digest.hexdigest()


class Snapshot:
    """A source that answers from a snapshot. Raises NoAudit for one that is missing, damaged, stale or too small."""

    rates = True

    def __init__(self, path: Path, *, max_age: timedelta, floor: int, now: datetime) -> None:
        if not path.is_file():
            raise NoAudit(f"{path}: there is no snapshot; artisan audit import makes one")
        try:
            self._database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
            [(data,)] = self._database.execute("SELECT data FROM manifest")
            self.manifest = msgspec.json.decode(data, type=Manifest)
            # One of another format has other tables.
            digest = _digest(self._database, self.manifest) if self.manifest.format == _FORMAT else ""
        except (sqlite3.Error, msgspec.DecodeError, ValueError, TypeError) as error:
            raise NoAudit(f"{path}: is damaged, or no snapshot: {error}; artisan audit import makes one") from None
        self.origin = f"snapshot {path.name} of {self.manifest.modified:%Y-%m-%d}"
        faults = self._faults(digest, max_age, floor, now)
        for fault in faults:
            raise NoAudit(f"{path}: {fault}")
        assert self.manifest.canaries is not None
        self.canaries = self.manifest.canaries
        # Every package has these: of very many, one stands for all.
        unnamed = [Malformed(id_, why) for id_, why in self._database.execute(_MALFORMED, [ANY])]
        if len(unnamed) > _NAMED:
            more = f"{unnamed[0].why}; and {len(unnamed) - 1} more like it"
            unnamed = [Malformed(f"{len(unnamed)} records", more)]
        self._of_any = tuple(unnamed)

    def _faults(self, digest: str, max_age: timedelta, floor: int, now: datetime) -> Iterator[str]:
        manifest = self.manifest
        if manifest.format != _FORMAT:
            yield f"has format {manifest.format}, and {_FORMAT} can be read; import it again"
        if digest != manifest.rows:
            yield "is damaged: it does not hold what was imported"
        if manifest.records < floor:
            yield f"holds {manifest.records} records, fewer than the policy's snapshot_floor {floor}"
        if manifest.imported > now + AHEAD:
            yield f"was imported at {manifest.imported:%Y-%m-%d}, and the clock says {now:%Y-%m-%d}: one of them is wrong"
        age = now - min(manifest.modified, now)
        if age > max_age:
            limit = f"the policy's snapshot_days {max_age.total_seconds() / 86400:g} days"
            yield f"its newest record is {age.total_seconds() / 86400:.1f} days old, more than {limit}"
        if manifest.canaries is None:
            yield "has no critical advisory with a fix, or no malware (MAL-), to try it with; import these as well"

    def known(self, releases: Sequence[Release]) -> Mapping[Release, Known]:
        names = {name for name, _ in releases}
        by_name = {name: self._of_package(name) for name in names}
        return {release: by_name[release[0]] for release in releases}

    def _of_package(self, name: str) -> Known:
        records = self._database.execute(_OF_PACKAGE, [name])
        advisories = tuple(_decoder.decode(record).for_package(name) for (record,) in records)
        malformed = tuple(Malformed(id_, why) for id_, why in self._database.execute(_MALFORMED, [name]))
        return Known(advisories, malformed + self._of_any)
