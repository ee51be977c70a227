"""The statistics of samples in order of time, against scipy and by what must hold for every sample."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from load_intervals import independent, outcome, random_moments, scattered, stalled, undecided
from scipy import stats

from pytest_artisan.verdict.series import (
    BATCHES,
    decided,
    series_quantile,
    share_interval,
    shows_at_most,
    student_quantile,
)
from pytest_artisan.verdict.statistics import normal_quantile, quantile_interval, wilson_interval

T = TypeVar("T")
quick = settings(max_examples=60, deadline=None, derandomize=True)
finite = st.floats(-1e6, 1e6, allow_nan=False)
series = st.lists(finite | st.sampled_from([0.0, 1.0, math.inf]), min_size=1, max_size=200)
hit_series = st.lists(st.booleans(), min_size=1, max_size=200)
quantiles = st.sampled_from([0.05, 0.5, 0.9, 0.95, 0.99])
confidences = st.floats(0.5, 0.999)
rates = st.floats(0.001, 0.999)


def spread_out(hits: int, n: int) -> list[bool]:
    return [(place + 1) * hits // n > place * hits // n for place in range(n)]


def shuffled_in_batches(sample: list[T], seed: int) -> list[T]:
    edges = [len(sample) * batch // BATCHES for batch in range(BATCHES + 1)]
    order = random.Random(seed)  # noqa: S311
    batches = [sample[start:end] for start, end in pairwise(edges)]
    return [one for batch in batches for one in order.sample(batch, len(batch))]


def dealt(n: int) -> list[float]:
    """The numbers from 1 to `n` in an order in which every batch has as many of each size as any other."""
    return [float(number) for start in range(BATCHES) for number in range(start + 1, n + 1, BATCHES)]


def reach(high: float | None) -> float:
    return math.inf if high is None else high


@quick
@given(probability=st.floats(0.5, 0.99999))
def test_quantiles_of_the_normal_and_of_students_distribution(probability: float) -> None:
    assert normal_quantile(probability) == pytest.approx(stats.norm.ppf(probability), rel=1e-9, abs=1e-12)
    assert student_quantile(probability) == pytest.approx(stats.t.ppf(probability, BATCHES - 1), rel=1e-9, abs=1e-12)


@quick
@given(n=st.integers(1, 70_000), share=st.floats(0, 1), confidence=confidences)
def test_wilsons_interval_is_that_of_scipy(n: int, share: float, confidence: float) -> None:
    hits = round(share * n)
    theirs = stats.binomtest(hits, n).proportion_ci(confidence, "wilson")
    assert wilson_interval(hits, n, confidence) == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-12)


def test_wilsons_interval_ends_exactly_at_zero_and_one() -> None:
    for n in (1, 7, 300, 10**6):
        assert wilson_interval(0, n)[0] == 0
        assert wilson_interval(n, n)[1] == 1


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_no_trials_have_no_share(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="have no share"):
        wilson_interval(hits, n)


def test_no_series_has_a_share_or_a_quantile_or_shows_anything() -> None:
    with pytest.raises(ValueError, match="no sample"):
        share_interval([])
    with pytest.raises(ValueError, match="no sample"):
        series_quantile([], 0.95)
    assert not shows_at_most([], 1)


@quick
@given(hits=hit_series, confidence=confidences, seed=st.integers(0, 99))
def test_the_interval_of_a_share(hits: list[bool], confidence: float, seed: int) -> None:
    low, high = share_interval(hits, confidence)
    plain = wilson_interval(sum(hits), len(hits), confidence)
    assert 0 <= low <= plain[0] + 1e-12
    assert low <= sum(hits) / len(hits) <= high
    assert plain[1] - 1e-12 <= high <= 1
    surer = share_interval(hits, (1 + confidence) / 2)
    assert surer[0] <= low
    assert high <= surer[1]
    assert share_interval(shuffled_in_batches(hits, seed), confidence) == (low, high)
    assert share_interval([not hit for hit in hits], confidence) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_a_burst_widens_the_interval_of_a_share_and_scattered_hits_do_not() -> None:
    assert share_interval(spread_out(15, 300)) == pytest.approx(wilson_interval(15, 300))
    low, high = share_interval([100 <= place < 115 for place in range(300)])
    assert low < 0.01
    assert high > 0.2


@pytest.mark.parametrize(
    ("hits", "rate", "shown"),
    [
        (spread_out(8, 300), 0.05, True),
        (spread_out(9, 300), 0.05, False),
        (spread_out(0, 299), 0.01, True),
        (spread_out(0, 298), 0.01, False),
        ([100 <= place < 108 for place in range(300)], 0.05, False),
        ([False] * 10_000, 0, False),
        ([True] * 300, 1, True),
        (spread_out(3_000, 70_000), 0.05, True),
    ],
)
def test_what_a_series_shows(hits: list[bool], rate: float, shown: bool) -> None:
    assert shows_at_most(hits, rate) is shown


@quick
@given(n=st.integers(1, 400), share=st.floats(0, 0.5), rate=rates, confidence=confidences)
def test_what_is_shown_the_exact_binomial_test_shows(n: int, share: float, rate: float, confidence: float) -> None:
    hits = spread_out(round(share * n), n)
    theirs = stats.binomtest(sum(hits), n, rate, "less").pvalue
    if shows_at_most(hits, rate, confidence):
        assert theirs <= 1 - confidence + 1e-9
        assert shows_at_most(hits, (1 + rate) / 2, confidence)
        assert shows_at_most(hits, rate, confidence / 2 + 0.25)
    elif not any(hits):
        assert theirs > 1 - confidence - 1e-9


@quick
@given(values=series, quantile=quantiles, confidence=confidences, seed=st.integers(0, 99))
def test_the_interval_of_a_quantile(values: list[float], quantile: float, confidence: float, seed: int) -> None:
    found = point, low, high = series_quantile(values, quantile, confidence)
    plain = quantile_interval(sorted(values), quantile, confidence)
    assert point == plain[0]
    assert low <= plain[1] <= point <= reach(plain[2]) <= reach(high)
    assert {point, low} <= set(values)
    assert high is None or high in values
    _, lower, higher = series_quantile(values, quantile, (1 + confidence) / 2)
    assert lower <= low
    assert reach(high) <= reach(higher)
    assert series_quantile(shuffled_in_batches(values, seed), quantile, confidence) == found
    doubled = series_quantile([2 * value for value in values], quantile, confidence)
    assert doubled == (2 * point, 2 * low, None if high is None else 2 * high)


@quick
@given(n=st.integers(150, 1_000), quantile=st.sampled_from([0.5, 0.9, 0.95]))
def test_a_well_mixed_series_has_the_ranks_of_scipy(n: int, quantile: float) -> None:
    values = dealt(n)
    theirs = stats.quantile_test(values, q=0, p=quantile).confidence_interval(0.95)
    assert series_quantile(values, quantile)[1:] == (theirs.low, theirs.high)


def test_where_the_slow_ones_come_together_the_interval_reaches_further() -> None:
    mixed = dealt(300)
    assert series_quantile(mixed, 0.95) == (285, 277, 293)
    assert series_quantile(sorted(mixed), 0.95) == (285, 248, None)
    assert series_quantile(dealt(58), 0.95)[2] is None


@quick
@given(seed=st.integers(0, 10**6))
def test_the_ranks_are_those_of_the_means_of_batches(seed: int) -> None:
    rng, each = np.random.default_rng(seed), 400
    values = rng.permutation(BATCHES * each) + np.repeat(rng.integers(0, 200, BATCHES), each) + 0.5 * rng.random()
    point, low, high = series_quantile(values.tolist(), 0.9)
    n, ordered = len(values), np.sort(values)
    plain = quantile_interval(ordered.tolist(), 0.9)
    t = stats.t.ppf(0.975, BATCHES - 1)
    above, from_it = ((values > point).reshape(BATCHES, each), (values >= point).reshape(BATCHES, each))
    up = math.ceil(n * (0.9 + t * stats.sem(above.mean(axis=1))))
    down = math.floor(n * (0.9 - t * stats.sem(from_it.mean(axis=1))))
    assert low == min(plain[1], ordered[down - 1])
    assert high == max(reach(plain[2]), ordered[up - 1])


def test_a_batch_may_be_of_one() -> None:
    hits = [True, *[False] * (BATCHES - 1)]
    assert share_interval(hits)[1] > wilson_interval(1, BATCHES)[1]


def test_a_burst_of_failures_that_is_the_quantile_does_not_prove_itself() -> None:
    failed = [math.inf if 100 <= place < 130 else 1.0 for place in range(300)]
    assert series_quantile(failed, 0.95) == (math.inf, 1.0, math.inf)


@pytest.mark.parametrize("limit", [0.001, 0.01, 0.05])
def test_a_dead_service_is_decided_within_three_requests(limit: float) -> None:
    assert decided(3, 3, limit) is True


@pytest.mark.parametrize("limit", [1e-6, 3e-16, 1e-100, 1e-306])
def test_no_hit_shows_nothing_of_a_tiny_limit(limit: float) -> None:
    assert [decided(0, n, limit) for n in (1, 10, 1_000)] == [None] * 3


@pytest.mark.parametrize(
    ("hits", "n", "limit", "expected"),
    [
        (0, 126, 0.05, None),
        (0, 127, 0.05, False),
        (2, 2, 0.05, None),
        (0, 0, 0.05, None),
        (0, 0, 0, None),
        (0, 0, 1, None),
        (1, 1, 0, True),
        (0, 10**6, 0, None),
        (10**6, 10**6, 0, True),
        (1, 1, 1, False),
        (10**6, 10**6, 1, False),
        (0, 10**6, 1, False),
        (10**6, 10**6, 0.05, True),
        (0, 10**6, 0.05, False),
        (50_000, 10**6, 0.05, None),
        (10**6, 10**6, 0.999, True),
        (0, 10**6, 1e-300, None),
        (1, 1, 5e-324, True),
        (1, 10, 1 - 1e-16, False),
    ],
)
def test_the_ends_of_the_sequential_test(hits: int, n: int, limit: float, expected: bool | None) -> None:
    assert decided(hits, n, limit) is expected


@quick
@given(n=st.integers(1, 10**6), share=st.floats(0, 1), limit=rates, error=st.floats(1e-6, 0.2))
def test_a_decision_is_on_the_side_of_the_sample(n: int, share: float, limit: float, error: float) -> None:
    hits = round(share * n)
    answer = decided(hits, n, limit, error)
    if answer is None:
        assert decided(hits, n, limit, error / 2) is None
    else:
        assert answer is (hits / n > limit)
        worse = min(hits + 1, n) if answer else max(hits - 1, 0)
        assert decided(worse, n, limit, error) is answer
        # A fixed sample shows what a sequential one does: it needs less.
        assert stats.binomtest(hits, n, limit).pvalue <= error


@pytest.mark.parametrize("limit", [0.001, 0.05, 0.3])
def test_the_sequential_test_is_seldom_wrong_however_often_one_looks(limit: float) -> None:
    borders = undecided(limit, 2_000)
    below, above, _ = outcome(borders, limit)
    assert below + above <= 0.01
    assert outcome(borders, limit / 2)[1] <= 0.01
    assert outcome(borders, 2 * limit)[0] <= 0.01


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(20261124)
    p95, runs = math.exp(0.5 * stats.norm.ppf(0.95)), 400
    mixed = [series_quantile(independent(300, rng).tolist(), 0.95) for _ in range(runs)]
    assert sum(low <= p95 <= reach(high) for _, low, high in mixed) >= 0.94 * runs
    # Measured with ten million draws, in benchmarks/load_intervals.py.
    frozen = [series_quantile(stalled(10, 30, random_moments, rng).tolist(), 0.95) for _ in range(runs)]
    assert sum(low <= 0.4918 <= reach(high) for _, low, high in frozen) >= 0.85 * runs
    shares = [share_interval(scattered(0.05, 300, rng).tolist()) for _ in range(runs)]
    assert sum(low <= 0.05 <= high for low, high in shares) >= 0.94 * runs
    assert sum(shows_at_most(scattered(0.05, 300, rng).tolist(), 0.05) for _ in range(runs)) <= 0.05 * runs
