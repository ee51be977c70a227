"""The service does what the feature flags say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from service_house import House, created

from pytest_artisan.ensemble.answers import Answer, Conduct, Outcome, Source
from pytest_artisan.ensemble.breaker import FAILURES
from pytest_artisan.ensemble.ensemble import Ensemble
from pytest_artisan.fragrance.evolution import HOUSE_BRIEF, evolve
from pytest_artisan.fragrance.experiments import Experiment
from pytest_artisan.fragrance.ingredients import load_catalogue
from pytest_artisan.fragrance.objectives import Objectives
from pytest_artisan.fragrance.refinement import Refinement
from pytest_artisan.gates.briefing.rig import ManualClock, Members, told_settings
from pytest_artisan.loopback import served
from pytest_artisan.release.flags import FeatureFlagManager
from pytest_artisan.service.store import DatabaseStore

LONG = "a wish of many words " * 12


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.store.close()


def answers(members: Members, conduct: Conduct, times: int = 1) -> list[Answer]:
    async def ask(url: str) -> list[Answer]:
        ensemble = Ensemble(told_settings(url), clock=ManualClock())
        try:
            return [await ensemble.answer(LONG, "creative", conduct) for _ in range(times)]
        finally:
            await ensemble.aclose()

    with served(members) as url:
        return asyncio.run(ask(url))


def test_without_the_ensemble_the_primary_member_is_alone() -> None:
    members = Members()
    [answer] = answers(members, Conduct(ensemble=False))
    assert (answer.mode, answer.source, answer.outcome) == ("fast", Source.PRIMARY, Outcome.RAW)
    assert members.tasks() == [("primary", "brief")]

    members.down("primary")
    [answer] = answers(members, Conduct(ensemble=False))
    assert answer.source is Source.DEFAULT
    assert {role for role, _ in members.tasks()} == {"primary"}


@pytest.mark.parametrize(("cache", "asked", "last"), [(True, 1, Outcome.CACHED), (False, 3, Outcome.RAW)])
def test_without_the_cache_nothing_is_kept_and_nothing_used(cache: bool, asked: int, last: Outcome) -> None:
    members = Members()
    assert answers(members, Conduct(cache=cache), 3)[-1].outcome is last
    assert members.count("primary") == asked


@pytest.mark.parametrize("breaker", [True, False])
def test_without_the_breaker_whoever_fails_is_asked_again(breaker: bool) -> None:
    members = Members()
    members.down("primary")
    answers(members, Conduct(ensemble=False, breaker=breaker), 3)
    assert (members.count("primary") == FAILURES) is breaker
    assert members.count("primary") in (FAILURES, 3 * FAILURES)


def test_the_flags_are_asked_for_the_user_of_the_request(house: House) -> None:
    house.off |= {"llm_ensemble_enabled", "circuit_breaker_enabled"}

    async def flow(client: httpx2.AsyncClient) -> None:
        for headers in ({}, {"X-User": "anna"}):
            dna = (await client.post("/dna/create", json={"wish": "woody"}, headers=headers)).json()
            await client.post("/evolve/options", json={"dna": dna["id"]}, headers=headers)
        for wrong in ("", "a b", "x" * 129):
            refused = await client.post("/dna/create", json={"wish": "woody"}, headers={"X-User": wrong})
            assert (refused.status_code, refused.json()["error"]["field"]) == (422, "header.X-User")

    house.ask(flow)
    assert house.stub.conducts == [Conduct(ensemble=False, breaker=False)] * 2
    assert {user for _, user in house.asked} == {None, "anna"}
    assert {flag for flag, user in house.asked if user == "anna"} == {
        "rl_pipeline_enabled",
        "llm_ensemble_enabled",
        "ppo_algorithm",
        "cache_enabled",
        "circuit_breaker_enabled",
        "new_moga_optimizer",
        "advanced_rlhf",
    }


@pytest.mark.parametrize(
    ("off", "asked", "made"),
    [(None, None, "PPO"), ("ppo_algorithm", None, "REINFORCE"), ("ppo_algorithm", "PPO", "PPO")],
)
def test_the_algorithm_is_the_flags_where_the_request_names_none(
    house: House, off: str | None, asked: str | None, made: str
) -> None:
    house.off |= {off} if off else set()

    async def flow(client: httpx2.AsyncClient) -> None:
        dna = await created(client)
        options = (await client.post("/evolve/options", json={"dna": dna["id"], "algorithm": asked})).json()
        said = {"experiment": options["experiment"], "chosen": options["options"][0]["id"], "rating": 4}
        learnt = (await client.post("/evolve/feedback", json={**said, "algorithm": asked})).json()
        assert (options["algorithm"], learnt["algorithm"]) == (made, made)

    house.ask(flow)


def test_without_learning_options_are_evolved_and_feedback_waits(house: House) -> None:
    house.off.add("rl_pipeline_enabled")

    async def flow(client: httpx2.AsyncClient) -> None:
        dna = await created(client)
        options = (await client.post("/evolve/options", json={"dna": dna["id"], "algorithm": "PPO"})).json()
        assert (options["algorithm"], len(options["options"])) == ("GA", 3)
        said = {"experiment": options["experiment"], "chosen": options["options"][2]["id"], "rating": 5}
        learnt = (await client.post("/evolve/feedback", json=said)).json()
        assert (learnt["algorithm"], learnt["update"]) == ("GA", None)
        assert house.value("artisan_user_rating_bucket", le="5.0") == 1
        [subject] = {options["experiment"].rpartition("-")[0]}
        assert house.store.load(subject, "PPO") is None

        # Back again, it is learnt from before anything is offered.
        house.off.remove("rl_pipeline_enabled")
        await client.post("/evolve/options", json={"dna": dna["id"]})
        checkpoint = house.store.load(subject, "PPO")
        assert checkpoint is not None
        assert checkpoint.learnt == 1

    house.ask(flow)


def test_the_new_optimizer_makes_dna_of_its_own(house: House) -> None:
    async def flow(client: httpx2.AsyncClient) -> None:
        before = await created(client)
        house.off.remove("new_moga_optimizer")
        anew = await created(client)
        assert anew["id"] != before["id"]
        assert anew["composition"] != before["composition"]
        assert await created(client) == anew
        house.off.add("new_moga_optimizer")
        assert await created(client) == before

    house.ask(flow)


def test_advanced_options_are_further_apart(tmp_path: Path) -> None:
    store = DatabaseStore(f"sqlite:///{tmp_path / 'artisan.db'}")
    dna = evolve(HOUSE_BRIEF, generations=10)[0]
    objectives, catalogue = Objectives(list(load_catalogue()), HOUSE_BRIEF), load_catalogue()

    def nearest(experiment: Experiment) -> float:
        rows = [[option.composition.get(item.cas, 0.0) for item in catalogue] for option in experiment.options]
        smells = objectives.smell(np.array(rows))
        return float(min(np.abs(smells[a] - smells[b]).sum() for a in range(3) for b in range(a)))

    refinement = Refinement(store)
    plain, apart = (
        [nearest(refinement.options(dna, HOUSE_BRIEF, apart=far)) for _ in range(8)] for far in (False, True)
    )
    assert np.median(apart) > np.median(plain)
    store.close()


def test_a_rollout_of_the_store_is_what_users_get(house: House, tmp_path: Path) -> None:
    flags = FeatureFlagManager(environment="dev", root=tmp_path)
    flags.set_rollout_percentage("llm_ensemble_enabled", 50, who="anna", why="a trial")
    house.stub.conducts.clear()
    users = [f"user-{number}" for number in range(40)]
    house.off = set()
    house.decide = flags.is_enabled

    async def flow(client: httpx2.AsyncClient) -> None:
        for user in users:
            answer = await client.post("/dna/create", json={"wish": "woody"}, headers={"X-User": user})
            assert answer.status_code == 200

    house.ask(flow)
    whole = [conduct.ensemble for conduct in house.stub.conducts]
    assert whole == [flags.is_enabled("llm_ensemble_enabled", user) for user in users]
    assert 0 < sum(whole) < len(users)
