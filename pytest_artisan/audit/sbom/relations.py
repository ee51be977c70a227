"""What needs what, and of how much of that somebody knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from packaging.utils import canonicalize_name

from pytest_artisan.audit.inventory import Inventory
from pytest_artisan.audit.source import Release


class Extent(Enum):
    """CycloneDX's words for how much of what something needs is told."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Relations:
    """Of each release what it needs, sorted, and how much of that is told; of the project the same."""

    needs: Mapping[Release, tuple[Release, ...]]
    extents: Mapping[Release, Extent]
    direct: tuple[Release, ...]
    direct_extent: Extent


def relations_of(inventory: Inventory, root: str) -> Relations:
    """The relations of all pins, and of the project called `root`.

    Where several versions of a name are pinned, nobody can tell which of them is meant: it is all of them. What nothing else
    needs is needed by the project; without a graph that is everything.
    """
    releases: dict[str, list[Release]] = {}
    for name, version in sorted({(pin.name, pin.version) for pin in inventory.pins}):
        releases.setdefault(name, []).append((name, version))
    # An extra of a distribution needs the distribution itself.
    needed = {name: {n for n in inventory.requires.get(name, ()) if n != name} for name in releases}
    own = inventory.requires.get(canonicalize_name(root))
    # What nobody could audit is no component, and is needed all the same.
    extent = Extent.INCOMPLETE if inventory.unaudited else _extent(own, releases)
    every = [release for group in releases.values() for release in group]
    return Relations(
        needs={release: _all_of(needed[release[0]], releases) for release in every},
        extents={release: _extent(inventory.requires.get(release[0]), releases) for release in every},
        direct=_all_of(_direct(needed, own or ()), releases),
        direct_extent=extent,
    )


def _all_of(names: Iterable[str], releases: Mapping[str, list[Release]]) -> tuple[Release, ...]:
    return tuple(release for name in sorted(set(names)) for release in releases.get(name, ()))


def _extent(needed: Iterable[str] | None, releases: Mapping[str, list[Release]]) -> Extent:
    if needed is None:
        return Extent.UNKNOWN
    return Extent.COMPLETE if all(name in releases for name in needed) else Extent.INCOMPLETE


def _direct(needed: Mapping[str, Collection[str]], own: Collection[str]) -> set[str]:
    """What the project names or nothing else needs, and of each circle that none of these reach, one."""
    below = {name for names in needed.values() for name in names}
    direct = {name for name in needed if name in own or name not in below}
    reached = set[str]()
    for name in [*sorted(direct), *sorted(needed)]:
        if name not in reached:
            direct.add(name)
            _reach(name, needed, reached)
    return direct


def _reach(start: str, needed: Mapping[str, Collection[str]], reached: set[str]) -> None:
    left = [start]
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left.extend(needed.get(name, ()))
