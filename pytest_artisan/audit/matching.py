"""Whether an advisory concerns a version: OSV's evaluation, with PEP 440's order, and a third answer."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import lru_cache

from packaging.version import Version

from pytest_artisan.audit.advisories import Advisory, Affected, Event, Range

Bound = tuple[str, str]  # which kind of event, and its version
_KINDS = ("introduced", "fixed", "last_affected", "limit")
_BEGINNING, _FIRST = "0", Version("0.dev0")
_NO_LIMIT = "*"
_NAMED = 3  # in one line


class Concern(Enum):
    """`UNDECIDED` where the record names a version that nobody can place, and the answer depends on where it is."""

    AFFECTED = "affected"
    NOT_AFFECTED = "not affected"
    UNDECIDED = "undecided"


@lru_cache(maxsize=65536)
def version_of(text: str) -> Version | None:
    """A version as PEP 440 has it, or None for what is none."""
    try:
        return Version(text)
    except ValueError:  # an InvalidVersion, or a number of more digits than Python reads
        return None


def concern(advisory: Advisory, name: str, text: str) -> Concern:
    """What an advisory says of a version of the package with that canonical name.

    It is affected where it is listed or lies in a range. A withdrawn advisory says nothing, and neither does a part without
    versions and ranges, or with those of commits alone.
    """
    if advisory.withdrawn is not None:
        return Concern.NOT_AFFECTED
    return _worst(_of_part(affected, text, version_of(text)) for affected in advisory.affecting(name))


def decides(advisory: Advisory, name: str) -> bool:
    """Whether it says which versions of the package are affected, so that it may clear the others."""
    if advisory.withdrawn is not None:
        return False
    return any(_listed(part.versions)[1] or any(map(_has_place, _ordered(part))) for part in advisory.affecting(name))


def doubt(advisory: Advisory, text: str) -> str:
    """Why an advisory that is undecided about a version is so."""
    if version_of(text) is None:
        return f"{text!r} is no version"
    texts = ", ".join(map(repr, unplaced(advisory)[:_NAMED]))
    return f"its record names {texts}, which is no version" if texts else "its record has a range without a beginning"


def unplaced(advisory: Advisory) -> list[str]:
    """The bounds of its ranges that are no versions."""
    ranges = (r for part in advisory.affected if part.is_of_pypi for r in _ordered(part))
    texts = (text for r in ranges for event in r.events for _, text in _bounds(event))
    return [text for text in texts if _place(text) is None]


def is_same(listed: str, text: str) -> bool:
    """Whether two texts name one version; a local part counts only where the listed one has it, too."""
    return _is_listed((listed,), text, version_of(text))


def listed_versions(advisory: Advisory, name: str) -> Iterator[Version]:
    """The versions of a package that an advisory lists, as far as they are versions."""
    for part in advisory.affecting(name):
        yield from _listed(part.versions)[1]


@lru_cache(maxsize=8192)
def _listed(texts: tuple[str, ...]) -> tuple[frozenset[str], frozenset[Version]]:
    """As written, and as versions: some lists have hundreds, and are looked at for each version that may be advised."""
    return frozenset(texts), frozenset(version for text in texts if (version := version_of(text)) is not None)


def _is_listed(listed: tuple[str, ...], text: str, version: Version | None) -> bool:
    texts, versions = _listed(listed)
    return text in texts or (version is not None and (version in versions or _built_from(version) in versions))


def _worst(answers: Iterator[Concern]) -> Concern:
    found = set(answers)
    if Concern.AFFECTED in found:
        return Concern.AFFECTED
    return Concern.UNDECIDED if Concern.UNDECIDED in found else Concern.NOT_AFFECTED


def _of_part(affected: Affected, text: str, version: Version | None) -> Concern:
    if _is_listed(affected.versions, text, version):
        return Concern.AFFECTED
    ranges = _ordered(affected)
    if version is None:
        # It may be another one's other spelling.
        return Concern.UNDECIDED if affected.versions or ranges else Concern.NOT_AFFECTED
    return _worst(_of_range(one, version) for one in ranges)


def _ordered(affected: Affected) -> list[Range]:
    """Its ranges of versions; one of commits says nothing about a release."""
    return [r for r in affected.ranges if r.type != "GIT"]


def _of_range(given: Range, version: Version) -> Concern:
    bounds = [bound for event in given.events for bound in _bounds(event)]
    if all(kind != "introduced" for kind, _ in bounds):
        # OSV asks for one, so that its name is misspelt, or its line is lost.
        return Concern.UNDECIDED
    both = {_within([event.limit for event in given.events if event.limit is not None], version), _at(bounds, version)}
    if Concern.NOT_AFFECTED in both:
        return Concern.NOT_AFFECTED
    return Concern.UNDECIDED if Concern.UNDECIDED in both else Concern.AFFECTED


def _has_place(given: Range) -> bool:
    """Whether somebody can tell where it begins."""
    return any(event.introduced is not None and _place(event.introduced) is not None for event in given.events)


def _within(limits: list[str], version: Version) -> Concern:
    """Whether the version comes before one of the limits, which is where the range is looked at."""
    places = [_place(text) for text in limits]
    if not limits or _NO_LIMIT in limits or any(p is not None and _as_exact_as(p, version) < p for p in places):
        return Concern.AFFECTED
    return Concern.UNDECIDED if None in places else Concern.NOT_AFFECTED


def _bounds(event: Event) -> Iterator[Bound]:
    for kind in _KINDS:
        text = getattr(event, kind)
        if text is not None and not (kind == "limit" and text == _NO_LIMIT):
            yield kind, text


def _place(text: str) -> Version | None:
    return _FIRST if text == _BEGINNING else version_of(text)


def _at(bounds: list[Bound], version: Version) -> Concern:
    """Whether the version lies between a beginning and an end, as far as these have a place."""
    placed = [(place, kind) for kind, text in bounds if (place := _place(text)) is not None]
    is_affected = False
    # Where something ends and begins anew with one version, that version is affected.
    for place, kind in sorted(placed, key=lambda one: (one[0], one[1] == "introduced")):
        here = _as_exact_as(place, version)
        if kind == "introduced" and here >= place:
            is_affected = True
        elif (kind == "fixed" and here >= place) or (kind == "last_affected" and here > place):
            is_affected = False
    unplaced = {kind for kind, text in bounds if _place(text) is None}
    # An end that nobody can place may come before the version, and a beginning as well.
    if unplaced & {"fixed", "last_affected"} if is_affected else "introduced" in unplaced:
        return Concern.UNDECIDED
    return Concern.AFFECTED if is_affected else Concern.NOT_AFFECTED


def _as_exact_as(bound: Version, version: Version) -> Version:
    """The version without its local part, where the bound has none: a build is affected as what it was built from."""
    return version if bound.local is not None else _built_from(version)


def _built_from(version: Version) -> Version:
    return version if version.local is None else Version(version.public)
