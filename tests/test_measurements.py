"""One number becomes a measurement, and is judged against its limit, its interval and its baseline."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_artisan.verdict.evidence import Baseline, Bound, Limit, Measurement, Samples, measured, no_evidence
from pytest_artisan.verdict.judge import Code, State, describe, judge, reach
from pytest_artisan.verdict.statistics import (
    quantile_interval,
    trials_to_bound_quantile,
    trials_to_exclude,
    zero_event_bound,
)

quick = settings(max_examples=100, derandomize=True, deadline=None)


class Half:
    """A number of somebody else's library."""

    def __float__(self) -> float:
        return 0.5


class Index:
    def __index__(self) -> int:
        return 7


NUMBERS = [
    (3, 3.0),
    (2.5, 2.5),
    (np.float64(2.5), 2.5),
    (np.float32(0.5), 0.5),
    (np.int64(3), 3.0),
    (np.array(4.0), 4.0),
    (Decimal("2.5"), 2.5),
    (Fraction(5, 2), 2.5),
    (Half(), 0.5),
    (Index(), 7.0),
]


def has_exact_types(m: Measurement) -> bool:
    assert m.limit is not None
    numbers = [m.limit.value, *(m.interval or ()), *([] if m.value is None else [m.value])]
    return all(type(number) is float for number in numbers) and (m.n is None or type(m.n) is int)


@pytest.mark.parametrize(("given_value", "expected"), NUMBERS, ids=[f"{type(n).__name__}-{x}" for n, x in NUMBERS])
def test_every_kind_of_number_becomes_an_exact_float(given_value: Any, expected: float) -> None:
    m = measured("x", given_value, unit="ms", at_most=given_value, n=np.int64(9), interval=(given_value, given_value))

    assert m == Measurement("x", expected, "ms", Limit(Bound.AT_MOST, expected), 9, (expected, expected))
    assert has_exact_types(m)


@pytest.mark.parametrize("place", ["value", "at_least", "interval"])
@pytest.mark.parametrize(
    "value",
    [True, np.True_, "3", np.str_("3"), b"3", bytearray(b"3"), 1j, [1], object()],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__}",
)
def test_what_is_no_number_is_refused_wherever_it_stands(value: Any, place: str) -> None:
    arguments: dict[str, Any] = {"at_least": 1, "interval": None, "value": 2}
    arguments[place] = (value, 3) if place == "interval" else value

    with pytest.raises(TypeError):
        measured("x", arguments.pop("value"), unit="ms", **arguments)


NO_DATA: list[tuple[Any, dict[str, Any], str]] = [
    (None, {}, "the value is None"),
    (math.nan, {}, "the value is nan"),
    (np.float64("nan"), {}, "the value is nan"),
    (Decimal("NaN"), {}, "the value is nan"),
    (math.inf, {}, "the value is inf"),
    (-math.inf, {}, "the value is -inf"),
    (10**400, {}, "the value is inf"),
    (3, {"n": 0}, "the sample is empty (n=0)"),
    (3, {"interval": (1, 2)}, "does not hold the value 3.0"),
    (3, {"interval": (4, 5)}, "does not hold the value 3.0"),
    (3, {"interval": (4, 2)}, "does not hold the value 3.0"),
    (3, {"interval": (math.nan, 4)}, "(nan, 4.0) is not finite"),
    (3, {"interval": (2, math.inf)}, "(2.0, inf) is not finite"),
]


@pytest.mark.parametrize(("value", "arguments", "cause"), NO_DATA, ids=[f"{v!r:.40}-{a}" for v, a, _ in NO_DATA])
def test_a_number_that_is_not_there_is_kept_with_its_cause_and_blocks(
    value: Any, arguments: dict[str, Any], cause: str
) -> None:
    m = measured("x", value, unit="ms", at_most=10, **arguments)
    [(code, state, text)] = judge(m)

    assert m.value is None
    assert m.interval is None
    assert has_exact_types(m)
    assert cause in m.no_data
    assert (code, state) == (Code.NO_DATA, State.NO_EVIDENCE)
    assert cause in text
    assert cause in describe(m)


REFUSED: list[tuple[type[Exception], dict[str, Any], str]] = [
    (TypeError, {}, "got none"),
    (TypeError, {"at_most": 1, "below": 2}, "got at_most, below"),
    (TypeError, {"equal_to": 1, "interval": (0, 2)}, "equality"),
    (TypeError, {"at_most": 1, "n": 2.5}, "float"),
    (TypeError, {"at_most": 1, "n": True}, "bool"),
    (ValueError, {"at_most": math.inf}, "not finite"),
    (ValueError, {"at_least": -math.inf}, "not finite"),
    (ValueError, {"below": math.nan}, "not finite"),
    (ValueError, {"above": 10**400}, "not finite"),
    (ValueError, {"at_most": 1, "unit": ""}, "unit"),
    (ValueError, {"at_most": 1, "unit": " ms"}, "unit"),
    (ValueError, {"at_most": 1, "n": -1}, "negative"),
]


@pytest.mark.parametrize(("kind", "arguments", "told"), REFUSED, ids=[str(arguments) for _, arguments, _ in REFUSED])
def test_an_impossible_measurement_is_refused_with_its_name(
    kind: type[Exception], arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(kind, match=told) as error:
        measured("p95", 1, **{"unit": "ms", **arguments})

    if "n" not in arguments or kind is ValueError:
        assert "p95" in str(error.value)


BEFORE, AFTER = math.nextafter(2.0, 0.0), math.nextafter(2.0, 3.0)


@pytest.mark.parametrize(
    ("bound", "kept", "broken"),
    [
        ("at_most", [BEFORE, 2.0], [AFTER]),
        ("at_least", [2.0, AFTER], [BEFORE]),
        ("below", [BEFORE], [2.0, AFTER]),
        ("above", [AFTER], [2.0, BEFORE]),
        ("equal_to", [2.0], [BEFORE, AFTER]),
    ],
)
def test_a_bound_includes_its_limit_exactly_where_its_name_says_so(
    bound: str, kept: list[float], broken: list[float]
) -> None:
    arguments: dict[str, Any] = {bound: 2}

    for value in kept:
        assert list(judge(measured("x", value, unit="ms", **arguments))) == []
    for value in broken:
        [(code, state, _)] = judge(measured("x", value, unit="ms", **arguments))
        assert (code, state) == (Code.OVER_LIMIT, State.NO_GO)


@pytest.mark.parametrize(
    ("bound", "interval", "decided"),
    [
        ("at_most", (0.5, 2), True),
        ("at_most", (0.5, AFTER), False),
        ("below", (0.5, BEFORE), True),
        ("below", (0.5, 2), False),
        ("at_least", (2, 9), True),
        ("at_least", (BEFORE, 9), False),
        ("above", (AFTER, 9), True),
        ("above", (2, 9), False),
    ],
)
def test_an_interval_that_reaches_over_the_limit_decides_nothing(
    bound: str, interval: tuple[float, float], decided: bool
) -> None:
    limit: dict[str, Any] = {bound: 2}
    value = 1.0 if bound in ("at_most", "below") else 3.0
    found = [(code, state) for code, state, _ in judge(measured("x", value, unit="ms", interval=interval, **limit))]

    assert found == ([] if decided else [(Code.INTERVAL, State.INCONCLUSIVE)])


def test_a_doubtful_interval_is_told_beside_the_limit() -> None:
    m = measured("p95", 2400, unit="ms", at_most=2500, n=40, interval=(2100, 2731.5))
    [(_, _, text)] = judge(m)

    assert text == (
        "p95 2400 ms <= 2500 ms, n=40, but its interval [2100, 2731.5 ms] reaches over the limit: measure more"
    )


# Bound, value, its interval, the baseline's value and interval, and what is found.
REGRESSIONS: list[tuple[str, float, tuple[float, float] | None, Baseline, Code | None]] = [
    ("at_most", 109, None, Baseline(100, "ms"), None),
    ("at_most", 111, None, Baseline(100, "ms"), Code.REGRESSION),
    ("at_most", 50, None, Baseline(100, "ms"), None),
    ("below", 111, None, Baseline(100, "ms"), Code.REGRESSION),
    ("at_least", 91, None, Baseline(100, "ms"), None),
    ("at_least", 89, None, Baseline(100, "ms"), Code.REGRESSION),
    ("at_least", 200, None, Baseline(100, "ms"), None),
    ("above", 89, None, Baseline(100, "ms"), Code.REGRESSION),
    ("at_most", -89, None, Baseline(-100, "ms"), Code.REGRESSION),
    ("at_most", 1, None, Baseline(0, "ms"), Code.REGRESSION),
    ("equal_to", 100, None, Baseline(100, "ms"), None),
    ("equal_to", 100, None, Baseline(100.5, "ms"), Code.REGRESSION),
    ("at_most", 150, (140, 160), Baseline(100, "ms", (90, 140)), None),
    ("at_most", 150, (141, 160), Baseline(100, "ms", (90, 140)), Code.REGRESSION),
    ("at_most", 150, (141, 160), Baseline(100, "ms"), Code.REGRESSION),
    ("at_most", 50, (40, 60), Baseline(100, "ms", (90, 140)), None),
    ("at_least", 50, (40, 90), Baseline(100, "ms", (90, 140)), None),
    ("at_least", 50, (40, 89), Baseline(100, "ms", (90, 140)), Code.REGRESSION),
    ("at_most", 150, (141, 160), Baseline(100, "ms", (90, 110), 1.2), None),
    ("at_most", 150, (90, 200), Baseline(100, "ms", (90, 200), 1.201), Code.REGRESSION),
    ("below", 105, None, Baseline(100, "ms", None, math.nan), Code.REGRESSION),
    ("at_least", 89, None, Baseline(100, "ms", None, 0.8), Code.REGRESSION),
    ("at_least", 200, None, Baseline(100, "ms", None, 2.0), None),
    ("at_most", 0.1, None, Baseline(0.1, "s", None, 1.0), Code.UNIT),
    ("at_most", 100, None, Baseline(), Code.NO_BASELINE),
    ("at_most", 100, None, Baseline(math.nan, "ms"), Code.NO_BASELINE),
    ("equal_to", 100, None, Baseline(math.nan, "ms"), Code.NO_BASELINE),
    ("at_most", 100, None, Baseline(math.inf, "ms"), Code.NO_BASELINE),
    ("at_most", 150, (141, 160), Baseline(100, "ms", (90, math.nan)), Code.NO_BASELINE),
    ("at_most", 0.1, None, Baseline(0.1, "s"), Code.UNIT),
]


@pytest.mark.parametrize(("bound", "value", "interval", "baseline", "expected"), REGRESSIONS)
def test_a_measurement_may_not_be_worse_than_its_baseline(
    bound: str, value: float, interval: tuple[float, float] | None, baseline: Baseline, expected: Code | None
) -> None:
    limits: dict[str, Any] = {bound: {"at_least": 1, "above": 1, "equal_to": value}.get(bound, 1000)}
    m = replace(measured("p95", value, unit="ms", interval=interval, **limits), baseline=baseline)

    assert [code for code, _, _ in judge(m)] == ([] if expected is None else [expected])


def test_a_regression_tells_both_numbers() -> None:
    m = replace(measured("p95", 2400, unit="ms", at_most=2500), baseline=Baseline(1800.25, "ms"))

    assert [text for _, _, text in judge(m)] == ["p95 2400 ms is worse than its baseline 1800.25 ms"]


def test_a_regression_by_ratio_tells_its_bound_beside_what_is_allowed() -> None:
    m = replace(measured("p95", 30, unit="ms", at_most=50), baseline=Baseline(20, "ms", None, 1.432))

    assert [text for _, _, text in judge(m)] == [
        "p95 30 ms, its baseline 20 ms: the ratio of the p95 is 1.432 or more, allowed is 1.2"
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"value": 2731, "at_most": 2500, "n": 300}, "p95 2731 ms > 2500 ms, n=300"),
        ({"value": 2499.5, "at_most": 2500}, "p95 2499.5 ms <= 2500 ms"),
        ({"value": 9, "unit": "1", "above": 10}, "p95 9 <= 10"),
        ({"value": 11, "unit": "1", "above": 10}, "p95 11 > 10"),
        ({"value": 0.031, "unit": "count", "below": 0.03}, "p95 0.031 >= 0.03"),
        ({"value": 0, "unit": "count", "at_least": 1}, "p95 0 < 1"),
        ({"value": 99, "unit": "%", "equal_to": 100}, "p95 99 % != 100 %"),
        ({"value": 1e300, "at_most": 1}, "p95 1e+300 ms > 1 ms"),
    ],
    ids=str,
)
def test_a_measurement_is_told_beside_its_limit(arguments: dict[str, Any], text: str) -> None:
    assert describe(measured("p95", **{"unit": "ms", **arguments})) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, -0.0])
def test_any_raw_number_can_be_told(value: float) -> None:
    m = Measurement("x", value, "ms", Limit(Bound.AT_MOST, value), 1, (value, value), "", Baseline(value, "ms"))

    assert all(text for _, _, text in judge(m))
    assert describe(m).startswith("x ")
    assert "excludes above" in reach(m)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"value": 1847.3, "at_most": 2500, "interval": (1602.0, 2011.5)}, "excludes above 2011.5 ms"),
        ({"value": 12, "above": 10, "interval": (11, 13)}, "excludes below 11 ms"),
        ({"value": 0, "at_most": 0, "n": 10_000}, "excludes a rate above 0.0003"),
        ({"value": 0, "equal_to": 0, "n": 60}, "excludes a rate above 0.049"),
        ({"value": 0, "at_least": 0, "n": 60}, ""),
        ({"value": 3, "at_most": 5, "n": 60}, ""),
        ({"value": 0, "at_most": 0}, ""),
        ({"value": None, "at_most": 0, "n": 60}, ""),
    ],
    ids=str,
)
def test_a_kept_limit_tells_the_reach_of_its_sample(arguments: dict[str, Any], text: str) -> None:
    assert reach(measured("x", unit="ms", **arguments)) == text


PROVEN: list[tuple[bool, dict[str, Any], str]] = [
    (True, {"value": 1847.3, "at_most": 2500, "interval": (1602.0, 2183.0)}, "proven: excludes above 2183 ms"),
    (True, {"value": 12, "above": 10, "interval": (11, 13)}, "proven: excludes below 11 ms"),
    (True, {"value": 0, "at_most": 0, "n": 60}, "proven: excludes a rate above 0.049"),
    (True, {"value": 3, "at_most": 5}, "proven"),
    (False, {"value": 2400, "at_most": 2500, "interval": (2100, 2700)}, "point estimate: up to 2700 ms not excluded"),
    (False, {"value": 12, "at_least": 11, "interval": (10, 13)}, "point estimate: down to 10 ms not excluded"),
    (False, {"value": 3, "at_most": 5}, "point estimate"),
    (False, {"value": None, "at_most": 5}, ""),
]


@pytest.mark.parametrize(("proven", "arguments", "text"), PROVEN, ids=[text for _, _, text in PROVEN])
def test_where_the_value_decides_it_is_told_whether_the_sample_proves_it(
    proven: bool, arguments: dict[str, Any], text: str
) -> None:
    m = replace(measured("p95", unit="ms", **arguments), proven=proven)

    assert reach(m) == text
    assert [code for code, _, _ in judge(m)] == ([Code.NO_DATA] if m.value is None else [])


@pytest.mark.parametrize("proven", [True, False])
def test_a_value_that_decides_is_over_its_limit_whatever_is_proven(proven: bool) -> None:
    m = replace(measured("p95", 2600, unit="ms", at_most=2500, interval=(2400, 2700)), proven=proven)

    assert [code for code, _, _ in judge(m)] == [Code.OVER_LIMIT]


DOUBTED = [
    measured("p95", 1800, unit="ms", at_most=2500),
    measured("p95", 2600, unit="ms", at_most=2500),
    measured("p95", 2401, unit="ms", at_most=2500, interval=(2300, 2600)),
    replace(measured("p95", 2400, unit="ms", at_most=2500), baseline=Baseline(1800, "ms")),
    replace(measured("p95", 2399, unit="ms", at_most=2500), baseline=Baseline()),
]


@pytest.mark.parametrize("m", DOUBTED, ids=describe)
def test_a_doubted_value_decides_nothing_in_either_direction(m: Measurement) -> None:
    doubted = replace(m, doubt="the load generator was late by 40 ms")

    assert list(judge(doubted)) == [
        (Code.DOUBT, State.INCONCLUSIVE, f"{describe(m)}, but the load generator was late by 40 ms")
    ]


def test_a_doubted_sample_proves_nothing() -> None:
    m = measured("p95", 1800, unit="ms", at_most=2500, interval=(1700, 1900))

    assert reach(replace(m, proven=True, doubt="late")) == reach(replace(m, doubt="late")) == "in doubt"


def test_doubt_hides_neither_a_missing_number_nor_a_missing_limit() -> None:
    found = [judge(replace(number, doubt="late")) for number in (no_evidence("x", "gone"), Measurement("x", 1, "ms"))]

    assert [[code for code, _, _ in reasons] for reasons in found] == [[Code.NO_DATA], [Code.NO_LIMIT]]


def test_samples_become_exact_numbers_in_order_of_time() -> None:
    samples = Samples.of(np.array([0.2, 0.1]), [np.float32(2.5), None], [0, Fraction(1, 2)])

    assert samples == Samples((0.1, 0.2), (None, 2.5), (0.5, 0.0))
    assert {type(number) for number in (*samples.at, *samples.late)} == {float}


@pytest.mark.parametrize("n", [0, 1, 9_999, 10_000, 10_001, 25_000])
def test_samples_are_thinned_evenly(n: int) -> None:
    at = Samples.of(range(n), [None] * n, [0] * n).at
    steps = {after - before for before, after in pairwise(at)}

    assert len(at) == min(n, 10_000)
    assert steps <= ({1.0} if n <= 10_000 else {float(n // 10_000), float(n // 10_000 + 1)})


@pytest.mark.parametrize(
    "columns",
    [
        ([0], [1, 2], [0]),
        ([0, 1], [1, 2], [0]),
        ([], [1], [0]),
        ([math.nan], [1], [0]),
        ([0], [math.inf], [0]),
        ([0], [1], [-math.inf]),
    ],
    ids=str,
)
def test_samples_of_different_lengths_or_without_a_number_are_refused(columns: tuple[list[float], ...]) -> None:
    with pytest.raises(ValueError, match=r"not finite|values and"):
        Samples.of(*columns)


def test_a_check_without_evidence_blocks_with_its_cause() -> None:
    [(code, state, text)] = judge(no_evidence("ruff", "ruff is not installed"))

    assert (code, state, text) == (Code.NO_DATA, State.NO_EVIDENCE, "ruff: no data: ruff is not installed")


@pytest.mark.parametrize(("n", "percent"), [(60, "4.9"), (300, "1.0"), (3000, "0.1")])
def test_clean_trials_show_no_more_than_their_number_allows(n: int, percent: str) -> None:
    assert f"{100 * zero_event_bound(n):.1f}" == percent


@quick
@given(st.integers(1, 5000))
def test_the_zero_event_bound_is_the_rate_at_which_no_event_has_five_percent(n: int) -> None:
    assert (1 - zero_event_bound(n)) ** n == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize("n", [0, -1])
def test_no_trial_excludes_no_rate(n: int) -> None:
    assert zero_event_bound(n) == 1.0


CHANCE = 1 - Fraction(0.95)


def is_shown(n: int, rate: float) -> bool:
    """Whether n trials without an event show at most this rate: exact arithmetic, no logarithm."""
    return (1 - Fraction(rate)) ** n <= CHANCE


@quick
@given(st.floats(0.01, 0.99))
def test_the_trials_to_exclude_a_rate_are_the_fewest_that_do(rate: float) -> None:
    n = trials_to_exclude(rate)

    assert is_shown(n, rate)
    assert n == 1 or not is_shown(n - 1, rate)


@quick
@given(st.floats(0.01, 0.99))
def test_the_samples_to_bound_a_quantile_are_the_fewest_that_do(quantile: float) -> None:
    n = trials_to_bound_quantile(quantile)

    assert Fraction(quantile) ** n <= CHANCE
    assert n == 1 or Fraction(quantile) ** (n - 1) > CHANCE


def test_a_p95_needs_59_samples_and_one_percent_needs_299_trials() -> None:
    assert trials_to_bound_quantile(0.95) == 59
    assert trials_to_exclude(0.01) == 299


def test_a_near_miss_shows_the_digits_that_decide_it() -> None:
    m = measured("p95", 2500.0001, unit="ms", at_most=2500)

    assert [text for _, _, text in judge(m)] == ["p95 2500.0001 ms > 2500 ms"]


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
@quick
@given(n=st.integers(1, 400))
def test_the_interval_of_a_quantile_is_the_narrowest_of_order_statistics(quantile: float, n: int) -> None:
    """By scipy's binomial: each end misses with at most 2.5 %, and the next rank inwards with more."""
    value, low, high = quantile_interval(range(1, n + 1), quantile)
    assert value == max(math.ceil(quantile * n - 1e-9), 1)
    assert low == 1 or stats.binom.cdf(low - 1, n, quantile) <= 0.025
    assert low == value or stats.binom.cdf(low, n, quantile) > 0.025
    if high is None:
        assert stats.binom.cdf(n - 1, n, quantile) < 0.975
    else:
        assert stats.binom.cdf(high - 1, n, quantile) >= 0.975
        assert high == value or stats.binom.cdf(high - 2, n, quantile) < 0.975


def test_no_sample_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="no sample"):
        quantile_interval([], 0.95)
