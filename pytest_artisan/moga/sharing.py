"""Limits that several components share: the prices that keep them, found by Newton's method on the dual problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pytest_artisan.moga.ranking import Floats
from pytest_artisan.moga.simplex import Projection, euclidean, relative

_STEPS, _CUTS, _CUTBACKS = 100, 25, 6
_CLOSE = 1e-11
# What is left over a limit is that much more in a share, by its weight; a cap is left to weights from here on.
_HEAVY = 0.1


@dataclass(frozen=True, slots=True)
class Geometry:
    """A distance to project by: everything about it that the search for prices needs.

    `project(values, cap, total)`; `charge(values, cost)`: the values less what their shared limits cost;
    `slope(shares)`: how a free share answers to its value; `distance(shares, values)` summed over each row.
    """

    project: Projection
    charge: Callable[[Floats, Floats], Floats]
    slope: Callable[[Floats], Floats]
    distance: Callable[[Floats, Floats], Floats]


def _divergence(shares: Floats, values: Floats) -> Floats:
    tiny = np.finfo(np.float64).tiny
    logs = np.log(np.maximum(shares, tiny)) - np.log(np.maximum(values, tiny))
    summed: Floats = (shares * logs - shares + values).sum(axis=1)
    return summed


EUCLIDEAN = Geometry(
    euclidean,
    lambda values, cost: values - cost,
    np.ones_like,
    lambda shares, values: ((shares - values) ** 2).sum(axis=1) / 2,
)
RELATIVE = Geometry(relative, lambda values, cost: values * np.exp(-cost), lambda shares: shares, _divergence)


def share(rows: Floats, cap: Floats, weights: Floats, bounds: Floats, total: float, geometry: Geometry) -> Floats:
    """The nearest shares (N, n) to `rows` within `cap` (N, n), the total, and `weights @ shares <= bounds`.

    `weights` (N or 1, K, n), `bounds` (K,). Where nothing keeps all limits, shares that break some.
    """
    shares = geometry.project(rows, cap, total)
    binding = np.zeros(len(bounds), dtype=bool)
    while True:
        over = (weights @ shares[:, :, None])[:, :, 0] - bounds > _CLOSE
        fresh = over.any(axis=0) & ~binding
        if not fresh.any():
            return shares
        # Few limits bind at once; prices are searched for these alone, in the rows that break one.
        binding |= fresh
        broken = over.any(axis=1)
        own = weights[:, binding] if len(weights) == 1 else weights[broken][:, binding]
        shares[broken] = _priced(rows[broken], cap[broken], own, bounds[binding], total, geometry)


def cut_back(rows: Floats, cap: Floats, weights: Floats, bounds: Floats, total: float, geometry: Geometry) -> Floats:
    """Shares that keep the same limits as those of `share`, found several times as fast, and not always the nearest.

    What exceeds a shared limit is scaled back to it, and the rest makes up for it; where it can not, `share` does.
    """
    own = cap
    for _ in range(_CUTBACKS):
        shares = geometry.project(rows, own, total)
        sums = (weights @ shares[:, :, None])[:, :, 0]
        over = sums - bounds > _CLOSE
        if not over.any():
            break
        part = np.divide(bounds, sums, out=np.ones_like(sums), where=over)
        least = np.where(weights > 0, part[:, :, None], 1.0).min(axis=1)
        own = np.where(least < 1, np.minimum(shares * least, own), own)
    left = over.any(axis=1) | (shares.sum(axis=1) < total * (1 - 1e-12))
    if left.any():
        shares[left] = share(
            rows[left], cap[left], weights if len(weights) == 1 else weights[left], bounds, total, geometry
        )
    return shares


def _priced(rows: Floats, cap: Floats, weights: Floats, bounds: Floats, total: float, geometry: Geometry) -> Floats:
    """Projected Newton ascent (Bertsekas 1982) of the concave dual function, each row with its own step."""
    weights = np.broadcast_to(weights, (len(rows), *weights.shape[1:]))
    problem = _Dual(rows, _without_implied(cap, weights, bounds, total), weights, bounds, total, geometry)
    prices = np.zeros((len(rows), len(bounds)))
    shares, over, height = problem.at(prices)
    answer, places = shares.copy(), np.arange(len(rows))
    for _ in range(_STEPS):
        climb = np.where((prices > 0) | (over > 0), over, 0)
        going = np.abs(climb).max(axis=1) > _CLOSE
        answer[places[~going]] = shares[~going]
        if not going.any():
            break
        places, problem, prices, climb = places[going], problem.of(going), prices[going], climb[going]
        direction = problem.direction(shares[going], prices, climb)
        prices, (shares, over, height) = problem.ascend(prices, direction, climb, height[going])
    else:
        answer[places] = shares
    return np.minimum(answer, cap)


def _without_implied(cap: Floats, weights: Floats, bounds: Floats, total: float) -> Floats:
    """Caps (N, n) without those that a shared limit implies: a share at its cap would not answer to the limit's price."""
    implied = (weights >= _HEAVY) & (bounds[:, None] <= weights * cap[:, None] * (1 + 1e-9))
    return np.where(implied.any(axis=1) & (cap > 0), total, cap)


@dataclass(frozen=True, slots=True)
class _Dual:
    """The dual function of the projection: prices (N, K) of the shared limits to shares, what is over, and height."""

    rows: Floats
    cap: Floats
    weights: Floats
    bounds: Floats
    total: float
    geometry: Geometry

    def of(self, chosen: NDArray[np.bool_]) -> _Dual:
        return replace(self, rows=self.rows[chosen], cap=self.cap[chosen], weights=self.weights[chosen])

    def at(self, prices: Floats) -> tuple[Floats, Floats, Floats]:
        charged = self.geometry.charge(self.rows, (prices[:, None, :] @ self.weights)[:, 0])
        shares = self.geometry.project(charged, self.cap, self.total)
        over = (self.weights @ shares[:, :, None])[:, :, 0] - self.bounds
        return shares, over, self.geometry.distance(shares, self.rows) + (prices * over).sum(axis=1)

    def direction(self, shares: Floats, prices: Floats, climb: Floats) -> Floats:
        """The Newton step (N, K): how the shared sums answer to the prices while the total is kept."""
        moving = (prices > 0) | (climb > 0)
        slope = np.where((shares > 0) & (shares < self.cap), self.geometry.slope(shares), 0)
        weighted = self.weights * slope[:, None, :]
        mean = weighted.sum(axis=2)
        free = np.maximum(slope.sum(axis=1), np.finfo(np.float64).tiny)
        curvature = weighted @ self.weights.swapaxes(1, 2) - mean[:, :, None] * mean[:, None, :] / free[:, None, None]
        both = moving[:, :, None] & moving[:, None, :]
        # Where nothing is free to answer, a step of the size that moves shares; elsewhere Newton's own.
        size = (self.weights**2).sum(axis=2)
        stuck = np.diagonal(curvature, axis1=1, axis2=2) <= 1e-9 * size
        ridge = np.where(stuck, 1e-3, 1e-9) * size + np.finfo(np.float64).tiny
        system = np.where(both, curvature, 0) + np.eye(moving.shape[1]) * (ridge + ~moving)[:, :, None]
        return np.linalg.solve(system, climb[:, :, None])[:, :, 0]

    def ascend(
        self, prices: Floats, direction: Floats, climb: Floats, height: Floats
    ) -> tuple[Floats, tuple[Floats, Floats, Floats]]:
        """Prices that are higher up, by shortening the steps of the rows that are not (Armijo's rule)."""
        size = np.ones((len(prices), 1))
        for _ in range(_CUTS):
            trial = np.maximum(prices + size * direction, 0)
            found = self.at(trial)
            gain = 1e-4 * (climb * (trial - prices)).sum(axis=1)
            short = found[2] < height + gain - 1e-12 * (1 + np.abs(height))
            if not short.any():
                break
            size[short] /= 4
        return trial, found
