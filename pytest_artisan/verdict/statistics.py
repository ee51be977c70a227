"""The few exact statistics that a limit needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist


def zero_event_bound(n: int, confidence: float = 0.95) -> float:
    """The highest rate that `n` trials without one event still allow, one-sided (Clopper and Pearson, 1934).

    60 clean trials only show a rate below 4.9 %.
    """
    return 1.0 if n <= 0 else -math.expm1(math.log1p(-confidence) / n)


def proportion_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided exact interval of a proportion (Clopper and Pearson, 1934), by bisection of the binomial tail."""

    def tail(rate: float, least: int) -> float:
        return sum(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(least, n + 1))

    def rate_at(least: int, probability: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle, least) < probability else (low, middle)
        return low

    outside = (1 - confidence) / 2
    lower = rate_at(successes, outside) if successes else 0.0
    upper = rate_at(successes + 1, 1 - outside) if successes < n else 1.0
    return lower, upper


def trials_to_exclude(rate: float, confidence: float = 0.95) -> int:
    """The fewest trials without an event that show a rate of at most `rate`, 0 < `rate` < 1."""
    return math.ceil(math.log1p(-confidence) / math.log1p(-rate))


def trials_to_bound_quantile(quantile: float, confidence: float = 0.95) -> int:
    """The fewest samples whose maximum is an upper confidence bound of the quantile (order statistics)."""
    return math.ceil(math.log1p(-confidence) / math.log(quantile))


def wilson_interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided score interval of a proportion (Wilson, 1927). Raises ValueError for no trial."""
    if not n:
        raise ValueError("no trial has no proportion")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (hits + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return middle - half if hits else 0.0, middle + half if hits < n else 1.0


def binomial_tail(hits: int, n: int, rate: float) -> float:
    """The chance of at most `hits` in `n` trials, 0 < `rate` < 1."""
    return min(math.fsum(_chance(k, n, rate) for k in range(hits + 1)), 1.0)


def _chance(k: int, n: int, rate: float) -> float:
    log_choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(log_choose + k * math.log(rate) + (n - k) * math.log1p(-rate))


def quantile_ranks(n: int, quantile: float, confidence: float = 0.95) -> tuple[int, int, int | None]:
    """Places from 0 in an ordered sample: of the quantile by nearest rank, and of the two ends of its interval.

    That of the order statistics; the upper end is None where the sample is too small for one (Hahn and Meeker, 1991).
    Raises ValueError for no sample.
    """
    if not n:
        raise ValueError("no sample has no quantile")
    outside = (1 - confidence) / 2
    rank = max(math.ceil(quantile * n - 1e-9), 1) - 1
    below, lower, upper = 0.0, 0, None
    # Twenty standard deviations away nothing is left to add.
    for k in range(max(math.floor(n * quantile - 20 * math.sqrt(n * quantile * (1 - quantile))), 0), n):
        # The chance that at most k of the sample lie below the quantile.
        below += _chance(k, n, quantile)
        if below <= outside:
            lower = k
        if below >= 1 - outside:
            upper = k
            break
    return rank, min(lower, rank), None if upper is None else max(upper, rank)


def quantile_interval(
    ordered: Sequence[float], quantile: float, confidence: float = 0.95
) -> tuple[float, float, float | None]:
    """The quantile of an ordered sample, and its interval; see `quantile_ranks`, which raises ValueError, too."""
    rank, lower, upper = quantile_ranks(len(ordered), quantile, confidence)
    return ordered[rank], ordered[lower], None if upper is None else ordered[upper]
