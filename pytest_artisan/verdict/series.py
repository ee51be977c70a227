"""Statistics of a sample in order of time, whose members may depend on each other, as requests do in a stall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from pytest_artisan.verdict.statistics import log_binomial, normal_quantile, quantile_ranks, score_interval

# Fewer make the interval wide where the sample is independent, more make it narrow where it depends on itself for
# longer than a batch lasts. `student_quantile` is of one degree of freedom less.
BATCHES = 9


def share_interval(hits: Sequence[bool], confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a share, both ends from 0 to 1, of a sample in order of time.

    Wilson's (1927), widened where the means of batches vary more than those of independent trials (Law, Simulation
    Modeling and Analysis, 5th edition, 9.5.3). What never happened in the sample widens nothing: of rare stalls that
    it missed the interval does not know. Raises ValueError for no sample.
    """
    n = len(hits)
    if not n:
        raise ValueError("no sample has no share")
    share = sum(hits) / n
    spread = normal_quantile((1 + confidence) / 2) ** 2 / n
    if 0 < share < 1:
        half = student_quantile((1 + confidence) / 2) * batch_error(hits)
        spread = max(spread, half**2 / (share * (1 - share)))
    return score_interval(share, spread)


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

    The ranks are those of the order statistics, or those of the batch means of the share beyond the value where these
    reach further. The upper end is None where the sample can not bound it. Raises ValueError for no sample.
    """
    n, ordered = len(values), sorted(values)
    rank, lower, upper = quantile_ranks(n, quantile, confidence)
    point, t = ordered[rank], student_quantile((1 + confidence) / 2)
    # Each side by itself: where many share the value, as all that failed do, none is above it.
    down = t * batch_error([value >= point for value in values])
    up = t * batch_error([value > point for value in values])
    low = ordered[max(min(lower, math.floor(n * (quantile - down)) - 1), 0)]
    high = n if upper is None else max(upper, math.ceil(n * (quantile + up)) - 1)
    return point, low, ordered[high] if high < n else None


def decided(hits: int, n: int, limit: float, error: float = 0.01) -> bool | None:
    """Whether `hits` of `n` independent trials, looked at after each, show a share above `limit`.

    True: above; False: at most `limit`; None: go on. The chance that it ever says the wrong thing is at most `error`,
    however often one looks: Ville's inequality for the likelihood ratio of a mixture (Robbins, 1970, Annals of
    Mathematical Statistics 41:1397) of two beta distributions, one wide, one about as near to zero as the limit. Where hits come in bursts, the first burst
    or the time before it decides, and the error does not hold.
    """
    if not n or limit <= 0:
        return True if hits else None
    if limit >= 1:
        return False
    misses = n - hits
    # A larger one would leave the difference of its logarithms no digit.
    beyond = min(0.5 / limit - 0.5, 1e6)
    wide = log_beta(hits + 0.5, misses + 0.5) - log_beta(0.5, 0.5)
    near = log_beta(hits + 0.5, misses + beyond) - log_beta(0.5, beyond)
    mixture = max(wide, near) + math.log1p(math.exp(-abs(wide - near))) - math.log(2)
    if mixture - hits * math.log(limit) - misses * math.log1p(-limit) < -math.log(error):
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
    """The quantile of Student's t with 8 degrees of freedom, 0.5 <= `probability` < 1.

    By bisection of the sine in the finite sum of Abramowitz and Stegun, 26.7.4.
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        sine = (low + high) / 2
        rest = 1 - sine * sine
        inside = sine * (1 + rest * (1 / 2 + rest * (3 / 8 + rest * 5 / 16)))
        low, high = (sine, high) if inside < 2 * probability - 1 else (low, sine)
    return low * math.sqrt(8 / (1 - low * low))


def log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
