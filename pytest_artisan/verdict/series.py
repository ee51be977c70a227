"""Samples in order of time, which may depend on each other: requests that wait for one stall are one event, not ten.

The dependence is measured by batch means: a sample falls into ten batches, and where their means differ more than those
of independent trials would, the interval is as wide as they say (Law and Kelton, Simulation Modeling and Analysis, 9.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_artisan.verdict.statistics import binomial_tail, quantile_ranks, wilson_interval

_BATCHES = 10
# Of Student's t with 9 degrees of freedom, 97.5 % and 95 %; by tables, such as NIST's handbook 1.3.6.7.2.
_T_TWO_SIDED, _T_ONE_SIDED = 2.262157, 1.833113
# What a sequential test holds against a limit, as multiples of it and as shares.
_ABOVE, _MUCH_ABOVE, _BELOW = (1.5, 3.0), (0.5, 0.95), (0.5, 0.2, 0.02)


def series_quantile(values: Sequence[float], quantile: float) -> tuple[float, float, float | None]:
    """The quantile by nearest rank, and the two ends of its 95 % interval; the upper is None where the sample has none.

    The interval of the order statistics, widened by the batch means of the share beyond the quantile. Raises ValueError
    for no sample.
    """
    n = len(values)
    ordered = sorted(values)
    rank, lower, upper = quantile_ranks(n, quantile)
    half = _T_TWO_SIDED * _error([value > ordered[rank] for value in values])
    lower = max(min(lower, math.floor(n * (quantile - half))), 0)
    highest = max(n if upper is None else upper, math.ceil(n * (quantile + half)))
    return ordered[rank], ordered[lower], ordered[highest] if highest < n else None


def share_interval(hits: Sequence[bool]) -> tuple[float, float]:
    """The two-sided 95 % interval of a share: Wilson's, or that of the batch means where it is wider.

    Raises ValueError for no sample.
    """
    low, high = wilson_interval(sum(hits), len(hits))
    share, half = sum(hits) / len(hits), _T_TWO_SIDED * _error(hits)
    return max(min(low, share - half), 0.0), min(max(high, share + half), 1.0)


def shows_at_most(hits: Sequence[bool], rate: float) -> bool:
    """Whether a sample shows, one-sided with 95 % confidence, that the share is at most `rate`.

    By the exact binomial test, and by the batch means. Of 300 independent ones, 8 hits show 5 %, and none shows 1 %.
    """
    n, count = len(hits), sum(hits)
    if not n or not 0 < rate < 1:
        return bool(n) and rate >= 1
    surely = count / n + _T_ONE_SIDED * _error(hits)
    return binomial_tail(count, n, rate) <= 0.05 and surely <= rate


def decided(hits: int, n: int, limit: float, error: float = 0.01) -> bool | None:
    """Whether a growing sample has shown a share to be above `limit`, or at most there; None: not yet.

    It may be asked after each trial: the likelihood ratio of a mixture of alternatives exceeds 2/error with a probability of
    at most error/2 in each direction, ever (Ville, 1939), where the trials are independent.
    """
    if not n or not 0 < limit < 1:
        return True if hits and limit <= 0 else None
    above = [min(factor * limit, (1 + limit) / 2) for factor in _ABOVE] + [p for p in _MUCH_ABOVE if p > limit]
    needed = math.log(2 / error)
    if _log_ratio(hits, n, limit, above) >= needed:
        return True
    return False if _log_ratio(hits, n, limit, [factor * limit for factor in _BELOW]) >= needed else None


def _log_ratio(hits: int, n: int, limit: float, alternatives: Sequence[float]) -> float:
    """Of a mixture with equal weights against the limit itself."""
    logs = [hits * math.log(p / limit) + (n - hits) * math.log((1 - p) / (1 - limit)) for p in alternatives]
    most = max(logs)
    return most + math.log(sum(math.exp(log - most) for log in logs) / len(logs))


def _error(hits: Sequence[bool]) -> float:
    """The standard error of a share, from batches of time; 0 where they are too small to tell."""
    size = len(hits) // _BATCHES
    if size < 2:
        return 0.0
    means = [sum(hits[k * size : (k + 1) * size]) / size for k in range(_BATCHES)]
    mean = math.fsum(means) / _BATCHES
    return math.sqrt(math.fsum((m - mean) ** 2 for m in means) / (_BATCHES - 1) / _BATCHES)
