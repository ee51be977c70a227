"""What somebody likes, learnt from ratings and choices."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pytest_artisan.moga.ranking import Floats

WORST, MIDDLE, BEST = 1, 3, 5
# How far a person's rating of the same thing strays, in rating points.
_STRAY = 0.7
# How much a taste changes ratings: rating points between a formula that is all of one trait and one that has none of it.
_STRENGTH = 6.0
_STEPS, _ENOUGH = 25, 1e-9


@dataclass
class Preference:
    """The most likely taste of one person over `traits` kinds of smell (maximum a posteriori).

    A rating is `level + taste @ smell`, in rating points of 1 to 5, with a normal error; of two formulas the one is
    chosen with the probability of Bradley and Terry (1952), 1 / (1 + exp(-difference of ratings)). Before any of
    either, all formulas have the middle rating.
    """

    traits: int
    level: float = float(MIDDLE)
    taste: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.taste = np.zeros(self.traits)

    def ratings(self, smells: Floats) -> Floats:
        """Expected ratings (N,) of formulas that smell so (N, traits), from 1 to 5."""
        return np.asarray(np.clip(self.level + smells @ self.taste, WORST, BEST))

    def learn(self, rated: Floats, ratings: Floats, better: Floats, worse: Floats) -> None:
        """Learn anew from all there is: `ratings` (R,) of `rated` (R, traits), `better` (C, traits) chosen over `worse`.

        Newton's method on a concave function; the same data give the same bytes.
        """
        inputs = np.hstack((rated, np.ones((len(rated), 1))))
        differences = np.hstack((better - worse, np.zeros((len(better), 1))))
        spread = np.full(self.traits + 1, _STRENGTH**-2)
        spread[-1] = 1.0
        centre = np.append(np.zeros(self.traits), MIDDLE)
        found = centre.copy()
        for _ in range(_STEPS):
            chosen = 1 / (1 + np.exp(-differences @ found))
            slope = inputs.T @ (ratings - inputs @ found) / _STRAY**2 + differences.T @ (1 - chosen)
            slope -= spread * (found - centre)
            bend = inputs.T @ inputs / _STRAY**2 + (differences.T * (chosen * (1 - chosen))) @ differences
            change = np.linalg.solve(bend + np.diag(spread), slope)
            # The logistic part bends less and less; a whole step could go too far.
            found += change / max(1.0, float(np.abs(change).max()) / _STRENGTH)
            if np.abs(change).max() < _ENOUGH:
                break
        self.taste, self.level = found[:-1], float(found[-1])
