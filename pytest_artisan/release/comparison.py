"""A sample beside an earlier one: how much worse its p95 is for sure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RESAMPLES = 2000
_BLOCKS = 30
_QUANTILE = 0.95
_CONFIDENCE = 0.95
# A file of JSON holds no infinity; of a lower bound, less is true as well.
_MOST = 1000.0
# As many numbers as are drawn at once: a long sample needs no more memory than a short one.
_DRAWN = 2_000_000

Values = Sequence[float | None]


def ratio_bound(now: Values, then: Values) -> float | None:
    """The lower bound, one-sided with 95 % confidence, of p95 now / p95 then; None where there is no such ratio.

    By the moving block bootstrap (Kuensch, 1989), circular: latencies that follow each other are alike, and a stall of
    ten requests is one event. None among the values, a failure, counts as slower than all others. Rounded down, so that
    what is told is what is judged. Always the same for the same samples.
    """
    import numpy as np

    if not now or not then or any(value is not None and value < 0 for value in (*now, *then)):
        return None
    random = np.random.default_rng(0)
    mine, theirs = _quantiles(now, random), _quantiles(then, random)
    with np.errstate(all="ignore"):
        ratios = np.where(mine == theirs, 1.0, mine / theirs)
    bound = float(np.sort(ratios)[round((1 - _CONFIDENCE) * _RESAMPLES) - 1])
    return math.floor(min(bound, _MOST) * 1000) / 1000


def _quantiles(values: Values, random: np.random.Generator) -> NDArray[np.float64]:
    """The p95, by nearest rank, of each resample."""
    import numpy as np

    sample = np.array([math.inf if value is None else value for value in values])
    n = len(sample)
    length = max(n // _BLOCKS, 1)
    rank = math.ceil(_QUANTILE * n - 1e-9) - 1
    at_once = max(_DRAWN // n, 1)
    found = []
    for first in range(0, _RESAMPLES, at_once):
        count = min(at_once, _RESAMPLES - first)
        starts = random.integers(n, size=(count, -(-n // length), 1))
        drawn = sample[(starts + np.arange(length)) % n].reshape(count, -1)[:, :n]
        found.append(np.partition(drawn, rank, axis=1)[:, rank])
    return np.concatenate(found)
