"""One vulnerability has many names; all advisories that share one are about the same."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_artisan.audit.advisories import Advisory


def names_of(cluster: Iterable[Advisory]) -> frozenset[str]:
    """All names of a vulnerability: those of each of its advisories."""
    return frozenset(name for advisory in cluster for name in advisory.names)


def clusters_of(advisories: Iterable[Advisory]) -> list[tuple[Advisory, ...]]:
    """The advisories, those of one vulnerability together, in the order of their first ids."""
    groups: list[tuple[set[str], list[Advisory]]] = []
    for advisory in sorted(advisories, key=lambda a: a.id):
        names, members = set(advisory.names), [advisory]
        apart = []
        for group in groups:
            if group[0] & names:
                names |= group[0]
                members = [*group[1], *members]
            else:
                apart.append(group)
        groups = [*apart, (names, members)]
    return sorted((tuple(sorted(members, key=lambda a: a.id)) for _, members in groups), key=lambda c: c[0].id)
