"""Projection onto the capped simplex {x : 0 <= x <= upper, sum x = total}, many rows at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_artisan.moga.ranking import Floats

# (values (N, n), caps (N, n), total) -> shares (N, n); where the caps do not reach the total, the caps
Projection = Callable[[Floats, Floats, float], Floats]

# Rows up to this length are sorted, longer ones searched.
_SORTED = 32
# Newton ends after a few steps; bisection, where a step leaves its bracket, after as many as a float has bits.
_STEPS = 200
# What rounding does to a sum of shares, relative to it.
_ROUNDING = 1e-12


class Infeasible(ValueError):
    """No composition keeps the limits."""


def project_to_capped_simplex(
    values: ArrayLike, upper: ArrayLike, total: float = 100.0, lower_active: float = 0.0
) -> Floats:
    """The nearest point, in Euclidean distance, to each row of `values` (N, n) or (n,) within the limits.

    `upper` is (n,), (N, n) or one number. A constant is subtracted from all shares, so the result is sparse; a share
    that is then below `lower_active` is left out, and the others make up for it. Raises Infeasible where no point keeps
    the limits, ValueError for values that are not finite.
    """
    return _projected(euclidean, values, upper, total, lower_active)


def scale_to_capped_simplex(
    values: ArrayLike, upper: ArrayLike, total: float = 100.0, lower_active: float = 0.0
) -> Floats:
    """The nearest point to each row of `values` (N, n) or (n,), all >= 0, in the Kullback-Leibler divergence.

    Shares are `min(upper, factor * values)`: zeros stay zero, and what is below its cap keeps its ratios. Parameters
    and errors are those of `project_to_capped_simplex`; shares that are not zero must be able to make up the total.
    """
    return _projected(relative, values, upper, total, lower_active)


def euclidean(rows: Floats, cap: Floats, total: float) -> Floats:
    """`clip(rows - shift, 0, cap)` with the shift that makes the total."""
    # Shares depend on differences alone; measured from the largest value these are exact where they matter.
    rows = rows - np.where(cap > 0, rows, -np.inf).max(axis=1, keepdims=True, initial=-1e300)
    find = _shift_by_sorting if rows.shape[1] <= _SORTED else _shift_by_newton
    shares = np.clip(rows - find(rows, cap, total)[:, None], 0, cap)
    # Rounding, what the sum is off by, is spread over the shares away from their limits.
    free = (shares > 0) & (shares < cap)
    excess = shares.sum(axis=1) - total
    shares -= np.where(free, (excess / np.maximum(free.sum(axis=1), 1))[:, None], 0)
    nearest: Floats = np.clip(shares, 0, cap)
    return nearest


def _shift_by_sorting(rows: Floats, cap: Floats, total: float) -> Floats:
    """The sum falls piecewise linearly in the shift, and bends where a share leaves its cap or reaches 0."""
    count = rows.shape[1]
    bends = np.concatenate((rows - cap, rows), axis=1)
    order = bends.argsort(axis=1)
    bends.sort(axis=1)
    free = np.where(order < count, 1.0, -1.0).cumsum(axis=1)
    fallen = (free[:, :-1] * (bends[:, 1:] - bends[:, :-1])).cumsum(axis=1)
    wanted = cap.sum(axis=1) - total
    passed = (fallen < wanted[:, None]).sum(axis=1)
    places = np.arange(len(rows))
    before = np.where(passed > 0, fallen[places, passed - 1], 0)
    shift: Floats = bends[places, passed] + (wanted - before) / np.maximum(free[places, passed], 1)
    return shift


def _shift_by_newton(rows: Floats, cap: Floats, total: float) -> Floats:
    """A few steps for long rows; where one leaves its bracket, half of the bracket."""
    low, high = (rows - cap).min(axis=1) - total, np.full(len(rows), total)
    short = cap.sum(axis=1) < total
    shift: Floats = np.where(short, low, np.clip((rows.sum(axis=1) - total) / rows.shape[1], low, high))
    for _ in range(_STEPS):
        shares = np.clip(rows - shift[:, None], 0, cap)
        excess = shares.sum(axis=1) - total
        found = short | (np.abs(excess) <= _ROUNDING * total)
        if found.all():
            break
        low = np.where(excess > 0, shift, low)
        high = np.where(excess < 0, shift, high)
        free = ((shares > 0) & (shares < cap)).sum(axis=1)
        step = shift + excess / np.maximum(free, 1)
        newton = (free > 0) & (step > low) & (step < high)
        shift = np.where(found, shift, np.where(newton, step, (low + high) / 2))
    return shift


def relative(rows: Floats, cap: Floats, total: float) -> Floats:
    """`min(cap, factor * rows)` with the factor that makes the total; the sum is concave in it, so no step is too far.

    Source: water-filling; each round caps what is over, and at least one share a round.
    """
    cap = np.where(rows > 0, cap, 0.0)
    capped = cap <= 0
    while True:
        # Measured from the largest that is free, the smallest may vanish, and no factor overflows.
        free = np.where(capped, 0.0, rows)
        free = free / np.maximum(free.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        left = total - np.where(capped, cap, 0).sum(axis=1)
        sums = free.sum(axis=1)
        shares = free * np.divide(left, sums, out=np.zeros_like(sums), where=sums > 0)[:, None]
        over = ~capped & (shares > cap)
        if not over.any():
            break
        capped |= over
    return np.where(capped, cap, shares)


def without_traces(solve: Callable[[NDArray[np.bool_], Floats], Floats], cap: Floats, lower_active: float) -> Floats:
    """Shares (N, n) of which none is between 0 and `lower_active`: what is, is capped at 0, until none is.

    `solve(rows, cap)` gives the shares of the chosen `rows` (N,) of N under their `cap` (rows, n).
    """
    shares = solve(np.ones(len(cap), dtype=bool), cap)
    while lower_active > 0:
        traces = (shares > 0) & (shares < lower_active)
        rows = np.logical_or.reduce(traces, axis=1)
        if not rows.any():
            break
        cap = np.where(traces, 0.0, cap)
        shares[rows] = solve(rows, cap[rows])
    return shares


def rows_of(values: ArrayLike, projection: Projection) -> Floats:
    """`values` as rows (N, n); raises ValueError for what `projection` can not take."""
    rows = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if not np.isfinite(rows).all():
        raise ValueError("a share to be projected is not finite")
    if projection is relative and (rows < 0).any():
        raise ValueError("a share to be scaled is negative")
    return rows


def _projected(
    projection: Projection, values: ArrayLike, upper: ArrayLike, total: float, lower_active: float
) -> Floats:
    rows = rows_of(values, projection)
    cap = np.minimum(np.broadcast_to(np.asarray(upper, dtype=np.float64), rows.shape), total)
    cap = np.where(cap >= lower_active, cap, 0.0)
    shares = without_traces(lambda chosen, cap: projection(rows[chosen], cap, total), cap, lower_active)
    sums = shares.sum(axis=1)
    if (sums < total * (1 - 1e-9)).any():
        raise Infeasible(f"the limits allow {sums.min():.12g} in all, and {total:.12g} is wanted")
    return shares.reshape(np.shape(values))
