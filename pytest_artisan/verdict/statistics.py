"""The few exact statistics that a limit needs."""

from __future__ import annotations

import math
from collections.abc import Sequence


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


def quantile_interval(
    ordered: Sequence[float], quantile: float, confidence: float = 0.95
) -> tuple[float, float, float | None]:
    """The quantile of an ordered sample by nearest rank, and the two-sided interval of its order statistics.

    The upper end is None where the sample is too small for one (Hahn and Meeker, 1991). Raises ValueError for no sample.
    """
    n = len(ordered)
    if not n:
        raise ValueError("no sample has no quantile")
    outside = (1 - confidence) / 2
    below, lower, upper = 0.0, 0, None
    for k in range(n):
        log_choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        # The chance that at most k of the sample lie below the quantile.
        below += math.exp(log_choose + k * math.log(quantile) + (n - k) * math.log1p(-quantile))
        if below <= outside:
            lower = k
        if below >= 1 - outside:
            upper = k
            break
    rank = max(math.ceil(quantile * n - 1e-9), 1) - 1
    return ordered[rank], ordered[min(lower, rank)], None if upper is None else ordered[max(upper, rank)]
