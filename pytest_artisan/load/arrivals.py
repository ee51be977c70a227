"""When each request is due, and which part of a mix it is; all of it before the first one is sent."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["jitter", "poisson", "constant"]


def arrivals(kind: Kind, rate: float, n: int, rng: np.random.Generator) -> Floats:
    """The seconds from the start at which `n` requests are due, ascending, all of them before `n / rate`.

    `jitter` draws one moment in each slot of 1/rate: a metronome keeps step with a server that stalls by the second,
    and then sees all of its stalls or none. Of a Poisson process with a known count, the moments are uniform.
    """
    slots = np.arange(n, dtype=np.float64)
    match kind:
        case "jitter":
            return (slots + rng.random(n)) / rate
        case "poisson":
            return np.sort(rng.random(n)) * n / rate
        case "constant":
            return slots / rate


def shares(n: int, rng: np.random.Generator) -> Floats:
    """Numbers in [0, 1) that choose from a mix: in random order, and evenly spread, so that each part gets its share."""
    return rng.permutation((np.arange(n) + rng.random(n)) / max(n, 1))
