"""How good a front is: hypervolume, each point's part in it, and the distance to a known front."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_artisan.moga.ranking import Floats, matrix_of, nondominated_rank

# Up to here the grid of all pairs of coordinates is faster than slices; its memory grows with the square.
_GRID = 512


def hypervolume(objectives: ArrayLike, reference: ArrayLike) -> float:
    """The exact volume that `objectives` (N, M) dominate below `reference` (M,).

    A point that is not better than the reference in every objective adds nothing. Raises ValueError for NaN or where
    the shapes do not fit.
    """
    points, corner = _below(objectives, reference)
    if not len(points):
        return 0.0
    return _volume(points[nondominated_rank(points, enough=1) == 0], corner)


def hypervolume_contributions(objectives: ArrayLike, reference: ArrayLike) -> Floats:
    """What each of `objectives` (N, M), M = 2 or 3, dominates alone below `reference` (M,): (N,), exact.

    Equal points dominate nothing alone. Raises ValueError for NaN, another M or shapes that do not fit.
    """
    points = matrix_of(objectives)
    below, corner = _below(points, reference)
    inside = (points < corner).all(axis=1)
    contributions = np.zeros(len(points))
    if len(below):
        contributions[inside] = exclusive_volumes(below, corner)[0]
    return contributions


def inverted_generational_distance(objectives: ArrayLike, front: ArrayLike) -> float:
    """The mean distance from each point of `front` (K, M) to the nearest of `objectives` (N, M)."""
    points, targets = matrix_of(objectives), matrix_of(front)
    if not len(points) or not len(targets) or points.shape[1] != targets.shape[1]:
        raise ValueError(f"a distance from {targets.shape} to {points.shape} does not exist")
    nearest = [np.sqrt(((points - target) ** 2).sum(axis=1).min()) for target in targets]
    return float(np.mean(nearest))


def exclusive_volumes(points: Floats, corner: Floats) -> tuple[Floats, Floats]:
    """The volume that each point dominates alone (N,), and that each pair shares with no third point (N, N).

    `points` (N, M), M = 2 or 3, lie below `corner` (M,). Each pair stands once, in either order. In two objectives the
    third one is a slab of depth 1.
    """
    if points.shape[1] not in (2, 3):
        raise ValueError(f"exact contributions are for 2 or 3 objectives, not {points.shape[1]}")
    if points.shape[1] == 2:
        points = np.column_stack((points, np.zeros(len(points))))
        corner = np.append(corner, 1.0)
    count = len(points)
    entering, areas, depths, owners = _grid(points, corner)
    # Of two entrants to a cell the deeper stays, and the other one goes on to be the second, then the third.
    first = _deepest(entering)
    losers = np.maximum(entering[1:], first[:-1])
    second = np.full_like(first, count)
    second[1:] = _deepest(losers)
    third = np.full_like(first, count)
    third[2:] = _deepest(np.maximum(losers[1:], second[1:-1]))
    ranks = [rank.ravel().astype(np.intp) for rank in (first, second, third)]
    levels = [depths.take(rank) for rank in ranks]
    weights = areas.ravel()
    by_rank = _sums(ranks[0], weights * (levels[1] - levels[0]), count + 1)[:count]
    both = ranks[0] * (count + 1) + ranks[1]
    pairs_by_rank = _sums(both, weights * (levels[2] - levels[1]), (count + 1) ** 2)
    rank_of = np.argsort(owners)
    pairs = pairs_by_rank.reshape(count + 1, count + 1)[rank_of[:, None], rank_of]
    return by_rank[rank_of], pairs


def _sums(owners: NDArray[np.intp], volumes: Floats, count: int) -> Floats:
    return np.bincount(owners, volumes, count).astype(np.float64, copy=False)


def _below(objectives: ArrayLike, reference: ArrayLike) -> tuple[Floats, Floats]:
    points, corner = matrix_of(objectives), np.asarray(reference, dtype=np.float64)
    if corner.shape != (points.shape[1],) or not np.isfinite(corner).all():
        raise ValueError(f"the reference of {points.shape[1]} objectives is as many finite numbers, not {corner}")
    return points[(points < corner).all(axis=1)], corner


def _volume(points: Floats, corner: Floats) -> float:
    """By slices along the last objective; in two and three objectives, at once."""
    if points.shape[1] == 1:
        return float(corner[0] - points[:, 0].min())
    if points.shape[1] == 2:
        ordered = points[np.argsort(points[:, 0], kind="stable")]
        heights = corner[1] - np.minimum.accumulate(ordered[:, 1])
        return float(np.diff(np.append(ordered[:, 0], corner[0])) @ heights)
    if points.shape[1] == 3 and len(points) <= _GRID:
        entering, areas, depths, _ = _grid(points, corner)
        return float((areas * (corner[2] - depths.take(_deepest(entering).astype(np.intp)))).sum())
    ordered = points[np.argsort(points[:, -1], kind="stable")]
    slabs = np.diff(np.append(ordered[:, -1], corner[-1]))
    volume = 0.0
    front = ordered[:0, :-1]
    for point, slab in zip(ordered[:, :-1], slabs, strict=True):
        front = np.vstack((front[~(point <= front).all(axis=1)], point))
        if slab > 0:
            volume += slab * _volume(front, corner[:-1])
    return volume


def _grid(points: Floats, corner: Floats) -> tuple[NDArray[np.int16], Floats, Floats, NDArray[np.intp]]:
    """Cells between the points' first and second coordinates, and which point enters where.

    Returns the rank by the third coordinate of the point that enters a cell from the row before (n, n), n where none
    does; the cells' areas (n, n); the depth of each rank (n + 1,), and the point (n,).
    """
    count = len(points)
    across, along, down = (np.argsort(column, kind="stable") for column in points.T)
    column_of = np.empty(count, dtype=np.int16)
    column_of[across] = np.arange(count)
    rank_of = np.empty(count, dtype=np.int16)
    rank_of[down] = np.arange(count)
    reached = column_of[along][:, None] <= np.arange(count, dtype=np.int16)
    entering = np.where(reached, rank_of[along][:, None], np.int16(count))
    rows = np.diff(np.append(points[along, 1], corner[1]))
    columns = np.diff(np.append(points[across, 0], corner[0]))
    return entering, rows[:, None] * columns, np.append(points[down, 2], corner[2]), down


def _deepest(entering: NDArray[np.int16]) -> NDArray[np.int16]:
    """The running minimum down the rows, by doubling: numpy's `accumulate` takes one number at a time."""
    deepest, step = entering.copy(), 1
    while step < len(deepest):
        np.minimum(deepest[step:], deepest[:-step].copy(), out=deepest[step:])
        step *= 2
    return deepest
