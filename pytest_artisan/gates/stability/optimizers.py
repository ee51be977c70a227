"""What the gate `moga_stability` asks of anybody's optimizer of mixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pytest_artisan.moga.ranking import Floats


class Limits(Protocol):
    """`upper` (n,) in per cent; `weights` (K, n) and `bounds` (K,), `weights @ shares <= bounds`: limits that some share."""

    @property
    def upper(self) -> Floats: ...
    @property
    def weights(self) -> Floats: ...
    @property
    def bounds(self) -> Floats: ...


class Generation(Protocol):
    """A population: `values` (N, n) in per cent, `objectives` (N, M), minimised, `ids` (N,), `parents` (N, P).

    An id is never given twice, and grows; a parent is an id of the generation before, or -1.
    """

    @property
    def values(self) -> Floats: ...
    @property
    def objectives(self) -> Floats: ...
    @property
    def ids(self) -> NDArray[np.int64]: ...
    @property
    def parents(self) -> NDArray[np.int64]: ...


class Optimizer(Protocol):
    """A seeded optimizer of mixtures; one with `objective_names` (M of them) has these in its picture."""

    @property
    def limits(self) -> Limits: ...

    def evaluate(self, shares: Floats) -> Floats:
        """Objectives (N, M) of mixtures (N, n); the same for the same mixtures, always."""
        ...

    def step(self) -> Generation:
        """One more iteration, and the population after it."""
        ...

    def front(self) -> Floats:
        """Objectives (A, M) of the best that it has found so far."""
        ...


Factory = Callable[[int], Optimizer]
