"""Who dominates whom: ranks of fronts, and the crowding within a front (Deb et al. 2002)."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]
Ranks = NDArray[np.intp]

# Up to here one matrix of all pairs is faster than sets of dominators, as bits of integers.
_MATRIX = 256


def matrix_of(objectives: ArrayLike) -> Floats:
    """`objectives` as an array (N, M); raises ValueError for another shape or a NaN."""
    matrix = np.asarray(objectives, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise ValueError(f"objectives have the shape (points, objectives), not {matrix.shape}")
    if np.isnan(matrix).any():
        raise ValueError(f"the objectives of point {int(np.isnan(matrix).any(axis=1).argmax())} are not a number")
    return matrix


def nondominated_rank(objectives: ArrayLike, enough: int | None = None) -> Ranks:
    """The front (N,) that each point of `objectives` (N, M) belongs to; 0 holds what nothing dominates.

    Equal points share their rank. With `enough`, fronts are told apart until they hold that many points; all points
    behind share the next rank. Raises ValueError for NaN.
    """
    points = matrix_of(objectives)
    enough = len(points) if enough is None else enough
    if points.shape[1] == 1:
        return np.unique(points[:, 0], return_inverse=True)[1].astype(np.intp)
    if points.shape[1] == 2:
        return _rank_pairs(points)
    return _rank_by_matrix(points, enough) if len(points) <= _MATRIX else _rank_by_sets(points)


def nowhere_worse(ones: Reals, others: Reals) -> NDArray[np.bool_]:
    """Where each of `ones` (K, M) is in no objective worse than each of `others` (L, M): (K, L)."""
    columns = zip(np.ascontiguousarray(ones.T), np.ascontiguousarray(others.T), strict=True)
    one, other = next(columns)
    better: NDArray[np.bool_] = one[:, None] <= other
    for one, other in columns:
        better &= one[:, None] <= other
    return better


def _rank_pairs(points: Floats) -> Ranks:
    """Two objectives: in the order of the first, a front is told by the least second value it holds so far."""
    order = np.lexsort((points[:, 1], points[:, 0]))
    first, second = points[order].T.tolist()
    tails: list[float] = []
    ranks = []
    before = (None, None)
    for point in zip(first, second, strict=True):
        if point != before:
            front = bisect_right(tails, point[1])
            tails[front : front + 1] = [point[1]]
            before = point
        ranks.append(front)
    answer = np.empty(len(points), dtype=np.intp)
    answer[order] = ranks
    return answer


def _rank_by_matrix(points: Floats, enough: int) -> Ranks:
    """Peel the matrix "row dominates column"."""
    dominates = nowhere_worse(points, points)
    # Equal points are weakly better than each other: neither dominates.
    dominates &= ~dominates.T
    ranks = np.full(len(points), -1, dtype=np.intp)
    left = np.arange(len(points))
    front = 0
    while len(points) - len(left) < enough and len(left):
        beaten = np.logical_or.reduce(dominates, axis=0)
        ranks[left[~beaten]] = front
        left = left[beaten]
        dominates = dominates[beaten][:, beaten]
        front += 1
    ranks[left] = front
    return ranks


def _rank_by_sets(points: Floats) -> Ranks:
    """Dominators as sets of bits (merge non-dominated sorting, Moreno et al. 2020, arXiv 1809.06106).

    In lexicographic order a point's dominators stand before it and fill all fronts before its own, so its front is
    found by bisection.
    """
    order = np.lexsort(points.T[::-1])
    ordered = points[order]
    fresh = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))
    distinct = ordered[fresh]
    bits = [1 << i for i in range(len(distinct))]
    dominators = [bit - 1 for bit in bits]
    for column in distinct.T[1:]:
        _keep_no_worse(dominators, column, bits)
    fronts: list[int] = []
    ranks = []
    for bit, better in zip(bits, dominators, strict=True):
        low, high = 0, len(fronts)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if better & fronts[middle] else (low, middle)
        if low == len(fronts):
            fronts.append(0)
        fronts[low] |= bit
        ranks.append(low)
    answer = np.empty(len(points), dtype=np.intp)
    answer[order] = np.array(ranks, dtype=np.intp)[np.cumsum(fresh) - 1]
    return answer


def _keep_no_worse(dominators: list[int], column: Floats, bits: list[int]) -> None:
    """Of each point's `dominators` keep those that are no worse in `column`; `bits` are the points' own."""
    order = np.argsort(column, kind="stable")
    ends = np.searchsorted(column[order], column[order], side="right").tolist()
    position, seen = 0, 0
    walk = order.tolist()
    for i, end in zip(walk, ends, strict=True):
        while position < end:
            seen |= bits[walk[position]]
            position += 1
        dominators[i] &= seen


def crowding_distance(objectives: ArrayLike, rank: Ranks) -> Floats:
    """How far (N,) each point's neighbours in its front are apart, as shares of the front's extent, summed.

    `objectives` (N, M), `rank` (N,). The ends of a front are infinitely far, and so are one or two points alone; an
    objective that is constant within a front adds nothing. Source: Deb et al. 2002, section III B.
    """
    points = matrix_of(objectives)
    if not len(points):
        return np.zeros(0)
    sizes = np.bincount(rank)
    stops = np.cumsum(sizes)[sizes > 0]
    last = stops - 1
    first = np.append(0, stops[:-1])
    lengths = stops - first
    distance = np.zeros(len(points))
    # Few fronts fit into a small integer, which is sorted by its digits.
    front = rank.astype(np.uint16 if len(sizes) < 65_536 else np.intp)
    for column in points.T:
        # Sorting twice, by value and then stably by front, keeps the values in order within each front.
        by_value = np.argsort(column, kind="stable")
        order = by_value[np.argsort(front[by_value], kind="stable")]
        values = column[order]
        extent = values[last] - values[first]
        gap = np.zeros(len(points))
        gap[1:-1] = values[2:] - values[:-2]
        gap *= np.repeat(np.divide(1, extent, out=np.zeros_like(extent), where=extent > 0), lengths)
        ends = np.where(extent > 0, np.inf, 0)
        gap[first] = gap[last] = ends
        distance[order] += gap
    distance[(sizes <= 2)[rank]] = np.inf
    return distance
