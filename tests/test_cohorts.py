"""Requests are counted apart by what a flag in a rollout told their users, exactly, and only where there is one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_house import House, created

from pytest_artisan.ensemble.ensemble import Ensemble
from pytest_artisan.gates.briefing.rig import BRIEF, ManualClock, Members, Say, told_settings
from pytest_artisan.loopback import served
from pytest_artisan.release.flags import FeatureFlagManager
from pytest_artisan.release.flags.states import State
from pytest_artisan.service.cohorts import SECONDS
from pytest_artisan.service.metrics import ROUTE_SECONDS

FLAG = "new_moga_optimizer"
HALF, ALL = State(False, 5_000), State(False, 10_000)
SIDES = ("true", "false")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    house.decide = lambda flag, user: flag not in house.off or bool(user and user.startswith("on"))
    yield house
    house.store.close()


def cohorts(house: House) -> dict[str, float]:
    """All samples of cohorts, by name, flag and side, without those that are still 0, and without the histogram's."""
    return {
        f"{sample.name.removeprefix('artisan_cohort_')} {sample.labels['flag']} {sample.labels['on']}": sample.value
        for family in house.metrics.registry.collect()
        for sample in family.samples
        if sample.name.startswith("artisan_cohort_") and "le" not in sample.labels and sample.value
        if sample.name != "artisan_cohort_duration_seconds_sum"
    }


async def wish(client: httpx2.AsyncClient, user: str | None, text: str = "woody") -> int:
    headers = {} if user is None else {"X-User": user}
    return (await client.post("/dna/create", json={"wish": text}, headers=headers)).status_code


async def rated(client: httpx2.AsyncClient, user: str, rating: float) -> None:
    headers, dna = {"X-User": user}, await created(client)
    options = (await client.post("/evolve/options", json={"dna": dna["id"]}, headers=headers)).json()
    said = {"experiment": options["experiment"], "chosen": options["options"][0]["id"], "rating": rating}
    assert (await client.post("/evolve/feedback", json=said, headers=headers)).status_code == 200


def test_each_request_counts_for_what_its_user_was_told(house: House) -> None:
    house.rollouts = {FLAG: HALF}

    async def calls(client: httpx2.AsyncClient) -> None:
        for number, user in enumerate([*["on-1"] * 5, *["off-1"] * 3]):
            assert await wish(client, user, "broken" if number in (0, 7) else "woody") == (
                500 if number % 7 == 0 else 200
            )
        # Nobody in particular is in no cohort, who asks nothing neither, and a client's fault is no error.
        assert await wish(client, None) == 200
        assert await wish(client, "on-1", " ") == 422
        await client.get("/health", headers={"X-User": "on-1"})

    house.ask(calls)
    assert cohorts(house) == {
        f"requests_total {FLAG} true": 6,
        f"requests_total {FLAG} false": 3,
        f"errors_total {FLAG} true": 1,
        f"errors_total {FLAG} false": 1,
        f"duration_seconds_count {FLAG} true": 6,
        f"duration_seconds_count {FLAG} false": 3,
    }


def test_ratings_count_for_their_users_whatever_the_request_asks(house: House) -> None:
    house.rollouts = {"advanced_rlhf": HALF}

    async def calls(client: httpx2.AsyncClient) -> None:
        for user, rating in (("on-1", 5), ("on-2", 2.5), ("off-1", 1)):
            await rated(client, user, rating)

    house.ask(calls)
    found = cohorts(house)
    assert {name: value for name, value in found.items() if name.startswith("rating")} == {
        "rating_count advanced_rlhf true": 2,
        "rating_sum advanced_rlhf true": 7.5,
        "rating_count advanced_rlhf false": 1,
        "rating_sum advanced_rlhf false": 1,
    }
    # Options ask that flag; feedback does not.
    assert (found["requests_total advanced_rlhf true"], found["requests_total advanced_rlhf false"]) == (2, 1)


@pytest.mark.parametrize(
    ("rollouts", "expected"),
    [({FLAG: ALL}, {"true": 2.0, "false": 1.0}), ({"another": HALF}, {})],
    ids=["to everybody", "of a flag nobody asks"],
)
def test_which_flags_count(house: House, rollouts: dict[str, State], expected: dict[str, float]) -> None:
    house.rollouts = rollouts
    house.decide = lambda flag, user: user != "off-1"

    async def calls(client: httpx2.AsyncClient) -> None:
        for user in ("on-1", "off-1", None):
            await wish(client, user)

    house.ask(calls)
    found = {on: house.value("artisan_cohort_requests_total", flag=FLAG, on=on) for on in SIDES}
    assert {on: value for on, value in found.items() if value is not None} == expected


def test_both_cohorts_are_there_with_0_before_anybody_asks(house: House) -> None:
    texts = []

    async def calls(client: httpx2.AsyncClient) -> None:
        texts.append((await client.get("/metrics")).text)
        house.rollouts = {FLAG: HALF}
        texts.append((await client.get("/metrics")).text)

    house.ask(calls)
    assert "artisan_cohort_requests_total{" not in texts[0]
    series = Counter(line.rpartition(" ")[2] for line in texts[1].splitlines() if line.startswith("artisan_cohort_"))
    # Per side four counts and sums, and the histogram's bounds, +Inf, count and sum.
    assert series == {"0.0": 2 * (5 + len(SECONDS) + 3)}


def test_a_schema_failure_counts_for_the_request_it_happens_to(house: House) -> None:
    house.rollouts = {FLAG: HALF}
    members, fenced = Members(), Say(content=f"```json\n{BRIEF}\n```".replace("'", '"'))

    async def calls(client: httpx2.AsyncClient) -> None:
        assert await wish(client, "off-1", "a wish that is read at once") == 200
        members.scripts["primary"].append(fenced)
        # Beside each other: the first one's answer is kept for both.
        await asyncio.gather(wish(client, "on-1", "a second wish"), wish(client, "on-2", "a second wish"))
        assert await wish(client, "off-2", "a third one") == 200

    with served(members) as url:
        house.answering = Ensemble(told_settings(url), clock=ManualClock(), observer=house.observer)
        house.app = house.made()
        house.ask(calls)
    failures = {on: house.value("artisan_cohort_schema_failures_total", flag=FLAG, on=on) for on in SIDES}
    assert failures == {"true": 1, "false": 0}
    assert house.value("artisan_brief_schema_failures_total", member="primary") == 1


def test_rollouts_are_those_of_the_store_as_soon_as_it_is_looked_at(tmp_path: Path) -> None:
    now = [0.0]
    reader = FeatureFlagManager("dev", tmp_path, ticks=lambda: now[0])
    writer = FeatureFlagManager("dev", tmp_path)
    assert reader.rollouts() == {}
    for percentage, expected in ((50, {FLAG: HALF}), (100, {FLAG: ALL}), (0, {})):
        before = reader.rollouts()
        writer.set_rollout_percentage(FLAG, percentage, why="a trial", who="anna")
        assert reader.rollouts() == before
        now[0] += 1
        assert reader.rollouts() == expected
    writer.set_rollout_percentage(FLAG, 50, why="a trial", who="anna")
    now[0] += 1
    assert reader.rollouts() == {FLAG: HALF}
    # What it would count is by what the flags were, and nobody knows what they are.
    writer.store.path.rename(tmp_path / "away")
    now[0] += 1
    assert reader.rollouts() == {}
    assert reader.is_enabled(FLAG, "anna") == writer.is_enabled(FLAG, "anna")
    (tmp_path / "away").rename(writer.store.path)
    writer.enable_flag(FLAG, why="for all", who="anna")
    now[0] += 1
    assert reader.rollouts() == {}


@given(st.floats(0.005, 16))
def test_what_is_1_2_times_slower_can_be_told(p95: float) -> None:
    for bounds, step in ((SECONDS, 1.11), (ROUTE_SECONDS, 1.22)):
        assert min(bound for bound in bounds if bound >= 1.2 * p95) < 1.2 * p95 * step
