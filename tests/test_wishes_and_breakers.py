"""What a wish is, and how a breaker admits calls."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_artisan.ensemble.answers import MODES, WishError
from pytest_artisan.ensemble.breaker import FAILURES, PAUSE_S, Breaker, BreakerOpen, State, Unavailable
from pytest_artisan.ensemble.settings import Endpoint
from pytest_artisan.ensemble.wishes import LONGEST, Keys, language_of, may_be_alike, mode_of, normalised
from pytest_artisan.gates.briefing.rig import ManualClock, told_settings


@given(st.text(max_size=200))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    try:
        once = normalised(text)
    except WishError:
        return
    assert normalised(once) == once
    assert once.encode()  # nothing in it that no file could hold
    assert mode_of(once) == ("fast" if len(once) < 50 else "balanced" if len(once) <= 200 else "creative")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\t\u200b\x00\ud800", "empty"),
        ("가" * (LONGEST + 1), f"at most {LONGEST}"),
        ("\ufdfa" * 300, "has 5400"),
    ],
)
def test_a_wish_that_nobody_can_read_is_refused(text: str, reason: str) -> None:
    with pytest.raises(WishError, match=reason):
        normalised(text)


def test_the_longest_wish_is_read() -> None:
    assert LONGEST == 4_000
    assert normalised("가" * LONGEST) == "가" * LONGEST


def test_an_unknown_mode_is_refused_with_the_known_ones() -> None:
    with pytest.raises(WishError, match="no mode 'slow'; known: fast, balanced, creative"):
        mode_of("a wish", "slow")


def test_decomposed_korean_counts_as_it_is_read() -> None:
    decomposed = "\u1112\u1161\u11ab" * 49
    assert len(decomposed) == 147
    assert mode_of(normalised(decomposed)) == "fast"
    assert language_of(normalised(decomposed)) == "ko"


@pytest.mark.parametrize(
    ("text", "alike"),
    [
        ("warm wood", True),
        ("따뜻한 나무 향", True),
        ("wood without rose", False),
        ("no rose", False),
        ("장미 빼고", False),
        ("nut-free", False),
        ("rose allergy", False),
        ("under 50 dollars", False),
        ("notable and knowing", True),
        ("green leaves", True),
        ("a chateau in the north", True),
        ("차분한 나무 향, 바닷가 산책", True),
        ("I don\u2019t want rose", False),  # as a telephone writes it
        ("I can't stand rose", False),
        ("Rose isn't for me", False),
        ("w/o rose", False),
        ("anything other than rose", False),
        ("lily instead of rose", False),
        ("leave out the rose", False),
        ("nothing with rose", False),
        ("NO ROSE", False),
        ("Allergic to rose", False),
        ("장미는 넣지 마세요", False),
        ("장미는 아니고 백합", False),
        ("장미 대신 백합", False),
        ("장미가 없는 향", False),
        ("장미는 싫어요", False),
    ],
)
def test_a_wish_that_forbids_is_like_no_other(text: str, alike: bool) -> None:
    assert may_be_alike(text) == alike


def test_keys_tell_apart_what_has_another_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    members = told_settings("http://127.0.0.1:1").members
    other = {**members, "validator": Endpoint("http://127.0.0.1:1/v1", "another")}
    elsewhere = {**members, "validator": Endpoint("http://127.0.0.1:2/v1", "validator@")}
    asked = (members, other, elsewhere)
    keys = [Keys(each).of(text, mode) for each in asked for mode in MODES for text in ("rose", "woody")]
    assert len(set(keys)) == len(keys)
    assert Keys(members).of("Rose", "fast") == keys[0]
    monkeypatch.setattr("pytest_artisan.ensemble.wishes.SCHEMA_VERSION", 2)
    assert Keys(members).of("rose", "fast") not in keys


@given(st.lists(st.sampled_from(["ok", "fail", "refused", "gone", "second", "minute"]), max_size=60))
def test_a_breaker_admits_nobody_for_a_minute_after_three_failures_in_a_row(steps: list[str]) -> None:
    clock, turns = ManualClock(), list[State]()
    breaker = Breaker(clock, turns.append)
    in_a_row, last_failure = 0, -1e9
    for step in steps:
        if step in ("second", "minute"):
            clock.time += 1 if step == "second" else PAUSE_S
            continue
        error = {"fail": Unavailable("down"), "refused": ValueError("asked badly"), "gone": asyncio.CancelledError()}
        admitted = False
        try:
            with breaker.guarding():
                admitted = True
                if step in error:
                    raise error[step]
        except (Unavailable, ValueError, asyncio.CancelledError):
            pass
        assert admitted == (in_a_row < FAILURES or clock.time >= last_failure + PAUSE_S)
        if not admitted:
            continue
        if step == "fail":
            in_a_row, last_failure = in_a_row + 1, clock.time
        elif step != "gone":
            in_a_row = 0
        assert (breaker.state is State.CLOSED) == (in_a_row < FAILURES)
    assert all(a is not b for a, b in pairwise(turns))


def test_half_open_is_one_call_at_a_time_and_an_old_one_changes_nothing() -> None:
    clock, turns = ManualClock(), list[State]()
    breaker = Breaker(clock, turns.append)
    old = breaker.guarding()
    old.__enter__()
    for _ in range(FAILURES):
        with pytest.raises(Unavailable), breaker.guarding():
            raise Unavailable("down")
    old.__exit__(None, None, None)
    assert turns == [State.OPEN]
    clock.time += PAUSE_S
    with breaker.guarding(), pytest.raises(BreakerOpen), breaker.guarding():
        pass
    assert turns == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_a_trial_whose_caller_goes_away_is_followed_by_another() -> None:
    clock, turns = ManualClock(), list[State]()
    breaker = Breaker(clock, turns.append)
    for _ in range(FAILURES):
        with pytest.raises(Unavailable), breaker.guarding():
            raise Unavailable("down")
    clock.time += PAUSE_S
    with pytest.raises(asyncio.CancelledError), breaker.guarding():
        raise asyncio.CancelledError
    with breaker.guarding():
        pass
    assert turns == [State.OPEN, State.HALF_OPEN, State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_a_call_from_before_it_opened_that_fails_later_prolongs_nothing() -> None:
    clock = ManualClock()
    breaker = Breaker(clock)
    old = breaker.guarding()
    old.__enter__()
    for _ in range(FAILURES):
        with pytest.raises(Unavailable), breaker.guarding():
            raise Unavailable("down")
    clock.time += PAUSE_S - 1
    late = Unavailable("down")
    assert not old.__exit__(Unavailable, late, None)
    clock.time += 1
    with breaker.guarding():
        pass
    assert breaker.state is State.CLOSED
