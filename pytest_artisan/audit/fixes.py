"""To which version somebody has to go to be rid of what is known."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.version import Version

from pytest_artisan.audit.advisories import Advisory
from pytest_artisan.audit.matching import Concern, concern, listed_versions, version_of


def fix_of(name: str, text: str, advisories: Iterable[Advisory]) -> str | None:
    """The lowest version above `text` that an advisory calls fixed and none of them concerns, or None.

    It is a pre-release only where `text` is one.
    """
    installed = version_of(text)
    known = tuple(advisories)
    if installed is None:
        return None
    # What is listed as affected needs no evaluation.
    listed = {version for a in known if a.withdrawn is None for version in listed_versions(a, name)}
    fixed = {version for advisory in known for version in _fixed(advisory, name)} - listed
    candidates = sorted(version for version in fixed if _is_above(version, installed))
    clean = (v for v in candidates if all(concern(a, name, str(v)) is Concern.NOT_AFFECTED for a in known))
    found = next(clean, None)
    return None if found is None else str(found)


def _fixed(advisory: Advisory, name: str) -> Iterable[Version]:
    for part in advisory.affecting(name):
        fixed = (event.fixed for r in part.ranges if r.type != "GIT" for event in r.events if event.fixed is not None)
        yield from (version for text in fixed if (version := version_of(text)) is not None)


def _is_above(version: Version, installed: Version) -> bool:
    return version > installed and version.local is None and (installed.is_prerelease or not version.is_prerelease)
