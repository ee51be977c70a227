"""To which version somebody has to go to be rid of what is known."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.version import Version

from pytest_artisan.audit.advisories import Advisory
from pytest_artisan.audit.matching import Concern, concern, version_of


def fix_of(name: str, text: str, advisories: Iterable[Advisory]) -> str | None:
    """The lowest version above `text` that the advisories name and none of them concerns, or None.

    It is a pre-release only where `text` is one.
    """
    installed = version_of(text)
    known = tuple(advisories)
    if installed is None:
        return None
    candidates = sorted({v for advisory in known for v in _named(advisory, name) if _is_above(v, installed)})
    clean = (v for v in candidates if all(concern(a, name, str(v)) is Concern.NOT_AFFECTED for a in known))
    found = next(clean, None)
    return None if found is None else str(found)


def _named(advisory: Advisory, name: str) -> Iterable[Version]:
    for part in advisory.affecting(name):
        fixed = (event.fixed for r in part.ranges if r.type != "GIT" for event in r.events if event.fixed is not None)
        for text in (*fixed, *part.versions):
            version = version_of(text)
            if version is not None:
                yield version


def _is_above(version: Version, installed: Version) -> bool:
    return version > installed and version.local is None and (installed.is_prerelease or not version.is_prerelease)
