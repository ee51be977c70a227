"""Advisories in a file of SQLite: imported once from records of OSV, and read without a network."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import msgspec

from pytest_artisan.audit.advisories import Advisory, MalformedError, advisory_of
from pytest_artisan.audit.canaries import canaries_in
from pytest_artisan.audit.inventory import NoAudit
from pytest_artisan.audit.matching import unplaced
from pytest_artisan.audit.records import id_in, names_in, records_of
from pytest_artisan.audit.source import Canaries, Known, Malformed, Release

_FORMAT = 1
_SCHEMA = """
CREATE TABLE manifest (data BLOB NOT NULL);
CREATE TABLE advisory (package TEXT NOT NULL, id TEXT NOT NULL, record BLOB NOT NULL);
CREATE TABLE malformed (package TEXT NOT NULL, id TEXT NOT NULL, why TEXT NOT NULL);
"""
# Whoever looks up a package asks for its advisories alone.
_INDEX = "CREATE INDEX by_package ON advisory (package)"
# A clock may be wrong by so much; a later time is a mistake, and says nothing about how fresh the rest is.
_AHEAD = timedelta(days=1)


class Manifest(msgspec.Struct, frozen=True):
    """What was imported, and when: `digest` is the SHA-256 of all that was read, `rows` of all that was kept.

    `modified` is when the newest record was changed, as far as that is not in the future.
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
    advisories: dict[str, Advisory] = {}
    malformed: dict[tuple[str, str], Malformed] = {}
    digest = hashlib.sha256()
    for record in (record for path in paths for record in records_of(path)):
        digest.update(record.text)
        try:
            advisory = advisory_of(record.text)
        except MalformedError as error:
            found = Malformed(id_in(record), str(error))
            malformed |= {(package, found.id): found for package in names_in(record.text) or {""}}
            continue
        known = advisories.get(advisory.id)
        if known is None or known.modified <= advisory.modified:
            advisories[advisory.id] = advisory
    rows = [
        (package, a.id, msgspec.json.encode(_of(a, package))) for a in advisories.values() for package in a.packages
    ]
    if not rows:
        raise NoAudit(f"{paths[0]}: holds no advisory about a package of PyPI")
    manifest = Manifest(
        format=_FORMAT,
        sources=tuple(path.name for path in paths),
        digest=digest.hexdigest(),
        records=len(advisories),
        malformed=len({one.id for one in malformed.values()}),
        modified=_newest(advisories.values(), now),
        imported=now,
        rows=_digest(rows, malformed),
        canaries=canaries_in(advisories.values()),
    )
    _write(into, manifest, rows, malformed)
    odd = {a.id: texts for a in advisories.values() if a.withdrawn is None and (texts := unplaced(a))}
    return Imported(manifest, tuple(dict.fromkeys(malformed.values())), odd)


def _of(advisory: Advisory, package: str) -> Advisory:
    return msgspec.structs.replace(advisory, affected=tuple(advisory.affecting(package)))


def _newest(advisories: Iterable[Advisory], now: datetime) -> datetime:
    times = (time for advisory in advisories if (time := _time(advisory.modified)) is not None)
    newest = max((time for time in times if time <= now + _AHEAD), default=None)
    if newest is None:
        raise NoAudit("no record says when it was changed, so nobody can tell how old they are")
    return newest


def _time(text: str) -> datetime | None:
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _digest(rows: Iterable[tuple[str, str, bytes]], malformed: Iterable[tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for package, id_, record in rows:
        digest.update(b"%b\0%b\0%b\0" % (package.encode(), id_.encode(), record))
    for package, id_ in malformed:
        digest.update(b"%b\0%b\0" % (package.encode(), id_.encode()))
    return digest.hexdigest()


def _write(
    into: Path,
    manifest: Manifest,
    rows: Iterable[tuple[str, str, bytes]],
    malformed: Mapping[tuple[str, str], Malformed],
) -> None:
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=into.parent, prefix=f".{into.name}.")
        os.close(handle)
        try:
            with closing(sqlite3.connect(name)) as database, database:
                database.executescript(_SCHEMA)
                database.execute("INSERT INTO manifest VALUES (?)", [msgspec.json.encode(manifest)])
                database.executemany("INSERT INTO advisory VALUES (?, ?, ?)", rows)
                told = ((package, one.id, one.why) for (package, _), one in malformed.items())
                database.executemany("INSERT INTO malformed VALUES (?, ?, ?)", told)
                database.execute(_INDEX)
            os.replace(name, into)
        finally:
            Path(name).unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise NoAudit(f"{into}: can not be written: {error}") from error


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
            rows = self._database.execute("SELECT package, id, record FROM advisory ORDER BY rowid")
            malformed = self._database.execute("SELECT package, id FROM malformed ORDER BY rowid")
            digest = _digest(rows, malformed)
        except (sqlite3.Error, msgspec.DecodeError, ValueError, TypeError) as error:
            raise NoAudit(f"{path}: is damaged, or no snapshot: {error}; artisan audit import makes one") from None
        self.origin = f"snapshot {path.name} of {self.manifest.modified:%Y-%m-%d}"
        faults = self._faults(digest, max_age, floor, now)
        for fault in faults:
            raise NoAudit(f"{path}: {fault}")
        assert self.manifest.canaries is not None
        self.canaries = self.manifest.canaries

    def _faults(self, digest: str, max_age: timedelta, floor: int, now: datetime) -> Iterator[str]:
        manifest = self.manifest
        if manifest.format != _FORMAT:
            yield f"has format {manifest.format}, and {_FORMAT} can be read; import it again"
        if digest != manifest.rows:
            yield "is damaged: it does not hold what was imported"
        if manifest.records < floor:
            yield f"holds {manifest.records} records, fewer than the policy's snapshot_floor {floor}"
        age = now - min(manifest.modified, now)
        if age > max_age:
            limit = f"the policy's snapshot_max_age of {max_age.total_seconds() / 86400:g} days"
            yield f"its newest record is {age.total_seconds() / 86400:.1f} days old, more than {limit}"
        if manifest.canaries is None:
            yield "has no critical advisory with a fix, or no malware (MAL-), to try it with; import these as well"

    def known(self, releases: Sequence[Release]) -> Mapping[Release, Known]:
        names = {name for name, _ in releases}
        by_name = {name: self._of_package(name) for name in names}
        return {release: by_name[release[0]] for release in releases}

    def _of_package(self, name: str) -> Known:
        records = self._database.execute("SELECT record FROM advisory WHERE package = ? ORDER BY id", [name])
        malformed = self._database.execute("SELECT id, why FROM malformed WHERE package = ? ORDER BY id", [name])
        advisories = tuple(advisory_of(record) for (record,) in records)
        return Known(advisories, tuple(Malformed(id_, why) for id_, why in malformed))
