"""Advisories as OSV writes them (https://ossf.github.io/osv-schema/), as far as they concern packages of PyPI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from packaging.utils import canonicalize_name

_ECOSYSTEM = "PyPI"


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
        return self.package.ecosystem.partition(":")[0] == _ECOSYSTEM


class Advisory(msgspec.Struct, frozen=True):
    """One record; `modified` and `withdrawn` are times as RFC 3339 writes them."""

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
        return frozenset(canonicalize_name(a.package.name) for a in self.affected if a.is_of_pypi)

    def affecting(self, name: str) -> Iterator[Affected]:
        """What it says of one package, by its canonical name."""
        return (a for a in self.affected if a.is_of_pypi and canonicalize_name(a.package.name) == name)


_decoder = msgspec.json.Decoder(Advisory)


def advisory_of(record: bytes) -> Advisory:
    """The advisory that a record of JSON holds. Raises MalformedError."""
    try:
        advisory = _decoder.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(str(error)) from None
    if not advisory.id.strip():
        raise MalformedError("its id is empty")
    return advisory
