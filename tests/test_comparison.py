"""How much worse a sample's p95 is for sure: few false alarms, and a real change is found."""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_artisan.release.comparison import ratio_bound
from pytest_artisan.verdict.judge import RATIO

values = st.none() | st.sampled_from((0.0, 5e-324, 1.0, 1e308)) | st.floats(0, 1e9)
samples = st.lists(values, min_size=1, max_size=80)
quick = settings(max_examples=60, derandomize=True, deadline=None)


def latencies(random: np.random.Generator, n: int, factor: float = 1.0) -> list[float | None]:
    drawn: list[float | None] = (20 * factor * random.lognormal(0, 0.5, n)).tolist()
    return drawn


def with_stalls(random: np.random.Generator, n: int) -> list[float | None]:
    """Ten requests a second, of which each may begin a stall of one second."""
    slow = np.array(latencies(random, n), dtype=float)
    for start in np.flatnonzero(random.random(n) < 0.01):
        held = slow[start : start + 10]
        held[:] = np.maximum(held, 1000 - 100 * np.arange(len(held)))
    kept: list[float | None] = slow.tolist()
    return kept


@cache
def bounds(n: int, factor: float, runs: int = 60) -> list[float]:
    random = np.random.default_rng(7)
    pairs = [(latencies(random, n, factor), latencies(random, n)) for _ in range(runs)]
    return [bound for now, then in pairs if (bound := ratio_bound(now, then)) is not None]


def alarms(found: list[float]) -> float:
    return sum(bound > RATIO for bound in found) / len(found)


@pytest.mark.parametrize("n", [20, 60, 300])
def test_the_same_service_raises_no_alarm(n: int) -> None:
    assert alarms(bounds(n, 1.0)) <= 0.05


def test_a_service_that_is_half_as_slow_again_is_found() -> None:
    assert alarms(bounds(300, 1.5)) > 0.75


def test_the_bound_is_below_the_true_ratio_as_often_as_it_says() -> None:
    assert sum(bound <= 1.5 for bound in bounds(300, 1.5)) / 60 >= 0.9


def test_stalls_count_as_the_few_events_that_they_are() -> None:
    random = np.random.default_rng(7)
    pairs = [(with_stalls(random, 300), with_stalls(random, 300)) for _ in range(60)]

    assert sum((ratio_bound(now, then) or 0) > RATIO for now, then in pairs) <= 6


@quick
@given(samples, samples)
def test_any_two_samples_have_a_finite_bound_and_always_the_same(
    now: list[float | None], then: list[float | None]
) -> None:
    bound = ratio_bound(now, then)

    assert bound is not None
    assert 0 <= bound <= 1000
    assert bound == ratio_bound(now, then)
    assert ratio_bound(now, now) is not None
    assert (ratio_bound(now, now) or 0) <= 1


@pytest.mark.parametrize(
    ("now", "then", "bound"),
    [
        ([10.0] * 60, [10.0] * 60, 1.0),
        ([15.0] * 60, [10.0] * 60, 1.5),
        ([10.0] * 60, [30.0] * 60, 0.333),
        ([None] * 60, [None] * 60, 1.0),
        ([None] * 60, [10.0] * 60, 1000.0),
        ([10.0] * 60, [None] * 60, 0.0),
        ([0.0] * 60, [0.0] * 60, 1.0),
        ([1.0] * 60, [0.0] * 60, 1000.0),
        ([-1.0] * 60, [1.0] * 60, None),
        ([], [1.0], None),
        ([1.0], [], None),
    ],
    ids=lambda value: str(value)[:12],
)
def test_what_has_no_spread_is_its_own_bound(
    now: list[float | None], then: list[float | None], bound: float | None
) -> None:
    assert ratio_bound(now, then) == bound


def test_failures_are_slower_than_all_others() -> None:
    random = np.random.default_rng(7)
    then = latencies(random, 300)
    now = [None if k % 10 == 0 else value for k, value in enumerate(latencies(random, 300))]

    assert ratio_bound(now, then) == 1000
    assert ratio_bound(then, now) == 0


def test_three_hundred_requests_are_compared_in_less_than_a_tenth_of_a_second() -> None:
    random = np.random.default_rng(7)
    now, then = latencies(random, 300), latencies(random, 300)

    def seconds() -> float:
        start = time.perf_counter()
        ratio_bound(now, then)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.1
