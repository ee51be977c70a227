"""An elitist archive: what was found is lost to something better alone, so its hypervolume never falls."""

from __future__ import annotations

import numpy as np

from pytest_artisan.moga.population import Population
from pytest_artisan.moga.ranking import nowhere_worse


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
        candidates = candidates.of(candidates.violations <= 0)
        if not len(candidates):
            return
        no_worse = nowhere_worse(candidates.objectives, candidates.objectives)
        # Worse than another one, or its equal and behind it.
        behind = np.triu(no_worse & no_worse.T, 1) | (no_worse & ~no_worse.T)
        candidates = candidates.of(np.count_nonzero(behind, axis=0) == 0)
        if self.members is None:
            self.members = candidates.of(np.arange(min(self.capacity, len(candidates))))
            return
        new = np.count_nonzero(nowhere_worse(self.members.objectives, candidates.objectives), axis=0) == 0
        beats = nowhere_worse(candidates.objectives, self.members.objectives) & new[:, None]
        lost = np.flatnonzero(np.count_nonzero(beats, axis=0))
        # One that dominates each lost member comes in for it; the others fill what is free.
        successors = np.unique(beats[:, lost].argmax(axis=0))
        others = np.setdiff1d(np.flatnonzero(new), successors)
        free = self.capacity - len(self.members) + len(lost) - len(successors)
        entering = np.append(successors, others[: max(free, 0)])
        if len(entering):
            staying = np.delete(np.arange(len(self.members)), lost)
            self.members = self.members.of(staying).joined(candidates.of(entering))
