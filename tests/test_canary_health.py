"""The judge of a deployment: what it rules on what was seen, in which words, and what it refuses to judge."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_artisan.release.canary.settings import canary_of
from pytest_artisan.release.health import Block, Health, Limits, Opinion, Ruling
from pytest_artisan.settings import SettingsError, convert
from pytest_artisan.verdict.evidence import NoEvidence

UNRATED = Limits(min_ratings=0)
SLOWER = "requests slower than 1.2 x the baseline's p95"


def seen(limits: Limits, *blocks: Block) -> Opinion:
    health = Health(limits)
    for block in blocks:
        health = health.after(block)
    return health.opinion()


def clean(n: int) -> Block:
    return Block(requests=n, timed=n, ratings=n // 10, rating_sum=4 * (n // 10))


RULINGS: list[tuple[str, Limits, list[Block], Ruling, list[str]]] = [
    (
        "nothing",
        Limits(),
        [],
        Ruling.HOLD,
        [
            "errors: 0 clean requests, 178 are needed",
            f"{SLOWER}: 0 clean requests, 35 are needed",
            "ratings: 0, 10 are needed",
        ],
    ),
    ("177 clean requests", UNRATED, [clean(1)] * 177, Ruling.HOLD, ["errors: 177 clean requests, 178 are needed"]),
    (
        "178 clean requests",
        UNRATED,
        [clean(1)] * 178,
        Ruling.HEALTHY,
        [
            "errors 0 % < 1 %, shown under 2 % at 95 %, n=178",
            f"{SLOWER} 0 % < 5 %, shown under 10 % at 95 %, n=178",
            "ratings: none, none are needed",
        ],
    ),
    ("nobody rated", Limits(), [Block(requests=500, timed=500)], Ruling.HOLD, ["ratings: 0, 10 are needed"]),
    ("not timed", UNRATED, [Block(requests=500)], Ruling.HOLD, [f"{SLOWER}: 0 clean requests, 35 are needed"]),
    (
        "rated and well",
        Limits(),
        [clean(200)],
        Ruling.HEALTHY,
        [
            "errors 0 % < 1 %, shown under 2 % at 95 %, n=200",
            f"{SLOWER} 0 % < 5 %, shown under 10 % at 95 %, n=200",
            "mean rating 4.00 >= 3, n=20",
        ],
    ),
    (
        "rated just under",
        Limits(),
        [Block(requests=200, timed=200, ratings=50, rating_sum=149)],
        Ruling.HOLD,
        ["mean rating 2.98 < 3, n=50"],
    ),
    (
        "errors too few to be too many, and too many to be few",
        UNRATED,
        [Block(requests=1000, errors=12, timed=1000, slow=60)],
        Ruling.HOLD,
        ["errors 1.2 %, not under 1 %, n=1000", f"{SLOWER} 6 %, not under 5 %, n=1000"],
    ),
    (
        "few errors, few requests",
        UNRATED,
        [Block(requests=250, errors=2, timed=250)],
        Ruling.HOLD,
        ["errors 0.8 % < 1 %, not yet shown under 2 % at 95 %, n=250"],
    ),
    (
        "one broken answer",
        UNRATED,
        [clean(1000), Block(requests=1, schema_failures=1)],
        Ruling.ROLL_BACK,
        ["schema failures: 1, none is allowed"],
    ),
    (
        "errors",
        UNRATED,
        [Block(requests=10, errors=1, timed=10)] * 9,
        Ruling.ROLL_BACK,
        ["errors 10 % > 2 %, n=90; shown at 1 %"],
    ),
    ("slow", UNRATED, [Block(timed=4, slow=1)] * 10, Ruling.ROLL_BACK, [f"{SLOWER} 25 % > 5 %, n=40; shown at 1 %"]),
    (
        "rated badly",
        Limits(),
        [Block(ratings=1, rating_sum=1.5)] * 16,
        Ruling.ROLL_BACK,
        ["mean rating 1.50 < 3, n=16; shown at 1 %"],
    ),
    (
        "an outage after a long time",
        UNRATED,
        [clean(100)] * 100 + [Block(requests=20, errors=20)] * 8,
        Ruling.ROLL_BACK,
        ["errors 1.57 % in all, over 2 % of late, n=10160; shown at 1 %"],
    ),
    (
        "an outage as the stage ends",
        UNRATED,
        [clean(1000), Block(requests=4, errors=4, timed=4, slow=4)],
        Ruling.HOLD,
        [
            "errors 0.398 % in all, but 2.25 % of late, not under 1 %, n=1004",
            f"{SLOWER} 0.398 % in all, but 5.71 % of late, not under 5 %, n=1004",
        ],
    ),
    (
        "bad ratings as the stage ends",
        Limits(),
        [clean(1000), Block(ratings=3, rating_sum=3)],
        Ruling.HOLD,
        ["mean rating 3.91, but 2.50 of late, not 3, n=103"],
    ),
    (
        "an outage that is over",
        UNRATED,
        [clean(1000), Block(requests=4, errors=4), *[clean(89)] * 4],
        Ruling.HEALTHY,
        [
            "errors 0.294 % < 1 %, shown under 2 % at 95 %, n=1360",
            f"{SLOWER} 0 % < 5 %, shown under 10 % at 95 %, n=1356",
            "mean rating 4.00 >= 3, n=132",
        ],
    ),
    (
        "ratings that fall after a long time",
        Limits(),
        [clean(100)] * 20 + [Block(ratings=20, rating_sum=20)] * 9,
        Ruling.ROLL_BACK,
        ["mean rating 2.58 < 3, n=380; shown at 1 %"],
    ),
]


@pytest.mark.parametrize(
    ("limits", "blocks", "ruling", "reasons"), [c[1:] for c in RULINGS], ids=[c[0] for c in RULINGS]
)
def test_what_is_ruled_and_why(limits: Limits, blocks: list[Block], ruling: Ruling, reasons: list[str]) -> None:
    assert seen(limits, *blocks) == Opinion(ruling, tuple(reasons))


def test_all_that_is_bad_is_named() -> None:
    bad = Block(requests=40, errors=40, timed=40, slow=40, ratings=40, rating_sum=40, schema_failures=2)
    reasons = seen(Limits(), bad, bad, bad).reasons
    assert [reason.split(" ")[0] for reason in reasons] == ["schema", "errors", "requests", "mean"]


@pytest.mark.parametrize(
    ("limits", "ruling"),
    [
        ({}, Ruling.ROLL_BACK),
        ({"errors_pct": 12, "healthy_errors_pct": 10}, Ruling.HOLD),
        ({"error_rate": 1e-12}, Ruling.HOLD),
    ],
)
def test_the_policy_says_what_is_too_much_and_how_sure_it_has_to_be(limits: dict[str, Any], ruling: Ruling) -> None:
    assert seen(convert(limits, Limits, "pyproject.toml"), *[Block(requests=10, errors=1)] * 15).ruling is ruling


def test_what_was_shown_once_stays_shown() -> None:
    health = Health(UNRATED)
    for _ in range(20):
        health = health.after(Block(requests=10, errors=1))
    assert health.opinion().ruling is Ruling.ROLL_BACK
    for _ in range(200):
        health = health.after(clean(100))
    assert health.opinion().ruling is Ruling.ROLL_BACK


counts = st.integers(0, 300)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    requests, timed, ratings = draw(counts), draw(counts), draw(counts)
    return Block(
        requests=requests,
        errors=draw(st.integers(0, requests)),
        timed=timed,
        slow=draw(st.integers(0, timed)),
        ratings=ratings,
        rating_sum=draw(st.floats(ratings, 5 * ratings)),
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(before=st.lists(blocks(), max_size=8), then=blocks())
def test_json_holds_it_exactly_and_it_does_not_grow(before: list[Block], then: Block) -> None:
    health = Health()
    for block in before:
        health = health.after(block)
    data = msgspec.json.encode(health)
    read = msgspec.json.decode(data, type=Health)
    assert read == health
    assert read.after(then) == health.after(then)
    assert all(health.opinion().reasons)
    assert len(data) < 1500


def test_an_empty_block_changes_nothing() -> None:
    health = Health().after(clean(30))
    assert health.after(Block()) == health


IMPOSSIBLE: list[dict[str, Any]] = [
    {"requests": -1},
    {"requests": 1, "errors": 2},
    {"errors": 1},
    {"requests": 2, "errors": -1},
    {"timed": 3, "slow": 4},
    {"timed": -3, "slow": -4},
    {"requests": math.nan},
    {"requests": math.inf},
    {"requests": 2.5},
    {"schema_failures": -1},
    {"ratings": -1, "rating_sum": -3},
    {"ratings": 2, "rating_sum": 1.9},
    {"ratings": 2, "rating_sum": 10.1},
    {"ratings": 2, "rating_sum": math.nan},
    {"ratings": 0, "rating_sum": 3},
]


@pytest.mark.parametrize("numbers", IMPOSSIBLE, ids=str)
def test_a_block_that_can_not_be_is_no_evidence(numbers: dict[str, Any]) -> None:
    with pytest.raises(NoEvidence, match=r"^Block\("):
        Health().after(Block(**numbers))


def test_a_sum_of_ratings_may_be_off_by_a_rounding() -> None:
    health = Health().after(Block(ratings=3, rating_sum=15.000000001)).after(Block(ratings=3, rating_sum=2.999999999))
    assert health.discontent.hits == 3


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"min_ratings": -1}, "min_ratings: expected int >= 0"),
        ({"errors_pct": 0}, "errors_pct: expected float > 0"),
        ({"minratings": 3}, "nearest is 'min_ratings'"),
    ],
)
def test_impossible_limits_are_refused(limits: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        canary_of({"canary": {"limits": limits}}, "pyproject.toml")


def test_more_errors_than_are_allowed_can_not_be_healthy() -> None:
    with pytest.raises(SettingsError, match="healthy_errors_pct: 3 is more than errors_pct, 2"):
        convert({"healthy_errors_pct": 3}, Limits, "pyproject.toml [tool.artisan.canary.limits]")


def test_as_many_ratings_are_asked_for_as_can_show_that_they_are_bad() -> None:
    worst = [Block(ratings=1, rating_sum=1)] * Limits().min_ratings
    assert seen(Limits(), *worst).ruling is Ruling.ROLL_BACK
    assert seen(Limits(), *worst[1:]).ruling is Ruling.HOLD
