"""One vulnerability has many names; all advisories that share one are about the same."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_artisan.audit.advisories import Advisory


def names_of(cluster: Iterable[Advisory]) -> frozenset[str]:
    """All names of a vulnerability: those of each of its advisories."""
    return frozenset(name for advisory in cluster for name in advisory.names)


def clusters_of(advisories: Iterable[Advisory]) -> list[tuple[Advisory, ...]]:
    """The advisories, those of one vulnerability together, in the order of their first ids."""
    ordered = sorted(advisories, key=lambda a: a.id)
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while (parent := parents.setdefault(name, name)) != name:
            # Half of the way is cut off each time, so that no chain stays long.
            parents[name] = name = parents[parent]
        return name

    for advisory in ordered:
        for alias in advisory.aliases:
            parents[root(alias)] = root(advisory.id)
    clusters: dict[str, list[Advisory]] = {}
    for advisory in ordered:
        clusters.setdefault(root(advisory.id), []).append(advisory)
    return [tuple(cluster) for cluster in clusters.values()]
