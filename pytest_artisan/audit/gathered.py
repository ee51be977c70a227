"""Records of many files as one: of what is told twice the newer counts, and what is withdrawn says nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pytest_artisan.audit.advisories import AHEAD, Advisory, Affected, MalformedError, advisory_of, time_of
from pytest_artisan.audit.inventory import NoAudit
from pytest_artisan.audit.records import ANY, Record, id_in, names_in, records_of
from pytest_artisan.audit.source import Malformed

# A source with less than a tenth of the largest's records is somebody's own beside an export, and tells no age.
_LEAST_SHARE = 0.1
_NEVER = datetime.min.replace(tzinfo=UTC)
Key = tuple[str, str]  # a canonical name, or "", and the id of a record


@dataclass(frozen=True, slots=True)
class Gathered:
    """What files hold: `digest` is the SHA-256 of all that was read, `records` is how many are about packages of PyPI.

    `live` is what is not withdrawn, once for each package. `malformed` are under the packages that they may be about, and
    under "" where it may be any. `modified` is when the newest record about PyPI was changed, in the oldest source.
    """

    records: int
    live: tuple[Advisory, ...]
    malformed: Mapping[Key, Malformed]
    modified: datetime
    digest: str


def gathered(paths: Sequence[Path], now: datetime) -> Gathered:
    """All records below the paths. Raises NoAudit where none is about a package of PyPI, or says how old it is."""
    pile, digest = _Pile(now), hashlib.sha256()
    ages = list[tuple[int, datetime | None]]()
    for path in paths:
        by_file: dict[str, list[Advisory]] = {}
        for record in records_of(path):
            digest.update(record.text)
            by_file.setdefault(record.file, []).extend(pile.add(record))
        # A file of many records has an age of its own; files of one each are one source together.
        many = [found for found in by_file.values() if len(found) > 1]
        single = [advisory for found in by_file.values() if len(found) == 1 for advisory in found]
        ages += [(len(found), _newest(found, now)) for found in (*many, single)]
    if not pile.records:
        raise NoAudit(f"{paths[0]}: holds no advisory about a package of PyPI")
    return Gathered(pile.records, tuple(pile.live()), pile.malformed, _oldest(ages), digest.hexdigest())


class _Pile:
    """What was told so far: the newest of each record and package, or all where nobody can tell which that is."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._told: dict[tuple[str, str, bool], tuple[datetime, list[Advisory]]] = {}
        self.malformed: dict[Key, Malformed] = {}

    @property
    def records(self) -> int:
        return len({id_ for package, id_, _ in self._told if package})

    def live(self) -> Iterable[Advisory]:
        return (a for _, told in self._told.values() for a in told if a.withdrawn is None)

    def add(self, record: Record) -> list[Advisory]:
        """Put it to the others; the advisory, where it is about a package of PyPI."""
        try:
            advisory = advisory_of(record.text, self._now)
        except MalformedError as error:
            self._add_malformed(record, str(error))
            return []
        time = _newest([advisory], self._now)
        parts: dict[str, list[Affected]] = {}
        for affected in advisory.affected:
            if affected.is_of_pypi:
                parts.setdefault(affected.name, []).append(affected)
        # Of two records with one id about other packages neither is in the place of the other, nor is one in that of
        # another where nobody can tell which is the later.
        for package, affecting in parts.items() or [("", [])]:
            part = msgspec.structs.replace(advisory, affected=tuple(affecting))
            key = package, advisory.id, time is None
            known, told = self._told.get(key, (time or _NEVER, []))
            if not told or (time or _NEVER) > known:
                self._told[key] = time or _NEVER, [part]
            elif (time or _NEVER) == known and part not in told:
                told.append(part)
        return [advisory] if parts else []

    def _add_malformed(self, record: Record, why: str) -> None:
        names = names_in(record.text)
        more = "; it may be about any package" if ANY in names else ""
        found = Malformed(id_in(record), why + more)
        self.malformed |= {(name, found.id): found for name in names}


def _newest(advisories: Iterable[Advisory], now: datetime) -> datetime | None:
    """When the last of them was changed; a time that has not come says nothing."""
    times = (time for advisory in advisories if (time := time_of(advisory.modified)) is not None)
    return max((time for time in times if time <= now + AHEAD), default=None)


def _oldest(ages: Sequence[tuple[int, datetime | None]]) -> datetime:
    """The time of the source that stopped first."""
    most = max(count for count, _ in ages)
    times = [time for count, time in ages if count >= most * _LEAST_SHARE and count]
    told = [time for time in times if time is not None]
    if len(told) < len(times):
        raise NoAudit("no record says when it was changed, so nobody can tell how old they are")
    return min(told)
