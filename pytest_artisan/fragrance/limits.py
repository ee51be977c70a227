"""What a formula may hold: IFRA's limits as arrays for an optimizer, and a check of a formula by other means."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pytest_artisan.fragrance.ingredients import Catalogue, Ingredient, allergens, prohibited, restricted
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


class CompositionError(SettingsError):
    """A composition with a share that is no amount."""


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
    """A limit that a formula exceeds: per cent of the finished product, of all `materials` together.

    For several phototoxic materials, `found` is the sum of their shares of their own limits, of which 100 % are allowed.
    """

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
    _check_unlisted(unlisted_limit)
    upper = np.array([_own_limit(item, unlisted_limit) * concentrate for item in ingredients], float).clip(max=100)
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
    return Limits(upper, np.array(rows, float).reshape(len(rows), len(upper)), np.array(bounds, float), tuple(names))


def violations(
    composition: Mapping[str, float], catalogue: Catalogue, product: Product, unlisted_limit: float | None = None
) -> tuple[Violation, ...]:
    """Each limit that a formula, per cent of the concentrate by CAS number, exceeds in the finished product.

    Equality with a limit passes. Reckons from the tables, not from the arrays of `ifra_limits`. Raises UnknownMaterial,
    CompositionError, and UnknownLimit as `ifra_limits` does.
    """
    _check_unlisted(unlisted_limit)
    finished = _finished(composition, catalogue, product)
    found = []
    for item, amount in finished.items():
        allowed = _own_limit(item, unlisted_limit)
        if amount > allowed * _ROUNDING:
            name = "limit of its own" if allowed else "prohibited"
            found.append(Violation(name, (item.name,), amount, allowed, product.category))
    amounts: dict[str, dict[str, float]] = {}
    for item, amount in finished.items():
        for name, part in _counted(item.cas).items():
            amounts.setdefault(name, {})[item.name] = amount * part
    for standard in packaged_standards().standards:
        found += _over(standard.name, amounts.get(standard.name, {}), standard.allowed(product.category), product)
    if product.category not in NOT_IN_LIGHT:
        found += _over_in_light(finished, product)
    return tuple(found)


def _finished(composition: Mapping[str, float], catalogue: Catalogue, product: Product) -> dict[Ingredient, float]:
    """Per cent of the finished product of what a composition holds. Raises UnknownMaterial, CompositionError."""
    for cas, share in composition.items():
        # Neither NaN nor a negative share exceeds a limit; both would pass every check.
        if not 0 <= share <= 100 * _ROUNDING:
            raise CompositionError(f"{cas}: {share} is no per cent of a concentrate, which is from 0 to 100")
    return {catalogue.by_cas(cas): share * product.dosage / 100 for cas, share in composition.items() if share}


@cache
def _counted(cas: str) -> Mapping[str, float]:
    """How much of a material counts towards each standard: all of a member, of a natural the constituents it names."""
    parts = packaged_standards().constituents.get(cas, {})
    counted = {
        standard.name: 1.0
        if cas in standard.members
        else math.fsum(percent for constituent, percent in parts.items() if constituent in standard.members) / 100
        for standard in packaged_standards().standards
    }
    return {name: part for name, part in counted.items() if part}


def _over(name: str, amounts: Mapping[str, float], allowed: float | None, product: Product) -> Iterator[Violation]:
    """The violation, if the amounts (in the finished product, by name) are together above what is allowed."""
    concerned = {material: amount for material, amount in amounts.items() if amount}
    total = math.fsum(concerned.values())
    if allowed is not None and total > allowed * _ROUNDING:
        yield Violation(name, tuple(concerned), total, allowed, product.category)


def _over_in_light(finished: Mapping[Ingredient, float], product: Product) -> Iterator[Violation]:
    """Phototoxic oils: one of them keeps its limit; of several, the shares of their limits add up to at most 100 %."""
    limits = packaged_standards().phototoxic
    oils = {item: amount for item, amount in finished.items() if item.cas in limits}
    if len(oils) == 1:
        [(item, amount)] = oils.items()
        yield from _over("phototoxic", {item.name: amount}, limits[item.cas], product)
    else:
        shares = {item.name: 100 * amount / limits[item.cas] for item, amount in oils.items()}
        yield from _over("phototoxic: sum of shares of limits", shares, 100.0, product)


def allergen_declarations(
    composition: Mapping[str, float], catalogue: Catalogue, product: Product
) -> Mapping[str, float]:
    """The EU allergens to declare, per cent of the finished product by CAS number; constituents of naturals count.

    Above 0.001 % in products that stay on the skin, 0.01 % in those that are rinsed off. Raises UnknownMaterial,
    CompositionError.
    """
    threshold = DECLARED_RINSE_OFF if product.category in RINSE_OFF else DECLARED_LEAVE_ON
    parts: dict[str, list[float]] = {}
    constituents = packaged_standards().constituents
    for item, finished in _finished(composition, catalogue, product).items():
        if item.allergen or item.cas in allergens():
            parts.setdefault(item.cas, []).append(finished)
        for constituent, percent in constituents.get(item.cas, {}).items():
            if constituent in allergens():
                parts.setdefault(constituent, []).append(finished * percent / 100)
    totals = {cas: math.fsum(amounts) for cas, amounts in parts.items()}
    return {cas: total for cas, total in sorted(totals.items()) if total > threshold * _ROUNDING}


def _check_unlisted(limit: float | None) -> None:
    if limit is not None and not 0 <= limit <= 100:
        raise ProductError(f"an unlisted limit of {limit} % of the finished product is not from 0 to 100")


def _own_limit(item: Ingredient, unlisted_limit: float | None) -> float:
    """What the material may have of the finished product, beside the standards: per cent."""
    if item.ifra == "prohibited" or item.cas in prohibited():
        return 0.0
    if item.max_percent is not None:
        return item.max_percent
    if item.ifra == "restricted" and item.cas not in restricted():
        raise UnknownLimit(f"{item.name} ({item.cas}) is restricted, and no limit of it is known")
    if item.ifra is not None or item.cas in restricted():
        return 100.0
    if unlisted_limit is None:
        raise UnknownLimit(f"{item.name} ({item.cas}): nobody states whether it is restricted")
    return unlisted_limit


@cache
def _shared(category: str) -> tuple[tuple[str, Mapping[str, float], float], ...]:
    """Each limit of a category: its name, what each material counts towards it, and per cent of the finished product."""
    known = packaged_standards()
    limits: list[tuple[str, Mapping[str, float], float]] = []
    for standard in known.standards:
        allowed = standard.allowed(category)
        amounts = dict.fromkeys(sorted(standard.members), 1.0)
        for natural, parts in known.constituents.items():
            held = math.fsum(percent for constituent, percent in parts.items() if constituent in standard.members)
            if held and natural not in standard.members:
                amounts[natural] = held / 100
        if allowed is not None:
            limits.append((standard.name, amounts, allowed))
    if category not in NOT_IN_LIGHT:
        limits.append(("phototoxic materials together", {cas: 1 / cap for cas, cap in known.phototoxic.items()}, 1.0))
    return tuple(limits)
