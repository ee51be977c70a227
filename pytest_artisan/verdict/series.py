"""Statistics of a sample in order of time, whose members may depend on each other, as requests do in a stall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from pytest_artisan.verdict.statistics import log_binomial, normal_quantile, quantile_ranks, score_interval

# Odd, as the distribution of Student's t has a short sum for even degrees of freedom.
BATCHES = 5


def share_interval(hits: Sequence[bool], confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a share, both ends from 0 to 1, of a sample in order of time.

    Wilson's (1927), of as many independent trials as give the standard error of the means of batches, where that is
    the wider one (Law, Simulation Modeling and Analysis, 2015, 9.5). Raises ValueError for no sample.
    """
    n = len(hits)
    if not n:
        raise ValueError("no sample has no share")
    share = sum(hits) / n
    z = normal_quantile((1 + confidence) / 2)
    binomial = z * math.sqrt(share * (1 - share) / n)
    widened = batch_error(hits) * student_quantile((1 + confidence) / 2)
    return score_interval(share, n * (binomial / widened) ** 2 if widened > binomial else n, z)


def shows_at_most(hits: Sequence[bool], rate: float, confidence: float = 0.95) -> bool:
    """Whether a sample in order of time shows, one-sided, that the true share of hits is at most `rate`, 0 to 1.

    Both the exact binomial test and the bound of the batch means have to say so. No sample shows nothing.
    """
    n, count = len(hits), sum(hits)
    if not n or rate <= 0:
        return False
    if rate >= 1:
        return True
    tail = sum(math.exp(log_binomial(k, n, rate)) for k in range(count + 1))
    return tail <= 1 - confidence and count / n + student_quantile(confidence) * batch_error(hits) <= rate


def series_quantile(
    values: Sequence[float], quantile: float, confidence: float = 0.95
) -> tuple[float, float, float | None]:
    """The quantile by nearest rank of a sample in order of time, and the two ends of its interval, in its unit.

    The interval of the order statistics, or that of the batch means of `value > quantile` where that reaches further.
    The upper end is None where the sample can not bound it. Raises ValueError for no sample.
    """
    n, ordered = len(values), sorted(values)
    rank, lower, upper = quantile_ranks(n, quantile, confidence)
    point = ordered[rank]
    half = student_quantile((1 + confidence) / 2) * batch_error([value > point for value in values])
    low = ordered[max(min(lower, math.floor(n * (quantile - half))), 0)]
    highest = n if upper is None else max(upper, math.ceil(n * (quantile + half)))
    return point, low, ordered[highest] if highest < n else None


def decided(hits: int, n: int, limit: float, error: float = 0.01) -> bool | None:
    """Whether `hits` of `n` independent trials, looked at after each, show a share above `limit`.

    True: above; False: at most `limit`; None: go on. The chance that it ever says the wrong thing is at most `error`,
    however often one looks: Ville's inequality for the likelihood ratio of a mixture (Robbins, 1970, Annals of
    Mathematical Statistics 41:1397) of two beta distributions, one wide, one about as near to zero as the limit.
    """
    if not n or limit <= 0:
        return True if hits else None
    if limit >= 1:
        return False
    misses = n - hits
    wide = log_beta(hits + 0.5, misses + 0.5) - log_beta(0.5, 0.5)
    beyond = 0.5 / limit - 0.5
    near = log_beta(hits + 0.5, misses + beyond) - log_beta(0.5, beyond)
    against = hits * math.log(limit) + misses * math.log1p(-limit)
    if max(wide, near) - math.log(2) - against < -math.log(error):
        return None
    return hits > limit * n


def batch_error(hits: Sequence[bool]) -> float:
    """The standard error of the share of hits, from the means of consecutive batches of nearly equal size."""
    n = len(hits)
    if n < BATCHES:
        return 0.0
    edges = [n * batch // BATCHES for batch in range(BATCHES + 1)]
    means = [sum(hits[start:end]) / (end - start) for start, end in pairwise(edges)]
    middle = sum(means) / BATCHES
    return math.sqrt(sum((mean - middle) ** 2 for mean in means) / (BATCHES - 1) / BATCHES)


def student_quantile(probability: float) -> float:
    """The quantile of Student's t for the batches, 0.5 <= `probability` < 1 (Shaw, 2006, for 4 degrees of freedom)."""
    alpha = 4 * probability * (1 - probability)
    return 2 * math.sqrt(math.cos(math.acos(math.sqrt(alpha)) / 3) / math.sqrt(alpha) - 1)


def log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
