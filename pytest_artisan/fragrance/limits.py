"""What a formula may hold: IFRA's limits as arrays for an optimizer, and a check of a formula by other means."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_artisan.fragrance.ingredients import Catalogue, Ingredient, packaged
from pytest_artisan.fragrance.standards import CATEGORIES, packaged_standards
from pytest_artisan.settings import SettingsError

# Products that are rinsed off, or that skin is not meant to touch: neither light nor time on the skin adds to them.
RINSE_OFF = frozenset({"7A", "9", "10A", "12"})
NOT_IN_LIGHT = RINSE_OFF | {"11A"}
# Per cent of the finished product from which an allergen is declared (Regulation (EC) 1223/2009, Annex III).
DECLARED_LEAVE_ON, DECLARED_RINSE_OFF = 0.001, 0.01
# Equality with a limit passes; so does what rounding adds to it.
_ROUNDING = 1 + 1e-9


class UnknownLimit(SettingsError):
    """A material of which nobody says whether it is restricted."""


class ProductError(SettingsError):
    """A product that is none."""


@dataclass(frozen=True, slots=True)
class Product:
    """What the perfume goes into: its IFRA `category`, and the `dosage`, per cent of the concentrate in it."""

    category: str
    dosage: float

    def __post_init__(self) -> None:
        if self.category not in CATEGORIES:
            raise ProductError(f"no IFRA category {self.category!r}; known: {', '.join(CATEGORIES)}")
        if not 0 < self.dosage <= 100:
            raise ProductError(f"a dosage of {self.dosage:g} % is not above 0 and at most 100")


@dataclass(frozen=True, slots=True)
class Limits:
    """`upper` (n,): per cent of the concentrate; `weights` (K, n) @ shares <= `bounds` (K,), called `names` (K,)."""

    upper: NDArray[np.float64]
    weights: NDArray[np.float64]
    bounds: NDArray[np.float64]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Violation:
    """A limit that a formula exceeds: per cent of the finished product, of all `materials` together."""

    limit: str
    materials: tuple[str, ...]
    found: float
    allowed: float
    category: str

    def __str__(self) -> str:
        names = " + ".join(self.materials)
        return f"{names}: {self.found:.6g} % > {self.allowed:.6g} % ({self.limit}, category {self.category})"


def ifra_limits(ingredients: Sequence[Ingredient], product: Product, unlisted_limit: float | None = None) -> Limits:
    """The limits of concentrates of these n ingredients, as arrays.

    A limit that concerns one ingredient is in `upper`: the finished product's limit over the dosage. Those of several
    (combined standards, constituents of naturals, phototoxic additivity) are rows. Raises UnknownLimit for a material
    whose status nobody states, unless `unlisted_limit`, per cent of the finished product, is given for all of these.
    """
    concentrate = 100 / product.dosage
    upper = np.array([_own_limit(item, unlisted_limit) * concentrate for item in ingredients]).clip(max=100)
    rows, bounds, names = [], [], []
    for name, amounts, allowed in _shared(product.category):
        weights = np.array([amounts.get(item.cas, 0.0) for item in ingredients])
        concerned = np.flatnonzero(weights)
        if len(concerned) == 1:
            place = concerned[0]
            upper[place] = min(upper[place], allowed * concentrate / weights[place])
        elif len(concerned):
            rows.append(weights)
            bounds.append(allowed * concentrate)
            names.append(name)
    return Limits(upper, np.array(rows).reshape(-1, len(upper)), np.array(bounds), tuple(names))


def violations(
    composition: Mapping[str, float], catalogue: Catalogue, product: Product, unlisted_limit: float | None = None
) -> tuple[Violation, ...]:
    """Each limit that a formula, per cent of the concentrate by CAS number, exceeds in the finished product.

    Equality with a limit passes. Raises UnknownMaterial, and UnknownLimit as `ifra_limits` does.
    """
    finished = {cas: share * product.dosage / 100 for cas, share in composition.items() if share}
    items = [catalogue.by_cas(cas) for cas in finished]
    found = []
    for item in items:
        allowed = _own_limit(item, unlisted_limit)
        if finished[item.cas] > allowed * _ROUNDING:
            name = "prohibited" if item.ifra == "prohibited" else "limit of its own"
            found.append(Violation(name, (item.name,), finished[item.cas], allowed, product.category))
    for name, amounts, allowed in _shared(product.category):
        concerned = [item for item in items if item.cas in amounts]
        total = math.fsum(finished[item.cas] * amounts[item.cas] for item in concerned)
        if total > allowed * _ROUNDING:
            found.append(Violation(name, tuple(item.name for item in concerned), total, allowed, product.category))
    return tuple(found)


def allergen_declarations(
    composition: Mapping[str, float], catalogue: Catalogue, product: Product
) -> Mapping[str, float]:
    """The EU allergens to declare, per cent of the finished product by CAS number; constituents of naturals count.

    From 0.001 % in products that stay on the skin, 0.01 % in those that are rinsed off. Raises UnknownMaterial.
    """
    threshold = DECLARED_RINSE_OFF if product.category in RINSE_OFF else DECLARED_LEAVE_ON
    parts: dict[str, list[float]] = {}
    constituents = packaged_standards().constituents
    for cas, share in composition.items():
        finished = share * product.dosage / 100
        if catalogue.by_cas(cas).allergen:
            parts.setdefault(cas, []).append(finished)
        for constituent, percent in constituents.get(cas, {}).items():
            known = packaged().get(constituent)
            if known is not None and known.allergen:
                parts.setdefault(constituent, []).append(finished * percent / 100)
    totals = {cas: math.fsum(amounts) for cas, amounts in parts.items()}
    return {cas: total for cas, total in sorted(totals.items()) if total > threshold * _ROUNDING}


def _own_limit(item: Ingredient, unlisted_limit: float | None) -> float:
    """What the material may have of the finished product, beside the standards: per cent."""
    own = 100.0 if item.max_percent is None else item.max_percent
    if item.ifra == "prohibited":
        return 0.0
    if item.ifra is None and item.max_percent is None:
        if unlisted_limit is None:
            raise UnknownLimit(f"{item.name} ({item.cas}): nobody states whether it is restricted")
        return unlisted_limit
    if item.ifra == "restricted" and item.max_percent is None and not _has_standard(item.cas):
        raise UnknownLimit(f"{item.name} ({item.cas}) is restricted, and no limit of it is known")
    return own


def _has_standard(cas: str) -> bool:
    known = packaged_standards()
    return cas in known.phototoxic or any(cas in standard.members for standard in known.standards)


def _shared(category: str) -> Iterator[tuple[str, Mapping[str, float], float]]:
    """Each limit of a category: its name, what each material counts towards it, and per cent of the finished product."""
    known = packaged_standards()
    for standard in known.standards:
        allowed = standard.allowed(category)
        if allowed is None:
            continue
        amounts = dict.fromkeys(sorted(standard.members), 1.0)
        for natural, parts in known.constituents.items():
            held = math.fsum(percent for constituent, percent in parts.items() if constituent in standard.members)
            if held and natural not in standard.members:
                amounts[natural] = held / 100
        yield standard.name, amounts, allowed
    if category not in NOT_IN_LIGHT:
        yield "phototoxic materials together", {cas: 1 / limit for cas, limit in known.phototoxic.items()}, 1.0
