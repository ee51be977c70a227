"""How good a front is: hypervolume, each point's part in it, and the distance to a known front."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_artisan.moga.ranking import Floats, matrix_of, nondominated_rank, nowhere_worse

Integers = NDArray[np.signedinteger[Any]]

_BLOCK = 256
_SAMPLES = 4096
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
        contributions[inside] = _exclusive(below, corner, pairs=False)[0]
    return contributions


def sampled_hypervolume(objectives: ArrayLike, reference: ArrayLike) -> float:
    """The hypervolume of `objectives` (N, M) >= 0 below `reference` (M,), from the share of evenly spread samples.

    For comparisons in many objectives, where the exact volume takes long.
    """
    points, corner = _below(objectives, reference)
    if not len(points):
        return 0.0
    return float(dominated_samples(points, corner).any(axis=0).mean() * np.prod(corner))


def dominated_samples(points: Floats, corner: Floats) -> NDArray[np.bool_]:
    """Which of the samples between 0 and `corner` (M,) each of `points` (N, M) dominates: (N, samples)."""
    samples = _low_discrepancy(points.shape[1]) * corner.astype(np.float32)[:, None]
    return nowhere_worse(points.astype(np.float32), samples.T)


def inverted_generational_distance(objectives: ArrayLike, front: ArrayLike) -> float:
    """The mean distance from each point of `front` (K, M) to the nearest of `objectives` (N, M)."""
    points, targets = matrix_of(objectives), matrix_of(front)
    if not len(points) or not len(targets) or points.shape[1] != targets.shape[1]:
        raise ValueError(f"a distance from {targets.shape} to {points.shape} does not exist")
    nearest = [np.sqrt(((points - target) ** 2).sum(axis=1).min()) for target in targets]
    return float(np.mean(nearest))


def exclusive_volumes(points: Floats, corner: Floats) -> tuple[Floats, Floats]:
    """The volume that each point dominates alone (N,), and that each pair shares with no third point (N, N).

    `points` (N, M), M = 2 or 3, lie below `corner` (M,). Each pair stands once, in either order.
    """
    return _exclusive(points, corner, pairs=True)


def _exclusive(points: Floats, corner: Floats, pairs: bool) -> tuple[Floats, Floats]:
    """The volumes of single points and, where wanted, of pairs; in two objectives the third one is a slab of depth 1."""
    if points.shape[1] not in (2, 3):
        raise ValueError(f"exact contributions are for 2 or 3 objectives, not {points.shape[1]}")
    if points.shape[1] == 2:
        points = np.column_stack((points, np.zeros(len(points))))
        corner = np.append(corner, 1.0)
    count = len(points)
    entering, areas, depths, owners = _grid(points, corner)
    layers = _layers(entering, 3 if pairs else 2)
    alone, shared = np.zeros(count + 1), np.zeros((count + 1) ** 2 if pairs else 0)
    # By blocks of rows: all at once would take many times the memory of the layers.
    for start in range(0, count, _BLOCK):
        rows = slice(start, start + _BLOCK)
        ranks = [layer[rows].ravel().astype(np.intp) for layer in layers]
        levels = [depths.take(rank) for rank in ranks]
        weights = areas[rows].ravel()
        alone += np.bincount(ranks[0], weights * (levels[1] - levels[0]), count + 1)
        if pairs:
            both = ranks[0] * (count + 1) + ranks[1]
            shared += np.bincount(both, weights * (levels[2] - levels[1]), len(shared))
    rank_of = np.argsort(owners)
    if not pairs:
        return alone[rank_of], shared
    return alone[rank_of], shared.reshape(count + 1, count + 1)[rank_of[:, None], rank_of]


def _layers(entering: Integers, depth: int) -> list[Integers]:
    """The deepest so far over each cell, the second deepest, and so on: `depth` arrays (n, n) of ranks.

    Of two entrants to a cell the deeper stays, and the other one goes on to be the second.
    """
    count = entering.shape[1]
    layers = []
    for skipped in range(depth):
        best = _deepest(entering)
        layers.append(np.vstack((np.full((skipped, count), count, entering.dtype), best))[:count])
        entering = np.maximum(entering[1:], best[:-1])
    return layers


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


def _grid(points: Floats, corner: Floats) -> tuple[Integers, Floats, Floats, NDArray[np.intp]]:
    """Cells between the points' first and second coordinates, and which point enters where.

    Returns the rank by the third coordinate of the point that enters a cell from the row before (n, n), n where none
    does; the cells' areas (n, n); the depth of each rank (n + 1,), and the point (n,).
    """
    count = len(points)
    across, along, down = (np.argsort(column, kind="stable") for column in points.T)
    # The smaller the numbers, the more of them at once.
    small = np.dtype(np.int16 if count < 2**15 - 1 else np.int32)
    column_of = np.empty(count, dtype=small)
    column_of[across] = np.arange(count)
    rank_of = np.empty(count, dtype=small)
    rank_of[down] = np.arange(count)
    reached = column_of[along][:, None] <= np.arange(count, dtype=small)
    entering = np.where(reached, rank_of[along][:, None], small.type(count))
    rows = np.diff(np.append(points[along, 1], corner[1]))
    columns = np.diff(np.append(points[across, 0], corner[0]))
    return entering, rows[:, None] * columns, np.append(points[down, 2], corner[2]), down


def _deepest(entering: Integers) -> Integers:
    """The running minimum down the rows, by doubling: numpy's `accumulate` takes one number at a time."""
    deepest, step = entering.copy(), 1
    while step < len(deepest):
        np.minimum(deepest[step:], deepest[:-step].copy(), out=deepest[step:])
        step *= 2
    return deepest


@cache
def _low_discrepancy(dimensions: int) -> NDArray[np.float32]:
    """Evenly spread points (dimensions, samples) in the unit cube: multiples of the powers of a generalised golden ratio.

    Source: Roberts 2018, the additive recurrence R_d.
    """
    ratio = 2.0
    for _ in range(64):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1)
    return ((0.5 + np.arange(1, _SAMPLES + 1) * steps[:, None]) % 1).astype(np.float32)
