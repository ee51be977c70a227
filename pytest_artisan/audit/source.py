"""Where advisories come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pytest_artisan.audit.advisories import Advisory

Release = tuple[str, str]  # a canonical name and a version


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that can not be read, named by its `id`, or by where it stood; `why` is one line."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a source knows of one package: `advisories` that may concern the asked version, or also other ones."""

    advisories: tuple[Advisory, ...] = ()
    malformed: tuple[Malformed, ...] = ()


@dataclass(frozen=True, slots=True)
class Canaries:
    """Releases of which the answer is known: one with a critical advisory, a later one without it, one of malware."""

    critical: Release
    clean: Release
    malware: Release


class Source(Protocol):
    """A place that knows advisories; `origin` names it for people, `rates` says whether it tells how bad they are."""

    origin: str
    rates: bool
    canaries: Canaries

    def known(self, releases: Sequence[Release]) -> Mapping[Release, Known]:
        """What is known of each of them. Raises NoAudit where not all of them could be asked."""
        ...
