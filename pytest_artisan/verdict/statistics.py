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


def normal_quantile(probability: float) -> float:
    """The quantile of the standard normal distribution, 0 < `probability` < 1, by Newton's steps on `math.erfc`."""
    z = 0.0
    for _ in range(50):
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        step = (probability - math.erfc(-z / math.sqrt(2)) / 2) / density
        z += max(-1.0, min(step, 1.0))
        if abs(step) < 1e-13:
            break
    return z


def wilson_interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided score interval of a share, both ends from 0 to 1 (Wilson, 1927, JASA 22:209).

    `hits` of `n` independent trials; an end is exactly 0 or 1 where no trial or each is a hit. Raises ValueError where
    `n` is 0 or `hits` is not from 0 to `n`.
    """
    if not 0 <= hits <= n or not n:
        raise ValueError(f"{hits} hits of {n} trials have no share")
    return score_interval(hits / n, normal_quantile((1 + confidence) / 2) ** 2 / n)


def score_interval(share: float, spread: float) -> tuple[float, float]:
    """Wilson's interval: every rate with (`share` - rate)^2 <= `spread` * rate * (1 - rate).

    `spread` is z^2 / n for n independent trials and z standard errors to either side.
    """
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
    return max(middle - half, 0.0) if share else 0.0, min(middle + half, 1.0) if share < 1 else 1.0


def quantile_interval(
    ordered: Sequence[float], quantile: float, confidence: float = 0.95
) -> tuple[float, float, float | None]:
    """The quantile of an ordered sample by nearest rank, and the two-sided interval of its order statistics.

    The upper end is None where the sample is too small for one (Hahn and Meeker, 1991). Raises ValueError for no sample.
    """
    rank, lower, upper = quantile_ranks(len(ordered), quantile, confidence)
    return ordered[rank], ordered[lower], None if upper is None else ordered[upper]


def quantile_ranks(n: int, quantile: float, confidence: float) -> tuple[int, int, int | None]:
    """Where, counted from 0, an ordered sample of `n` holds its quantile and the two ends of the interval of that."""
    if not n:
        raise ValueError("no sample has no quantile")
    outside = (1 - confidence) / 2
    # Less than 1e-25 of a binomial distribution lies further below its middle.
    reach = 40 * math.sqrt(n * quantile * (1 - quantile)) + 40
    below, lower, upper = 0.0, 0, None
    for k in range(max(0, int(n * quantile - reach)), n):
        # The chance that at most k of the sample lie below the quantile.
        below += math.exp(log_binomial(k, n, quantile))
        if below <= outside:
            lower = k
        if below >= 1 - outside:
            upper = k
            break
    rank = max(math.ceil(quantile * n - 1e-9), 1) - 1
    return rank, min(lower, rank), None if upper is None else max(upper, rank)


def log_binomial(k: int, n: int, rate: float) -> float:
    """The logarithm of the chance of `k` hits in `n` trials, 0 < `rate` < 1."""
    log_choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return log_choose + k * math.log(rate) + (n - k) * math.log1p(-rate)
