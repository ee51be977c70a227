"""The packaged limits: IFRA standards by product category, phototoxic materials, constituents of naturals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from pytest_artisan.fragrance.tables import DATA, TableError, cas_of, number_of, read_rows

CATEGORIES = (
    *("1", "2", "3", "4", "5A", "5B", "5C", "5D", "6"),
    *("7A", "7B", "8", "9", "10A", "10B", "11A", "11B", "12"),
)


@dataclass(frozen=True)
class Standard:
    """A limit on the sum of its `members`, per cent of the finished product by category; None is no restriction.

    A category that the data does not know has no room at all: nobody said that there is any.
    """

    name: str
    members: frozenset[str]
    limits: Mapping[str, float | None]

    def allowed(self, category: str) -> float | None:
        """Per cent of the finished product, None where there is no restriction."""
        return self.limits.get(category, 0.0)


@dataclass(frozen=True)
class Standards:
    """All that is limited. `phototoxic`: per cent by CAS number; `constituents`: per cent of a natural by CAS numbers."""

    standards: tuple[Standard, ...]
    phototoxic: Mapping[str, float]
    constituents: Mapping[str, Mapping[str, float]]


@cache
def packaged_standards() -> Standards:
    """The tables in `data/`. Raises TableError where one of them can not be used."""
    members: dict[str, set[str]] = {}
    for where, row in read_rows(DATA / "standards.csv", ("standard", "cas")):
        members.setdefault(row["standard"], set()).add(cas_of(row, where))
    limits: dict[str, dict[str, float | None]] = {name: {} for name in members}
    for where, row in read_rows(DATA / "limits.csv", ("standard", "category", "max_percent", "amendment", "source")):
        name, category = row["standard"], row["category"]
        if name not in members or category not in CATEGORIES or category in limits[name]:
            raise TableError(f"{where}: standard {name!r} in category {category!r} is unknown, or stands twice")
        limits[name][category] = number_of(row, where, "max_percent")
    for name, by_category in limits.items():
        if not by_category:
            raise TableError(f"limits.csv: standard {name!r} has no limit")
    constituents: dict[str, dict[str, float]] = {}
    for where, row in read_rows(DATA / "constituents.csv", ("natural", "constituent", "percent", "source")):
        parts = constituents.setdefault(cas_of(row, where, "natural"), {})
        parts[cas_of(row, where, "constituent")] = number_of(row, where, "percent") or 0.0
    phototoxic = {
        cas_of(row, where): number_of(row, where, "max_percent") or 0.0
        for where, row in read_rows(DATA / "phototoxic.csv", ("cas", "max_percent", "source"))
    }
    found = tuple(Standard(name, frozenset(cas), limits[name]) for name, cas in members.items())
    return Standards(found, phototoxic, constituents)
