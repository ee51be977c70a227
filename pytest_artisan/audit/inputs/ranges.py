"""Whether a requirement counts here, and which one version it allows."""

from __future__ import annotations

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet

from pytest_artisan.audit.inputs.written import UNPINNED, exact
from pytest_artisan.audit.inventory import NoAudit, Pin, Unaudited
from pytest_artisan.audit.matching import version_of

_EXACT = ("==", "===")


def applies(marker: Marker | None, where: str) -> bool:
    """Whether a marker is true of the Python that runs this, without any extra. Raises NoAudit where nobody can tell."""
    try:
        return marker is None or marker.evaluate({"extra": ""})
    except (ValueError, KeyError, RecursionError):
        raise NoAudit(f"{where}: has a marker that can not be evaluated") from None


def is_exact(ranges: SpecifierSet) -> bool:
    """Whether a version is named, rightly or not."""
    return bool(_named(ranges))


def pin_of(name: str, ranges: SpecifierSet, file: str, line: int, hashes: tuple[str, ...] = ()) -> Pin | Unaudited:
    """The one version that is named and lies in all ranges; where there is none, or more than one, nobody can tell."""
    where, named = f"{file}:{line}", _named(ranges)
    if not named:
        return Unaudited(name, file, line, UNPINNED)
    try:
        allowed = {version_of(text) or text: text for text in named if ranges.contains(text, prereleases=True)}
    except ValueError:
        raise NoAudit(f"{where}: names a version of more digits than Python reads") from None
    if len(allowed) != 1:
        return Unaudited(name, file, line, "has versions that contradict each other")
    [version] = allowed.values()
    return Pin(name, exact(version, where), file, line, hashes)


def _named(ranges: SpecifierSet) -> list[str]:
    """The versions that are named; `==1.*` names none."""
    return sorted(s.version for s in ranges if s.operator in _EXACT and not s.version.endswith(".*"))
