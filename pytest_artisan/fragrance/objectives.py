"""What formulas are judged by: four numbers in [0, 1], all minimised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pytest_artisan.fragrance.brief import Brief
from pytest_artisan.fragrance.ingredients import NOTES, Ingredient

Floats = NDArray[np.float64]
OBJECTIVES = ("misfit", "sameness", "fading", "cost")

# Pa: what has this vapour pressure loses half of itself over the time that `fading` looks at; typical ones by note.
_HALF_GONE = 5.0
_TYPICAL = {"top": 100.0, "heart": 5.0, "base": 0.05}
# A kilogram of concentrate at this price costs one half.
_HALF_COST = 100.0
_TINY = np.finfo(np.float64).tiny


class Objectives:
    """Objectives of formulas of `ingredients` (n of them) for a brief; call it with shares (N, n) in per cent.

    With p a formula's odorous part, scaled to 1, m how much of the formula that is, f(p) and t(p) its shares of odour
    families and notes, and r what is left of each material after some hours:

    - misfit: 1 - (1 - (1 - m)^2) (0.7 cos(f(p), wanted families) + 0.3 (1 - |t(p) - wanted notes| / 2))
    - sameness, the opposite of creativity: |sum p_i v_i|^2, v_i the unit vector of a material's families and note; it
      is 1 - Q of Rao (1982), the chance that two drops are alike
    - fading, the opposite of stability: 1 - sum p_i r_i cos(f(p), f(p r)), r_i = 2^(-vapour pressure / 5 Pa)
    - cost: c / (c + 100), c the price of a kilogram of concentrate

    `traits` (t,) are odour families and notes, `smells` (n, t) how much of each a material has, `wanted` (t,) the brief.
    A formula without odour has the worst of the first three. A missing vapour pressure is the typical one of the note;
    a missing price is the median of those known, or 100.
    """

    names = OBJECTIVES

    def __init__(self, ingredients: Sequence[Ingredient], brief: Brief) -> None:
        families = sorted({family for item in ingredients for family in item.families} | set(brief.families))
        self._families = np.array([[family in item.families for family in families] for item in ingredients], float)
        self._odorous = self._families.any(axis=1).astype(float)
        self._families /= np.maximum(self._families.sum(axis=1, keepdims=True), 1)
        self._notes = np.array([[item.note == note for note in NOTES] for item in ingredients], float)
        # What a material smells of: odour families, then top, heart and base.
        self.traits = (*families, *NOTES)
        self.smells = features = np.hstack((self._families, self._notes)) * self._odorous[:, None]
        self._features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), _TINY)
        self._wanted_families = _unit(np.array([brief.families.get(family, 0.0) for family in families]))
        notes = np.array([brief.notes.get(note, 0.0) for note in NOTES])
        self._wanted_notes = notes / notes.sum()
        self.wanted = np.concatenate((self._wanted_families, self._wanted_notes))
        typical = [item.vapour_pressure or _TYPICAL.get(item.note or "heart", 1.0) for item in ingredients]
        self._left = 2.0 ** -(np.array(typical) / _HALF_GONE)
        known = [item.price for item in ingredients if item.price is not None]
        usual = float(np.median(known)) if known else _HALF_COST
        self._prices = np.array([usual if item.price is None else item.price for item in ingredients])

    def smell(self, shares: Floats) -> Floats:
        """How much of a formula's odour is of each trait: (N, t), families and notes each summing to 1, or 0."""
        smell: Floats = self._odour(shares)[0] @ self.smells
        return smell

    def _odour(self, shares: Floats) -> tuple[Floats, Floats]:
        """The parts (N, n) of the odour that materials make up, and how much (N,) of the formula has any."""
        odorous = shares * self._odorous / 100
        mass = odorous.sum(axis=1)
        return odorous / np.maximum(mass, _TINY)[:, None], mass

    def __call__(self, shares: Floats) -> Floats:
        """(N, 4), in the order of OBJECTIVES."""
        parts, mass = self._odour(shares)
        profile = parts @ self._families
        later = parts * self._left
        balance = 1 - np.abs(parts @ self._notes - self._wanted_notes).sum(axis=1) / 2
        fit = (1 - (1 - mass) ** 2) * (0.7 * (_unit(profile) @ self._wanted_families) + 0.3 * balance)
        sameness = np.where(mass > 0, ((parts @ self._features) ** 2).sum(axis=1), 1)
        steady = (_unit(profile) * _unit(later @ self._families)).sum(axis=1)
        price = shares @ self._prices / 100
        columns = (1 - fit, sameness, 1 - later.sum(axis=1) * steady, price / (price + _HALF_COST))
        judged: Floats = np.clip(np.column_stack(columns), 0, 1)
        return judged


def price_of(cost: float) -> float:
    """USD a kilogram of the concentrate whose objective is `cost`, below 1."""
    return _HALF_COST * cost / (1 - cost)


def _unit(vectors: Floats) -> Floats:
    """Vectors of length 1, or 0 where they were."""
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _TINY)
    return unit
