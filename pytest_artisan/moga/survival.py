"""Who survives: given objectives (N, M) and a number, the positions of the best, best first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pytest_artisan.moga.indicators import dominated_samples, exclusive_volumes
from pytest_artisan.moga.ranking import Floats, Ranks, crowding_distance, nondominated_rank

Survival = Callable[[Floats, int], Ranks]

# Removals between two exact calculations of the volumes: a quarter of them.
_PASSES = 4
_REFERENCE = 1.1


def crowding(objectives: Floats, count: int) -> Ranks:
    """The best fronts, and of the last one the least crowded (NSGA-II, Deb et al. 2002)."""
    rank = nondominated_rank(objectives, enough=count)
    # What stands behind the last front that is needed is not looked at.
    last = np.partition(rank, count - 1)[count - 1] if 0 < count < len(rank) else rank.max(initial=0)
    needed = np.flatnonzero(rank <= last)
    rank = rank[needed]
    return needed[np.lexsort((-crowding_distance(objectives[needed], rank), rank))[:count]]


def spread(objectives: Floats, count: int) -> Ranks:
    """The best fronts, and of the last one what stays when the point nearest to another one goes, again and again.

    Source: the truncation of SPEA2 (Zitzler, Laumanns and Thiele 2001), with the second neighbour for ties.
    """
    return _front_by_front(objectives, count, _drop_nearest)


def hypervolume(objectives: Floats, count: int) -> Ranks:
    """The best fronts, and of the last one what stays when the point that dominates least alone goes, again and again.

    The reference stands a tenth of the front's extent outside it, and the best point in each objective stays: without
    these a front shrinks from its ends. Two and three objectives: exact volumes, mended after each removal by what
    pairs share. More objectives: by samples of the volume (after Bader and Zitzler 2011).
    """
    return _front_by_front(objectives, count, _drop_least)


def with_violations(survive: Survival, objectives: Floats, violations: Floats, count: int) -> Ranks:
    """Deb's rules: feasible points as `survive` orders them, then the others by their `violations` (N,) >= 0."""
    feasible = np.flatnonzero(violations <= 0)
    kept = feasible[survive(objectives[feasible], min(count, len(feasible)))] if len(feasible) else feasible
    worst_last = np.argsort(violations, kind="stable")
    return np.append(kept, worst_last[len(feasible) :])[:count]


def _front_by_front(objectives: Floats, count: int, drop: Callable[[Floats, int], Ranks]) -> Ranks:
    """Whole fronts while they fit, then what `drop` leaves of the next, each in the order it went last."""
    rank = nondominated_rank(objectives, enough=count)
    kept: list[Ranks] = []
    left = count
    for front in range(int(rank.max(initial=-1)) + 1):
        members = np.flatnonzero(rank == front)
        kept.append(members[drop(_normalised(objectives[members]), left)])
        left -= len(kept[-1])
        if left <= 0:
            break
    return np.concatenate(kept) if kept else np.zeros(0, dtype=np.intp)


def _normalised(front: Floats) -> Floats:
    low = front.min(axis=0)
    extent = front.max(axis=0) - low
    normalised: Floats = (front - low) / np.where(extent > 0, extent, 1)
    return normalised


def _drop_nearest(front: Floats, keep: int) -> Ranks:
    count = len(front)
    distances = np.sqrt(((front[:, None] - front) ** 2).sum(axis=2))
    np.fill_diagonal(distances, np.inf)
    nearest = np.sort(distances, axis=1)[:, :2] if count > 1 else np.full((count, 2), np.inf)
    alive = np.ones(count, dtype=bool)
    for _ in range(count - keep):
        first, second = nearest.T
        gone = int(np.lexsort((second, first))[0])
        alive[gone] = False
        distances[gone] = distances[:, gone] = np.inf
        nearest[gone] = np.inf
        # Only those whose neighbour went have new ones.
        stale = np.flatnonzero(alive)
        nearest[stale] = np.partition(distances[stale], 1, axis=1)[:, :2]
    kept = np.flatnonzero(alive)
    return kept[np.argsort(-nearest[kept, 0], kind="stable")]


def _drop_least(front: Floats, keep: int) -> Ranks:
    count, objectives = front.shape
    if objectives == 1 or keep < objectives:
        return np.lexsort(front.T[::-1])[:keep]
    corner = np.full(objectives, _REFERENCE)
    # More than all volumes and samples: nothing takes their place.
    bonus = np.zeros(count)
    bonus[[np.lexsort((front.sum(axis=1), column))[0] for column in front.T]] = 1e9
    volumes = _exact_volumes if objectives <= 3 else _sampled_volumes
    return volumes(front, corner, keep, bonus)


def _exact_volumes(front: Floats, corner: Floats, keep: int, bonus: Floats) -> Ranks:
    alive = np.arange(len(front))
    alone, pairs = exclusive_volumes(front, corner)
    for left in range(_PASSES, 0, -1):
        removals = -(-(len(alive) - keep) // left)
        if removals <= 0:
            break
        if left < _PASSES:
            alone, pairs = exclusive_volumes(front[alive], corner)
        pairs += pairs.T
        alone += bonus[alive]
        gone = []
        for _ in range(removals):
            least = int(alone.argmin())
            gone.append(least)
            # Exact for the first to go; what three points share is left to the next pass.
            alone += pairs[least]
            alone[least] = np.inf
        alive, alone = np.delete(alive, gone), np.delete(alone, gone)
    return alive[np.argsort(-alone, kind="stable")]


def _sampled_volumes(front: Floats, corner: Floats, keep: int, bonus: Floats) -> Ranks:
    dominates = dominated_samples(front, corner)
    # For each sample how many dominate it, and the sum of their positions: where it is one, its position.
    positions = np.arange(len(front), dtype=np.float32)
    numbers = dominates.astype(np.float32)
    covers, owners = np.vstack((np.ones_like(positions), positions)) @ numbers
    alone = np.bincount(owners[covers == 1].astype(np.intp), minlength=len(front)) + bonus
    for _ in range(len(front) - keep):
        least = int(alone.argmin())
        alone[least] = np.inf
        covers -= numbers[least]
        heirs = dominates[least] & (covers == 1)
        owners -= positions[least] * numbers[least]
        np.add.at(alone, owners[heirs].astype(np.intp), 1)
    kept = np.flatnonzero(np.isfinite(alone))
    return kept[np.argsort(-alone[kept], kind="stable")]
