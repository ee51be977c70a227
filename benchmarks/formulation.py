"""A problem like perfume: shares under caps, three convex objectives, and its exact front.

Every point of a convex front minimises a weighted sum, so the front is computed and not sampled by an evolution: one
accelerated projected gradient (Beck and Teboulle 2009) for all weights at once, until a bound on what is left is tight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from problems import Floats, simplex_lattice

NOTES = 8
DIVISIONS = 32  # 561 weights
# A weight of nothing leaves points that another one dominates.
_LEAST_WEIGHT = 1e-4


@dataclass(frozen=True)
class Formulation:
    """What a formula of n components is judged by, all minimised: distance to a brief, cost and instability.

    Rows of `notes` (n, 8) are unit vectors; a formula's `notes.T @ x` should be the `brief` (8,). The dearest of
    `prices` (n,) is 1. Instability is `|unrest.T @ x|^2`, `unrest` (n, r). Shares lie under `caps` (n,) and add up to 1.
    """

    notes: Floats
    brief: Floats
    prices: Floats
    unrest: Floats
    caps: Floats

    def evaluate(self, shares: Floats) -> Floats:
        """Objectives (N, 3) of formulas (N, n)."""
        missed = shares @ self.notes - self.brief
        unrest = shares @ self.unrest
        return np.column_stack(((missed**2).sum(axis=1), shares @ self.prices, (unrest**2).sum(axis=1)))


def formulation(components: int, seed: int, rank: int | None = None) -> Formulation:
    """A problem drawn from `seed`; it has room for at least 1.1 times a formula. `rank` is r, by default n."""
    rng = np.random.default_rng(seed)
    notes = np.abs(rng.normal(size=(components, NOTES)))
    brief = np.abs(rng.normal(size=NOTES))
    prices = rng.lognormal(size=components)
    unrest = rng.normal(size=(components, rank or components)) / np.sqrt(components)
    caps = 10 ** rng.uniform(-2.5, 0, components)
    while caps.sum() < 1.1:
        caps = 10 ** rng.uniform(-2.5, 0, components)
    return Formulation(
        notes / np.linalg.norm(notes, axis=1, keepdims=True),
        brief / np.linalg.norm(brief) / 1.2,
        prices / prices.max(),
        unrest,
        caps,
    )


@dataclass(frozen=True)
class Oracle:
    """The exact front: formulas (K, n), objectives (K, 3), and the weights (K, 3) whose sum each of them minimises.

    `gap` (K,) bounds how far each weighted sum is from its minimum. `volume` is the front's own hypervolume below 1.1
    where `ideal` is 0 and `nadir` is 1.
    """

    shares: Floats
    objectives: Floats
    weights: Floats
    gap: Floats
    ideal: Floats
    nadir: Floats
    volume: float

    def ratio(self, objectives: Floats) -> float:
        """The hypervolume of `objectives` (N, 3) as a share of the exact front's."""
        return _volume(objectives, self.ideal, self.nadir) / self.volume


def oracle(problem: Formulation, divisions: int = DIVISIONS, tolerance: float = 1e-8) -> Oracle:
    """The exact front, from one weighted sum for each point of a lattice; `tolerance` is of the objectives' extent."""
    extremes, _ = minimise(problem, _at_least(np.eye(3)), tolerance)
    table = problem.evaluate(extremes)
    lattice = _at_least(simplex_lattice(divisions))
    weights = lattice / (table.max(axis=0) - table.min(axis=0))
    shares, gap = minimise(problem, weights, tolerance)
    objectives = problem.evaluate(shares)
    ideal, nadir = objectives.min(axis=0), objectives.max(axis=0)
    return Oracle(shares, objectives, weights, gap, ideal, nadir, _volume(objectives, ideal, nadir))


def _at_least(weights: Floats) -> Floats:
    return (weights + _LEAST_WEIGHT) / (1 + 3 * _LEAST_WEIGHT)


def _volume(objectives: Floats, ideal: Floats, nadir: Floats) -> float:
    from pytest_artisan.moga.indicators import hypervolume

    return hypervolume((objectives - ideal) / (nadir - ideal), np.full(3, 1.1))


def minimise(problem: Formulation, weights: Floats, tolerance: float, steps: int = 20_000) -> tuple[Floats, Floats]:
    """The formulas (K, n) that minimise `weights` (K, 3) times the objectives, and a bound on each one's error (K,).

    A formula leaves the iteration as soon as its bound is at most `tolerance`. The bound is the slope towards the best
    vertex, which no convex function can exceed (Frank and Wolfe 1956).
    """
    sums = _WeightedSums(problem, weights)
    shares = np.empty((len(weights), len(problem.caps)))
    gaps = np.empty(len(weights))
    left = np.arange(len(weights))
    x = _project(np.zeros_like(shares), problem.caps)
    ahead, momentum = x, np.ones(len(x))
    for step in range(steps):
        fresh = _project(ahead - sums.slope(ahead, left) / sums.curvature[left, None], problem.caps)
        # Momentum that points uphill is dropped (O'Donoghue and Candes 2015).
        uphill = ((ahead - fresh) * (fresh - x)).sum(axis=1) > 0
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        pace = np.where(uphill, 0, (momentum - 1) / grown)
        ahead, x, momentum = fresh + pace[:, None] * (fresh - x), fresh, np.where(uphill, 1, grown)
        if step % 20 == 0 or step == steps - 1:
            slope = sums.slope(x, left)
            shares[left], gaps[left] = x, (slope * x).sum(axis=1) - _least(slope, problem.caps)
            rough = gaps[left] > tolerance
            if not rough.any():
                break
            left, x, ahead, momentum = left[rough], x[rough], ahead[rough], momentum[rough]
    return shares, gaps


class _WeightedSums:
    """The slopes of the weighted sums, and how fast these can change."""

    def __init__(self, problem: Formulation, weights: Floats) -> None:
        self._near = problem.notes @ problem.notes.T
        self._calm = problem.unrest @ problem.unrest.T
        steepest = np.array([np.linalg.eigvalsh(form)[-1] for form in (self._near, self._calm)])
        self.curvature = 2 * weights[:, [0, 2]] @ steepest
        self._quadratic = 2 * weights
        self._linear = weights[:, 1:2] * problem.prices - 2 * weights[:, :1] * (problem.notes @ problem.brief)

    def slope(self, x: Floats, rows: NDArray[np.intp]) -> Floats:
        factors = self._quadratic[rows]
        slope: Floats = factors[:, :1] * (x @ self._near) + factors[:, 2:] * (x @ self._calm) + self._linear[rows]
        return slope


def _project(values: Floats, caps: Floats) -> Floats:
    """The nearest formulas: the sum falls piecewise linearly in what is subtracted, so all its bends are sorted."""
    components = len(caps)
    bends = np.hstack((values - caps, values))
    order = bends.argsort(axis=1)
    bends = np.take_along_axis(bends, order, axis=1)
    free = np.where(order < components, 1, -1).cumsum(axis=1)
    fallen = np.zeros_like(bends)
    fallen[:, 1:] = (free[:, :-1] * np.diff(bends, axis=1)).cumsum(axis=1)
    sums = caps.sum() - fallen
    rows = np.arange(len(values))
    last = (sums >= 1).sum(axis=1) - 1
    shift = bends[rows, last] + (sums[rows, last] - 1) / np.maximum(free[rows, last], 1)
    nearest: Floats = np.clip(values - shift[:, None], 0, caps)
    return nearest


def _least(slopes: Floats, caps: Floats) -> Floats:
    """The least of each linear function: fill up in the order of the slope."""
    order = slopes.argsort(axis=1)
    room = caps[order]
    shares = np.clip(1 - (room.cumsum(axis=1) - room), 0, room)
    least: Floats = (np.take_along_axis(slopes, order, axis=1) * shares).sum(axis=1)
    return least
