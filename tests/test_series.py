"""Statistics of samples that may depend on each other, beside scipy's."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_artisan.verdict.series import decided, series_quantile, share_interval, shows_at_most
from pytest_artisan.verdict.statistics import binomial_tail, quantile_ranks, wilson_interval

HITS = st.lists(st.booleans(), min_size=1, max_size=200)


def spread(hits: int, n: int) -> list[bool]:
    """Evenly, so that no two batches differ by more than one."""
    return [k * hits // n != (k + 1) * hits // n for k in range(n)]


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 300), (3, 300), (299, 300), (7, 59), (4000, 70_000)])
def test_the_score_interval_is_that_of_scipy(hits: int, n: int) -> None:
    theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")

    assert wilson_interval(hits, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert binomial_tail(hits, n, 0.05) == pytest.approx(stats.binom.cdf(hits, n, 0.05), abs=1e-9)


@pytest.mark.parametrize("n", [1, 20, 71, 72, 300, 1000, 70_000])
def test_the_ranks_are_those_of_the_binomial_distribution(n: int) -> None:
    rank, lower, upper = quantile_ranks(n, 0.95)
    below = stats.binom(n, 0.95)

    assert rank == math.ceil(0.95 * n) - 1
    assert below.cdf(lower) <= 0.025 or lower == 0
    assert below.cdf(lower + 1) > 0.025 or lower == rank
    assert upper is None or below.cdf(upper) >= 0.975 or upper == rank
    assert (upper is None) == (below.cdf(n - 1) < 0.975)


def test_no_sample_has_no_interval() -> None:
    with pytest.raises(ValueError, match="no trial"):
        share_interval([])
    with pytest.raises(ValueError, match="no sample"):
        series_quantile([], 0.95)
    assert not shows_at_most([], 1)
    assert decided(0, 0, 0.05) is None


@given(HITS)
def test_an_interval_of_a_share_holds_the_share_and_the_independent_interval(hits: list[bool]) -> None:
    low, high = share_interval(hits)
    independent = wilson_interval(sum(hits), len(hits))

    assert 0 <= low <= independent[0] + 1e-12
    assert independent[1] - 1e-12 <= high <= 1
    assert low <= sum(hits) / len(hits) <= high


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.sampled_from([0.5, 0.95, 0.99]))
def test_an_interval_of_a_quantile_holds_it(values: list[float], quantile: float) -> None:
    value, low, high = series_quantile(values, quantile)

    assert value == sorted(values)[max(math.ceil(quantile * len(values) - 1e-9), 1) - 1]
    assert low <= value <= (math.inf if high is None else high)


@given(st.lists(st.floats(0, 1), min_size=300, max_size=300), st.randoms(use_true_random=False))
def test_the_order_within_a_batch_does_not_matter(values: list[float], chance: random.Random) -> None:
    turned = list(values)
    for first in range(0, 300, 30):
        batch = turned[first : first + 30]
        chance.shuffle(batch)
        turned[first : first + 30] = batch

    assert series_quantile(turned, 0.95) == series_quantile(values, 0.95)


def test_one_burst_makes_an_interval_wider_than_the_same_latencies_apart() -> None:
    apart = [1000.0 if hit else 5.0 + k / 1000 for k, hit in enumerate(spread(12, 300))]
    burst = sorted(apart)

    value, low, high = series_quantile(apart, 0.95)
    assert (value, high) == (sorted(apart)[284], 1000)
    assert series_quantile(burst, 0.95)[1] < low
    assert series_quantile(burst, 0.95)[2] is None
    assert share_interval([x > 500 for x in burst])[1] > share_interval([x > 500 for x in apart])[1]


@pytest.mark.parametrize(
    ("hits", "rate", "shown"),
    [
        (spread(8, 300), 0.05, True),
        (spread(9, 300), 0.05, False),
        ([False] * 299, 0.01, True),
        ([False] * 298, 0.01, False),
        ([True] * 8 + [False] * 292, 0.05, False),
        ([False] * 300, 0, False),
        ([True] * 3, 1, True),
    ],
    ids=["8 of 300", "9 of 300", "none of 299", "none of 298", "8 in a burst", "no rate", "any rate"],
)
def test_a_sample_shows_a_rate_or_does_not(hits: list[bool], rate: float, shown: bool) -> None:
    assert shows_at_most(hits, rate) is shown


@pytest.mark.parametrize(
    ("hits", "n", "limit", "answer"),
    [
        (2, 2, 0.05, None),
        (3, 3, 0.05, True),
        (0, 100, 0.05, None),
        (0, 200, 0.05, False),
        (1, 1, 0, True),
        (0, 10**6, 0, None),
        (5, 5, 1, None),
        (10**6, 10**6, 0.001, True),
        (0, 10**6, 0.001, False),
        (50_000, 10**6, 0.05, None),
        (80, 80, 0.96, None),
    ],
)
def test_a_growing_sample_is_decided_or_not_yet(hits: int, n: int, limit: float, answer: bool | None) -> None:
    assert decided(hits, n, limit) is answer


@pytest.mark.parametrize("limit", [0.01, 0.05])
def test_a_look_after_each_request_is_seldom_wrong_at_the_limit(limit: float) -> None:
    rng = np.random.default_rng(7)
    runs = (rng.random((300, 1000)) < limit).cumsum(axis=1)
    wrong = sum(any(decided(int(hits), n, limit) is not None for n, hits in enumerate(run, 1)) for run in runs)

    assert wrong <= 0.02 * len(runs)  # 1 % is declared; of 300 runs


def test_the_interval_of_a_p95_covers_what_is_true() -> None:
    """Independent latencies, and those of a server that is frozen for a second, once in ten seconds on average."""
    rng = np.random.default_rng(11)
    runs, true = 300, {"independent": math.exp(0.5 * stats.norm.ppf(0.95)), "stalls": 0.49}
    covered = dict.fromkeys(true, 0)
    for _ in range(runs):
        due = (np.arange(300) + rng.random(300)) / 10
        stalls = np.sort(rng.random(rng.poisson(3.5)) * 35 - 5)
        frozen = np.max([np.clip(start + 1 - due, 0, 1) * (due >= start) for start in (*stalls, -9.0)], axis=0)
        samples = {"independent": rng.lognormal(0, 0.5, 300), "stalls": frozen + rng.lognormal(-5.3, 0.3, 300)}
        for name, sample in samples.items():
            _, low, high = series_quantile(sample.tolist(), 0.95)
            covered[name] += low <= true[name] <= (math.inf if high is None else high)

    assert covered["independent"] >= 0.94 * runs
    assert covered["stalls"] >= 0.85 * runs
