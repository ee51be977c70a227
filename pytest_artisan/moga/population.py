"""A population: arrays that belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_artisan.moga.ranking import Floats

Ids = NDArray[np.int64]
MOST_PARENTS = 3


@dataclass(frozen=True, slots=True)
class Population:
    """Candidates: values (N, n), objectives (N, M), violations (N,), ids (N,) and parents' ids (N, 3).

    An id is the number of evaluations before it; a parent that a candidate does not have is -1.
    """

    values: Floats
    objectives: Floats
    violations: Floats
    ids: Ids
    parents: Ids

    def __len__(self) -> int:
        return len(self.values)

    def of(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> Population:
        """The chosen candidates, in that order."""
        return Population(
            self.values[chosen],
            self.objectives[chosen],
            self.violations[chosen],
            self.ids[chosen],
            self.parents[chosen],
        )

    def joined(self, other: Population) -> Population:
        """Both, this one first."""
        return Population(
            np.concatenate((self.values, other.values)),
            np.concatenate((self.objectives, other.objectives)),
            np.concatenate((self.violations, other.violations)),
            np.concatenate((self.ids, other.ids)),
            np.concatenate((self.parents, other.parents)),
        )
