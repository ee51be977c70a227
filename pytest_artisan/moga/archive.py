"""An elitist archive: what was found is lost to something better alone, so its hypervolume never falls."""

from __future__ import annotations

import numpy as np

from pytest_artisan.moga.population import Population
from pytest_artisan.moga.ranking import nondominated_rank


class Archive:
    """At most `capacity` feasible candidates of which none dominates another.

    A full archive takes a candidate only in the place of members that it dominates.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.members: Population | None = None

    def __len__(self) -> int:
        return 0 if self.members is None else len(self.members)

    def offer(self, candidates: Population) -> None:
        """Take the candidates that belong here, those that stand first before others."""
        if not self.capacity or not len(candidates):
            return
        candidates = candidates.of(candidates.violations <= 0)
        _, distinct = np.unique(candidates.objectives, axis=0, return_index=True)
        candidates = candidates.of(np.sort(distinct))
        candidates = candidates.of(nondominated_rank(candidates.objectives, enough=1) == 0)
        if self.members is None:
            self.members = candidates.of(np.arange(min(self.capacity, len(candidates))))
            return
        columns = zip(self.members.objectives.T, candidates.objectives.T, strict=True)
        no_better = np.ones((len(self.members), len(candidates)), dtype=bool)
        no_worse = no_better.copy()
        for member, candidate in columns:
            no_better &= member[:, None] <= candidate
            no_worse &= member[:, None] >= candidate
        new = ~no_better.any(axis=0)
        beaten = np.logical_or.reduce(no_worse & new, axis=1)
        # One that dominates each beaten member comes in for it; the others fill what is free.
        successors = np.unique((no_worse & new)[beaten].argmax(axis=1))
        others = np.setdiff1d(np.flatnonzero(new), successors)
        free = self.capacity - int((~beaten).sum()) - len(successors)
        entering = np.append(successors, others[: max(free, 0)])
        if len(entering):
            self.members = self.members.of(np.flatnonzero(~beaten)).joined(candidates.of(entering))
