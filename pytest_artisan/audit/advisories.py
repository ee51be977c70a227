"""Advisories as OSV writes them (https://ossf.github.io/osv-schema/), as far as they concern packages of PyPI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
from packaging.utils import canonicalize_name

# A clock may be wrong by so much; what is later has not happened.
AHEAD = timedelta(days=1)
_ECOSYSTEM = "pypi"
# Kinds of ids that nobody tells apart by case; GitHub alone writes its own in lower case.
_KINDS = re.compile(r"(CVE|GHSA|GSD|MAL|OSV|PYSEC)-", re.IGNORECASE)
_IN_LOWER_CASE = "GHSA-"


class MalformedError(Exception):
    """A record that is not of OSV's form; its text is one line."""


class Event(msgspec.Struct, frozen=True):
    """One of the four is given: where something begins to be affected, or ends to be."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class Range(msgspec.Struct, frozen=True):
    type: str
    events: tuple[Event, ...]


class Package(msgspec.Struct, frozen=True):
    name: str
    ecosystem: str


class Vector(msgspec.Struct, frozen=True):
    """A severity as CVSS writes it, `type` such as CVSS_V3."""

    type: str
    score: str


class Affected(msgspec.Struct, frozen=True):
    """Versions of one package that are affected: those listed, and those in one of the ranges."""

    package: Package
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()
    severity: tuple[Vector, ...] = ()
    database_specific: Any = None

    @property
    def is_of_pypi(self) -> bool:
        """Whether this part is about a package of PyPI, in whichever of its distributions."""
        return is_pypi(self.package.ecosystem)

    @property
    def name(self) -> str:
        """The package's canonical name."""
        return canonical(self.package.name)


class Advisory(msgspec.Struct, frozen=True):
    """One record; `modified` is meant to be a time as RFC 3339 writes it, and `withdrawn` is one.

    One that is not None does not count. The id and the aliases are as `key_of` has them.
    """

    id: str
    modified: str
    aliases: tuple[str, ...] = ()
    withdrawn: str | None = None
    summary: str = ""
    severity: tuple[Vector, ...] = ()
    affected: tuple[Affected, ...] = ()
    database_specific: Any = None

    @property
    def names(self) -> frozenset[str]:
        """By which names it is known: its own and its aliases."""
        return frozenset((self.id, *self.aliases))

    @property
    def packages(self) -> frozenset[str]:
        """The canonical names of the packages of PyPI that it is about."""
        return frozenset(a.name for a in self.affected if a.is_of_pypi)

    def affecting(self, name: str) -> Iterator[Affected]:
        """What it says of one package, by its canonical name."""
        return (a for a in self.affected if a.is_of_pypi and a.name == name)

    def for_package(self, name: str) -> Advisory:
        """The same, where what it says of other packages than this one rates alone, and concerns no version."""
        if all(part.name == name for part in self.affected):
            return self
        parts = (p if p.name == name else msgspec.structs.replace(p, ranges=(), versions=()) for p in self.affected)
        return msgspec.structs.replace(self, affected=tuple(parts))


_decoder = msgspec.json.Decoder(Advisory)


def advisory_of(record: bytes, now: datetime | None = None) -> Advisory:
    """The advisory that a record of JSON holds. Raises MalformedError.

    One that is withdrawn after `now`, by default this moment, is not withdrawn.
    """
    try:
        advisory = _decoded(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(str(error)) from None
    if not advisory.id.strip():
        raise MalformedError("its id is empty")
    if "" in advisory.packages:
        raise MalformedError("the name of a package is empty")
    return msgspec.structs.replace(
        advisory,
        id=key_of(advisory.id),
        aliases=tuple(key for alias in advisory.aliases if (key := key_of(alias))),
        withdrawn=_withdrawn(advisory.withdrawn, now or datetime.now(UTC)),
    )


def _decoded(record: bytes) -> Advisory:
    """Raises msgspec.DecodeError, UnicodeDecodeError and RecursionError."""
    try:
        return _decoder.decode(record)
    except msgspec.ValidationError:
        # OSV has nothing in some places, where we have no list; few records do.
        return msgspec.convert(_without_nulls(msgspec.json.decode(record)), Advisory)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def key_of(name: str) -> str:
    """A vulnerability's name as everybody has to write it who compares it: CVE-2026-1, GHSA-2c4v-8fxq-9wmh, PYSEC-2026-1."""
    key = name.strip()
    if _KINDS.match(key) is None:
        return key
    key = key.upper()
    return _IN_LOWER_CASE + key.removeprefix(_IN_LOWER_CASE).lower() if key.startswith(_IN_LOWER_CASE) else key


@lru_cache(maxsize=65536)
def canonical(package: str) -> str:
    """The name of a package of PyPI as all compare it."""
    return canonicalize_name(package.strip())


def is_pypi(ecosystem: str) -> bool:
    """Whether an ecosystem is that of PyPI, in whatever case and with whatever suffix."""
    return ecosystem.partition(":")[0].strip().casefold() == _ECOSYSTEM


def time_of(text: str) -> datetime | None:
    """A time as RFC 3339 writes it, of UTC where it does not say; None for what is none."""
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _withdrawn(text: str | None, now: datetime) -> str | None:
    if text is None:
        return None
    time = time_of(text)
    if time is None:
        raise MalformedError(f"it is withdrawn at {text[:40]!r}, which is no time")
    return text if time <= now + AHEAD else None
