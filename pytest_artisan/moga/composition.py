"""Compositions: shares that add up, within limits of their own and limits that several of them share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_artisan.moga.ranking import Floats
from pytest_artisan.moga.sharing import EUCLIDEAN, RELATIVE, Geometry, cut_back, share
from pytest_artisan.moga.simplex import Infeasible, rows_of, without_traces

# How shared limits are kept: `share` or `cut_back`.
Solver = Callable[[Floats, Floats, Floats, Floats, float, Geometry], Floats]
# What rounding may leave over a limit; less than any share that means something.
TOLERANCE = 1e-10


class Composition:
    """The limits of a mixture of n components, and the ways into them.

    `upper` (n,): each component's largest share. `weights` (K, n) >= 0 and `bounds` (K,) >= 0: what several components
    share, `weights @ shares <= bounds`. A component is absent or at least `lower_active`, and at most `most_active`
    are present. `names` (n,) and `bound_names` (K,) are for messages.

    Raises Infeasible, which names the limits, where no mixture keeps them; ValueError for limits that are none.
    """

    def __init__(
        self,
        upper: ArrayLike,
        weights: ArrayLike | None = None,
        bounds: ArrayLike | None = None,
        *,
        total: float = 100.0,
        lower_active: float = 0.0,
        most_active: int | None = None,
        names: Sequence[str] = (),
        bound_names: Sequence[str] = (),
    ) -> None:
        cap = np.minimum(np.asarray(upper, dtype=np.float64), total)
        self.weights = np.zeros((0, len(cap))) if weights is None else np.asarray(weights, dtype=np.float64)
        self.bounds = np.zeros(0) if bounds is None else np.asarray(bounds, dtype=np.float64)
        if self.weights.shape != (len(self.bounds), len(cap)):
            raise ValueError(f"weights {self.weights.shape} do not fit {len(self.bounds)} bounds and {len(cap)} shares")
        for what, array in (("upper", cap), ("weights", self.weights), ("bounds", self.bounds)):
            if not ((array >= 0) & np.isfinite(array)).all():
                raise ValueError(f"{what} holds a number that is negative or not finite")
        for weight, bound in zip(self.weights, self.bounds, strict=True):
            cap = np.minimum(cap, np.divide(bound, weight, out=np.full_like(cap, total), where=weight > 0))
        # What can not reach the smallest share can not be present at all.
        self.upper = np.where(cap >= lower_active, cap, 0.0)
        self.total, self.lower_active = total, lower_active
        self.most_active = len(cap) if most_active is None else min(most_active, len(cap))
        self.names = tuple(names) or tuple(f"component {i}" for i in range(len(cap)))
        self.bound_names = tuple(bound_names) or tuple(f"shared limit {k}" for k in range(len(self.bounds)))
        self._refuge = self._feasible_mixture()

    def __len__(self) -> int:
        return len(self.upper)

    def project(self, values: ArrayLike) -> Floats:
        """The nearest mixtures (N, n) to `values` (N, n), in Euclidean distance: few components, exact sums.

        With `lower_active` or `most_active`, the nearest among the mixtures of the components that have the largest
        values. Raises ValueError for values that are not finite.
        """
        return self._projected(values, share)

    def approach(self, values: ArrayLike) -> Floats:
        """Mixtures (N, n) near `values` (N, n): those of `project` where no shared limit binds, else others, sooner."""
        return self._projected(values, cut_back)

    def _projected(self, values: ArrayLike, solve: Solver) -> Floats:
        rows = rows_of(values, EUCLIDEAN.project)
        shares = self._mixtures(rows, EUCLIDEAN, solve)
        short = ~self.kept(shares)
        if short.any():
            # The largest values can not make a mixture; with the components of one that exists they can.
            possible = np.where(self._refuge > 0, np.abs(rows[short]) + self.total, rows[short])
            shares[short] = self._mixtures(possible, EUCLIDEAN, solve)
            shares[~self.kept(shares)] = self._refuge
        return shares

    def scale(self, values: ArrayLike) -> Floats:
        """The nearest mixtures (N, n) to `values` (N, n) >= 0 in the Kullback-Leibler divergence.

        Keeps zeros, and the ratios of what no limit binds. Raises Infeasible where the components of a row can not
        make up the total within their limits.
        """
        rows = rows_of(values, RELATIVE.project)
        shares = self._mixtures(rows, RELATIVE, share)
        short = np.flatnonzero(~self.kept(shares))
        if len(short):
            present = [name for name, value in zip(self.names, rows[short[0]], strict=True) if value > 0]
            raise Infeasible(f"{', '.join(present)} can not make up {self.total:.12g} within the limits")
        return shares

    def kept(self, shares: Floats) -> NDArray[np.bool_]:
        """Which rows (N,) of `shares` (N, n) are mixtures that keep all limits."""
        present = shares > 0
        kept = self.within_limits(shares) & (shares >= 0).all(axis=1)
        kept &= np.abs(shares.sum(axis=1) - self.total) <= TOLERANCE * self.total
        kept &= present.sum(axis=1) <= self.most_active
        kept &= ~(present & (shares < self.lower_active)).any(axis=1)
        return kept

    def within_limits(self, shares: Floats) -> NDArray[np.bool_]:
        """Which rows (N,) of `shares` (N, n) exceed no limit, whatever they sum to."""
        shared = (shares @ self.weights.T <= self.bounds + TOLERANCE).all(axis=1)
        return np.asarray((shares <= self.upper + TOLERANCE).all(axis=1) & shared)

    def sample(self, rng: np.random.Generator, count: int) -> Floats:
        """Random mixtures (count, n): exponential parts of the components' limits, a random part of them left out."""
        values = rng.exponential(size=(count, len(self))) * self.upper
        values *= rng.random((count, len(self))) < rng.random((count, 1))
        sums = np.maximum(values.sum(axis=1, keepdims=True), 1e-9)
        return self.project(values * (self.total / sums))

    def _mixtures(self, rows: Floats, geometry: Geometry, solve: Solver) -> Floats:
        """Mixtures of the `most_active` largest values; where these can not make one, what comes nearest."""
        if self.most_active == len(self):
            return self._within(rows, np.broadcast_to(self.upper, rows.shape), self.weights[None], geometry, solve)
        scores = np.where(self.upper > 0, rows, -np.inf)
        chosen = np.argpartition(scores, -self.most_active, axis=1)[:, -self.most_active :]
        weights = self.weights[:, chosen].swapaxes(0, 1)
        shares = np.zeros_like(rows)
        found = self._within(np.take_along_axis(rows, chosen, axis=1), self.upper[chosen], weights, geometry, solve)
        np.put_along_axis(shares, chosen, found, axis=1)
        return shares

    def _within(self, rows: Floats, cap: Floats, weights: Floats, geometry: Geometry, solve: Solver) -> Floats:
        def shares(chosen: NDArray[np.bool_], cap: Floats) -> Floats:
            own = weights if len(weights) == 1 else weights[chosen]
            return solve(rows[chosen], cap, own, self.bounds, self.total, geometry)

        return without_traces(shares, cap, self.lower_active)

    def _feasible_mixture(self) -> Floats:
        """One mixture that keeps all limits, of the fewest components that the search finds."""
        reach = float(self.upper.sum())
        if reach < self.total * (1 - 1e-12):
            raise Infeasible(f"the components' limits allow {reach:.6g} in all, and {self.total:.6g} is wanted")
        best = share(self.upper[None], self.upper[None], self.weights[None], self.bounds, self.total, EUCLIDEAN)
        order = np.argsort(-best[0], kind="stable")
        for count in range(1, self.most_active + 1):
            cap = np.zeros((1, len(self)))
            cap[0, order[:count]] = self.upper[order[:count]]
            if cap.sum() >= self.total * (1 - 1e-12):
                mixture = self._within(cap, cap, self.weights[None], EUCLIDEAN, share)
                if self.kept(mixture).all():
                    return np.ravel(mixture)
        raise Infeasible(self._why(best[0], order))

    def _why(self, best: Floats, order: NDArray[np.intp]) -> str:
        over = self.weights @ best - self.bounds > TOLERANCE
        if over.any():
            names = [name for name, broken in zip(self.bound_names, over, strict=True) if broken]
            return f"no mixture of {self.total:.6g} keeps these limits together: {', '.join(names)}"
        largest = ", ".join(f"{self.names[i]} {self.upper[i]:.6g}" for i in order[: self.most_active])
        return f"{self.most_active} components can not make up {self.total:.6g}; the largest limits: {largest}"
