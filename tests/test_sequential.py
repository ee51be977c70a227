"""The bets against a limit: against an oracle of 60 digits, by what makes them fair, and by their goals in small."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, getcontext
from functools import partial
from itertools import accumulate, islice, product

import numpy as np
import pytest
from canary import ERRORS, NEVER, Judges, Stream, breaches, bursts, crossings, independent, proven, rare, slowed
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_artisan.verdict.sequential import (
    BELOW,
    LEAST,
    POOL,
    POOLED,
    SINGLE,
    Excess,
    Laid,
    evidence_below,
    gain,
    shows_below,
    trials_to_show_below,
)

getcontext().prec = 60
quick = settings(max_examples=25, deadline=None, derandomize=True)
limits = st.sampled_from([0.001, 0.02, 0.05, 0.3, 0.5])
histories = st.lists(st.tuples(st.integers(1, 45), st.floats(0, 1)), max_size=12)


def exact_gains(limit: float, laid: Laid) -> list[tuple[Decimal, Decimal]]:
    """What a hit and a miss multiply by, from the alternatives as shares."""
    bound = Decimal(limit)
    alternatives = [1 / (1 + (1 - bound) / bound / Decimal(odds)) for odds, _ in laid]
    return [(share / bound, (1 - share) / (1 - bound)) for share in alternatives]


def exact_worth(means: list[Decimal], limit: float, laid: Laid) -> Decimal:
    """By the definition: what was laid at each look, times all that came after it, and what was never laid."""
    kept = [Decimal(1), *(Decimal("0.5") / (9 + look) for look in range(1, len(means) + 1))]
    total = Decimal(0)
    for (hit, miss), (_, share) in zip(exact_gains(limit, laid), laid, strict=True):
        worth, product = kept[-1], Decimal(1)
        for look in reversed(range(len(means))):
            product *= (1 - means[look]) * miss + means[look] * hit
            worth += (kept[look] - kept[look + 1]) * product
        total += Decimal(share) * worth
    return total


def counted(hits: list[bool], limit: float) -> list[Decimal]:
    """The trials that follow neither two hits in a row nor three among the last few."""
    near = round(0.18 / limit)
    free = [n for n in range(len(hits)) if sum(hits[max(n - 2, 0) : n]) < 2 and sum(hits[max(n - near, 0) : n]) < 3]
    return [Decimal(hits[n]) for n in free]


def one_by_one(hits: list[bool], limit: float) -> Excess:
    excess = Excess()
    for hit in hits:
        excess = excess.after(1, hit, limit)
    return excess


def worth(excess: Excess, limit: float) -> float:
    """All bets as they stand, a pool that is not full counted as if the rest of it came out at the limit."""
    mean = (excess.pool_hits + (POOL - excess.pool_n) * limit) / POOL
    gains = tuple((1 - mean) * miss + mean * hit for hit, miss in (gain(limit, odds) for odds, _ in POOLED))
    return excess.single.worth(SINGLE) + excess.pooled.after(gains).worth(POOLED)


def some_state(history: list[tuple[int, float]], limit: float, whole: bool) -> Excess:
    excess = Excess()
    for n, part in history:
        excess = excess.after(n, round(n * part) if whole else n * part, limit, bursts=whole)
    return excess


@pytest.mark.parametrize(
    ("limit", "share", "n"),
    [
        *product([0.02], [0.02, 0.1], [1, 19, 20, 337, 6000]),
        *product([0.05], [0.2], [337]),
        *product([0.5], [0.6], [20, 6000]),
        *product([0.001], [0.3], [19, 337]),
    ],
)
def test_the_worth_is_that_of_sixty_digits(limit: float, share: float, n: int) -> None:
    hits = (np.random.default_rng(n).random(n) < share).tolist()
    # What has become more than a float holds has been decided long before.
    while worth(one_by_one(hits, limit), limit) > 1e290:
        hits = hits[: len(hits) // 2]
    padded = [*map(Decimal, hits), *[Decimal(limit)] * (-len(hits) % POOL)]
    pools = [sum(padded[start : start + POOL], Decimal(0)) / POOL for start in range(0, len(padded), POOL)]
    exact = exact_worth(counted(hits, limit), limit, SINGLE) + exact_worth(pools, limit, POOLED)
    assert abs(Decimal(worth(one_by_one(hits, limit), limit)) / exact - 1) < Decimal("1e-9")


@quick
@given(limit=limits, n=st.integers(0, 6000), part=st.floats(0, 1))
def test_the_proof_of_health_is_that_of_sixty_digits(limit: float, n: int, part: float) -> None:
    hits = round(n * part * limit)
    gains = zip(exact_gains(limit, BELOW), BELOW, strict=True)
    exact = sum(Decimal(share) * hit**hits * miss ** (n - hits) for (hit, miss), (_, share) in gains)
    most = Decimal("1e290")
    assert float(min(Decimal(evidence_below(hits, n, limit)), most)) == pytest.approx(float(min(exact, most)), rel=1e-9)


def test_all_that_is_laid_is_one() -> None:
    assert sum(share for _, share in (*SINGLE, *POOLED)) == pytest.approx(1, abs=1e-15)
    assert sum(share for _, share in BELOW) == pytest.approx(1, abs=1e-15)
    assert worth(Excess(), 0.02) == pytest.approx(1, abs=1e-15)


@quick
@given(limit=limits, history=histories, n=st.integers(1, 30), below=st.floats(0, 1))
def test_no_block_of_independent_trials_makes_money_while_the_limit_holds(
    limit: float, history: list[tuple[int, float]], n: int, below: float
) -> None:
    now = some_state(history, limit, whole=True)
    then = np.array([worth(now.after(n, hits, limit), limit) for hits in range(n + 1)])
    if worth(now, limit) < 1e250:
        for share in (limit, limit * below):
            assert stats.binom.pmf(range(n + 1), n, share) @ then <= worth(now, limit) * (1 + 1e-9)


@quick
@given(limit=limits, history=histories, n=st.integers(1, 30), low=st.floats(0, 1), high=st.floats(0, 1))
def test_no_partial_hits_make_money_while_their_mean_keeps_the_limit(
    limit: float, history: list[tuple[int, float]], n: int, low: float, high: float
) -> None:
    # Each trial has one of two values, with the limit as their mean.
    low, high = low * limit, limit + (1 - limit) * high
    chance = (limit - low) / (high - low) if high > low else 0.0
    now = some_state(history, limit, whole=False)
    sums = [high * k + low * (n - k) for k in range(n + 1)]
    then = np.array([worth(now.after(n, min(total, n), limit, bursts=False), limit) for total in sums])
    if worth(now, limit) < 1e250:
        assert stats.binom.pmf(range(n + 1), n, chance) @ then <= worth(now, limit) * (1 + 1e-9)


@quick
@given(limit=limits, n=st.integers(0, 2000), part=st.floats(0, 1), above=st.floats(0, 1))
def test_no_trial_makes_health_look_proven_while_the_limit_is_broken(
    limit: float, n: int, part: float, above: float
) -> None:
    hits, share = round(n * part), limit + above * (1 - limit)
    mean = share * evidence_below(hits + 1, n + 1, limit) + (1 - share) * evidence_below(hits, n + 1, limit)
    assert mean <= evidence_below(hits, n, limit) * (1 + 1e-9)


@pytest.mark.parametrize(("limit", "needed"), [(0.02, 178), (0.1, 35), (0.001, 3572)])
def test_so_many_clean_trials_show_a_limit(limit: float, needed: int) -> None:
    assert trials_to_show_below(limit) == needed
    assert shows_below(0, needed, limit)
    assert not shows_below(0, needed - 1, limit)


@pytest.mark.parametrize("n", [1, 2, 5, 15, 20, 39, 40, 100, 10_000, 10**7])
@pytest.mark.parametrize("before", [0, 50, 1000])
def test_no_burst_within_a_block_is_over_a_limit_and_more_than_bursts_are(n: int, before: int) -> None:
    clean = Excess()
    for _ in range(before):
        clean = clean.after(n, 0, 0.02)
    # By itself, and again and again where it is no more than half the limit, it is a burst.
    assert clean.after(n, min(n, POOL), 0.02).strongest < 100
    bursts = clean
    for _ in range(50):
        bursts = bursts.after(max(n, 2000), POOL, 0.02)
    assert bursts.strongest < 100
    broken = clean
    for _ in range(1 if n >= 10_000 else 1 + max(160 // n, 6)):
        broken = broken.after(n, n, 0.02)
    assert broken.strongest >= 100


@pytest.mark.parametrize("start", range(POOL))
def test_no_burst_of_twenty_by_itself_is_over_a_limit(start: int) -> None:
    assert one_by_one([False] * start + [True] * 20 + [False] * 40, 0.02).strongest < 100


def test_nothing_grows_past_what_json_can_hold() -> None:
    excess = Excess()
    for _ in range(500):
        excess = excess.after(10**6, 10**6, 0.001, bursts=False)
    assert excess.strongest < float("inf")
    assert max(*excess.single.money, *excess.pooled.money) < float("inf")


@pytest.mark.parametrize("limit", [0.02, 0.05])
@pytest.mark.parametrize(
    "make", [partial(independent, 0.03), partial(independent, 0.3), partial(bursts, 0.02, (1, 20), 0.8)]
)
def test_the_benchmark_bets_as_the_judge_does(make: Callable[[np.random.Generator, int], Stream], limit: float) -> None:
    stream = make(np.random.default_rng(5), 6)
    looks = [next(stream) for _ in range(300)]
    judges = Judges(6, limit)
    many = np.array([judges.after(look) for look in looks])
    found = breaches(iter(looks), 6, limit, 300)
    for column in range(6):
        hits = [look[column] for look in looks]
        states = list(accumulate(hits, lambda state, hit: state.after(1, hit, limit), initial=Excess()))[1:]
        strongest = [state.strongest for state in states]
        assert np.minimum(many[:, column], 1e250) == pytest.approx(np.minimum(strongest, 1e250), rel=1e-11)
        worths = [worth(state, limit) for state in states if state.hits >= LEAST]
        assert max([1.0, *worths]) == pytest.approx(strongest[-1], rel=1e-11)
        over = [n for n, strong in enumerate(strongest, 1) if strong >= 100]
        assert found[column] == (over[0] if over else NEVER)


def test_the_benchmarks_window_and_proof_are_those_of_a_list() -> None:
    looks = list(islice(independent(0.012, np.random.default_rng(3), 20), 900))
    windows, proofs = crossings(iter(looks), 20, 0.02, 900), proven(iter(looks), 20, 900)
    for column in range(20):
        hits = [bool(look[column]) for look in looks]
        over = [n for n in range(1, 901) if sum(hits[max(n - 100, 0) : n]) > 2]
        counts = [0, *accumulate(hits)]
        shown = [
            n for n in range(1, 901) if shows_below(counts[n], n, 0.02) and counts[n] < 0.01 * n > n * late(hits[:n])
        ]
        assert windows[column] == (over[0] if over else NEVER)
        assert proofs[column] == (shown[0] if shown else NEVER)


def late(hits: list[bool], least: int = 178) -> float:
    """By the definition: parts of so many; what the last one lacks is as those of the part before it."""
    parts = [hits[start : start + least] for start in range(0, len(hits), least)]
    before, newest = (parts[-2] if len(parts) > 1 else []), parts[-1]
    return (sum(newest) + sum(before) * (1 - len(newest) / least)) / min(len(hits), least)


@quick
@given(before=histories, n=st.integers(1, 400), part=st.floats(0, 1), limit=limits)
def test_what_came_last_is_never_thinned_by_more_than_shows_a_limit(
    before: list[tuple[int, float]], n: int, part: float, limit: float
) -> None:
    hits, state = round(n * part), some_state(before, limit, whole=True).after(n, round(n * part), limit)
    assert hits / (n + trials_to_show_below(limit)) <= state.share_of_late(limit) <= 1


@pytest.mark.parametrize("share", [0.01, 0.02])
@pytest.mark.parametrize("lengths", [(2, 2), (20, 20), (1, 20)])
def test_the_benchmarks_bursts_have_the_mean_that_they_name(lengths: tuple[int, int], share: float) -> None:
    stream = bursts(share, lengths, 1.0, np.random.default_rng(1), 2000)
    assert np.mean([next(stream) for _ in range(1000)]) == pytest.approx(share, rel=0.05)


INNOCENT: dict[str, tuple[Callable[[np.random.Generator, int], Stream], float, float]] = {
    "the limit": (partial(independent, 0.02), 0.02, 0.012),
    "half the limit": (partial(independent, 0.01), 0.02, 0.001),
    "bursts of 2": (partial(bursts, 0.01, (2, 2), 1.0), 0.02, 0.01),
    "bursts of 20": (partial(bursts, 0.01, (20, 20), 1.0), 0.02, 0.01),
    "bursts of 1 to 20": (partial(bursts, 0.01, (1, 20), 1.0), 0.02, 0.01),
    "p95 at the limit": (partial(slowed, 1.2), 0.05, 0.015),
}


@pytest.fixture(scope="module")
def sent_back() -> dict[str, float]:
    """The share of canaries that were, of each of those that keep their limit; those of one limit are judged together."""
    shares: dict[str, float] = {}
    for limit in (0.02, 0.05):
        rng, names = np.random.default_rng(20261127), [name for name, case in INNOCENT.items() if case[1] == limit]
        streams = [INNOCENT[name][0](rng, 1500) for name in names]
        found = breaches(map(np.concatenate, zip(*streams, strict=True)), 1500 * len(names), limit, 1200)
        shares |= dict(zip(names, np.mean(found.reshape(-1, 1500) < NEVER, axis=1), strict=True))
    return shares


@pytest.mark.parametrize("name", INNOCENT)
def test_what_keeps_its_limit_is_seldom_over_it(sent_back: dict[str, float], name: str) -> None:
    assert sent_back[name] <= INNOCENT[name][2]


GUILTY = [
    ("errors 10 %", independent, 0.1, 0.02, 66),
    ("errors 5 %", independent, 0.05, 0.02, 300),
    ("errors 100 %", independent, 1.0, 0.02, 40),
    ("p95 at 2 x", slowed, 2.0, 0.05, 35),
    ("p95 at 1.5 x", slowed, 1.5, 0.05, 240),
]


@pytest.mark.parametrize(("make", "share", "limit", "most"), [case[1:] for case in GUILTY], ids=[c[0] for c in GUILTY])
def test_half_of_what_breaks_its_limit_is_soon_over_it(
    make: Callable[..., Stream], share: float, limit: float, most: int
) -> None:
    stream = make(share, np.random.default_rng(20261127), 2000)
    assert np.mean(breaches(stream, 2000, limit, most) < NEVER) >= 0.5


@pytest.mark.parametrize(("before", "most"), [(100, 80), (1000, 100), (10_000, 140)])
def test_an_outage_is_found_soon_however_long_it_was_well(before: int, most: int) -> None:
    excess = Excess()
    for _ in range(before // 10):
        excess = excess.after(10, 0, 0.02)
    hits = 0
    while excess.strongest < 100:
        excess, hits = excess.after(1, 1, 0.02), hits + 1
    assert hits <= most


def test_half_the_limit_is_taken_for_too_much_less_than_once_in_ten_thousand() -> None:
    assert 1e-5 < rare(2000) < 1e-4


def test_health_is_never_shown_before_it_can_be_and_seldom_where_it_is_not() -> None:
    shown = proven(independent(0.005, np.random.default_rng(7), 1000), 1000, 1000)
    assert shown.min() == 178
    assert np.median(shown) < 340
    wrongly = proven(independent(ERRORS, np.random.default_rng(7), 2000), 2000, 1500)
    assert np.mean(wrongly < NEVER) < 0.07
