"""A perfume's formula: its DNA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pytest_artisan.moga.composition import Composition
from pytest_artisan.moga.ranking import Floats

# A scale shows a hundredth of a per cent.
UNITS_PER_CENT = 100


@dataclass(frozen=True)
class Formula:
    """`composition`: per cent of the concentrate by CAS number, summing to 100; `parents`: the ids it descends from."""

    id: str
    composition: Mapping[str, float]
    objectives: Mapping[str, float]
    parents: tuple[str, ...] = ()


def weighable(shares: Floats, limits: Composition) -> Floats:
    """One mixture (n,) in whole hundredths of a per cent that sum to 100, none over a limit.

    The largest remainders round up first. Raises ValueError where the limits leave no room for the last hundredth.
    """
    units = np.floor(shares * UNITS_PER_CENT + 1e-7)
    order = np.argsort(units - shares * UNITS_PER_CENT, kind="stable")
    missing = round(limits.total * UNITS_PER_CENT - units.sum())
    while missing > 0:
        before = missing
        for place in order[units[order] > 0]:
            trial = units.copy()
            trial[place] += 1
            if missing and limits.within_limits(trial[None] / UNITS_PER_CENT).all():
                units, missing = trial, missing - 1
        if missing == before:
            raise ValueError("the limits leave no room for the last hundredth of a per cent")
    return np.asarray(units / UNITS_PER_CENT)
