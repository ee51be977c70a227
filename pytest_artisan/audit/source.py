"""Where advisories come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from pytest_artisan.audit.advisories import Advisory
from pytest_artisan.audit.inventory import Inventory, Unaudited
from pytest_artisan.audit.matching import version_of

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
    """Releases of which the answer is known: one with a critical advisory, a later one without it, one of malware.

    `malware` is None for a source that can not know any.
    """

    critical: Release
    clean: Release
    malware: Release | None

    @property
    def releases(self) -> tuple[Release, ...]:
        """All that there are."""
        both = (self.critical, self.clean)
        return both if self.malware is None else (*both, self.malware)


class Source(Protocol):
    """A place that knows advisories; `origin` names it for people, `rates` says whether it tells how bad they are."""

    origin: str
    rates: bool
    canaries: Canaries

    def known(self, releases: Sequence[Release]) -> Mapping[Release, Known]:
        """What is known of each of them. Raises NoAudit where not all of them could be asked."""
        ...


@runtime_checkable
class Reader(Protocol):
    """A source that reads the files itself as well."""

    def disagreements(self, inventory: Inventory, root: Path) -> list[Unaudited]:
        """What it finds there, and the inventory has not. Raises NoAudit."""
        ...


def spellings(version: str) -> tuple[str, ...]:
    """The versions to ask a service about, the public one last: a build is affected as what it was built from, too."""
    parsed = version_of(version)
    return (version,) if parsed is None or parsed.local is None else (version, parsed.public)
