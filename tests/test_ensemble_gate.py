"""The gate ensemble: what it catches, by what, and how it is pointed at somebody else's members."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import Project as PytesterProject
from pytest_artisan.ensemble import ensemble as ensembles
from pytest_artisan.ensemble import members
from pytest_artisan.ensemble.alike import Alike
from pytest_artisan.ensemble.breaker import Breaker
from pytest_artisan.ensemble.caches import MemoryCache
from pytest_artisan.ensemble.calls import Caller, Reply
from pytest_artisan.ensemble.connection import Completion
from pytest_artisan.ensemble.ensemble import Ensemble
from pytest_artisan.ensemble.wishes import mode_of
from pytest_artisan.gates.briefing import evidence, resilience, saboteurs
from pytest_artisan.gates.briefing.rig import Factory, ManualClock, Members, Say, told_settings
from pytest_artisan.gates.ensemble import GATE
from pytest_artisan.gates.gate import Check, CheckEvidence, Project
from pytest_artisan.gates.tables import Ensemble as Table
from pytest_artisan.loopback import served
from pytest_artisan.release.environments import Environment, EnvironmentTable, resolve
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import Code, judge

HERE = Project(Path(__file__).parents[1])
TABLE = Table(subject="pytest_artisan.ensemble.ensemble:Ensemble")
LACKING = "answers that lack what their mode asks for"
# What each drill has to be caught by.
CAUGHT = {
    "hostile wishes, read": {"hostile wishes handed on"},
    "golden wishes": {"schema failures", "wishes that the primary member did not answer", LACKING, "understood"},
    **{f"latency, {mode}": {f"{mode} p95"} for mode in ("fast", "balanced", "creative")},
}


def broken(shown: CheckEvidence) -> set[str]:
    return {measurement.name for measurement in shown.measurements if any(judge(measurement))}


@pytest.mark.parametrize("check", GATE.checks, ids=lambda check: check.name)
def test_each_drill_is_caught_by_its_own_measurement(check: Check) -> None:
    assert check.drill is not None
    assert broken(check.drill(HERE, TABLE)) == CAUGHT.get(check.name, {f"{check.name}: faults"})


@contextmanager
def _nothing(breaker: Breaker) -> Iterator[None]:
    yield


def _one_too_far(text: str, asked: str | None = None) -> str:
    return asked or mode_of(text[:-1] or text)


async def _gone(cache: MemoryCache, key: str) -> None:
    return None


async def _once(member: members.Member, task: Any, kind: Any, deadline: float) -> Any:
    body = task.body("primary@", "json_schema")
    return await member._caller.call(
        "chat/completions", body, Completion, lambda completion: members.read(kind, completion), deadline
    )


def _believed(kind: Any, completion: Completion) -> Reply[Any]:
    """Whatever a member says, in the fields where it says it."""
    said = completion.choices[0].message.content or ""
    return Reply(kind.model_construct(hints=(said,), mood=said, forbidden_ingredients=(said,), allergen_ceiling=1))


@pytest.mark.parametrize(
    ("target", "name", "mutant", "scenario"),
    [
        (ensembles, "mode_of", lambda text, asked=None: "fast", "routing"),
        (ensembles, "mode_of", _one_too_far, "routing"),
        (ensembles, "normalised", lambda wish: wish, "cache"),
        (ensembles, "normalised", lambda wish: wish, "hostile wishes"),
        (ensembles, "_corrected", lambda written, checked: checked, "pipeline"),
        (ensembles, "may_be_alike", lambda text: True, "alike"),
        (ensembles, "language_of", lambda text: "en", "all down"),
        (members.Member, "ask", _once, "retries"),
        (members, "ATTEMPTS", 2, "retries"),
        (members, "BACKOFF_S", 0.1, "retries"),
        (members, "read", _believed, "hostile wishes"),
        (Breaker, "guarding", _nothing, "breaker"),
        (MemoryCache, "get", _gone, "cache"),
        (MemoryCache, "get", _gone, "fallbacks"),
        (Alike, "nearest", lambda alike, kind, vector: None, "alike"),
        (Caller, "_heard", lambda caller, outcome, started: None, "fallbacks"),
    ],
)
def test_a_part_that_is_patched_out_turns_the_gate_red(
    monkeypatch: pytest.MonkeyPatch, target: Any, name: str, mutant: Any, scenario: str
) -> None:
    monkeypatch.setattr(target, name, mutant)
    monkeypatch.setattr(resilience, "_PATIENCE_S", 0.1)  # real time, which a red gate need not take
    assert broken(evidence.of_scenario(scenario, Ensemble, HERE)) == {f"{scenario}: faults"}


class _Raising(Ensemble):
    async def answer(self, wish: str, mode: Any = None, conduct: Any = None) -> Any:
        raise RuntimeError(f"could not read {wish!r}\n")


def test_what_raises_is_a_fault_of_one_line() -> None:
    shown = evidence.of_scenario("routing", _Raising, HERE)
    assert broken(shown) == {"routing: faults"}
    [finding] = shown.findings
    assert finding.message.startswith("raised RuntimeError: could not read")
    assert "\n" not in finding.message
    assert finding.path == "tests/test_ensemble_gate.py"


class _Patient(Ensemble):
    """It keeps another time than the one it was given."""

    def __init__(self, settings: Any, **options: Any) -> None:
        kept = {mode: max(seconds, 0.5) for mode, seconds in settings.timeouts.items()}
        super().__init__(replace(settings, timeouts=kept), **options)


def test_whoever_ignores_the_time_of_a_mode_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resilience, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(resilience, "_LEEWAY_S", 0.25)
    shown = evidence.of_scenario("retries", _Patient, HERE)
    assert all("s for two answers of 0.1 s" in finding.message for finding in shown.findings)
    assert len(shown.findings) == 2  # for members that hang, and for those that drip


def test_modes_that_share_what_is_alike_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    nearest, remember = Alike.nearest, Alike.remember
    monkeypatch.setattr(Alike, "nearest", lambda self, kind, vector: nearest(self, kind[-2:], vector))
    monkeypatch.setattr(Alike, "remember", lambda self, kind, key, vector: remember(self, kind[-2:], key, vector))
    assert broken(evidence.of_scenario("alike", Ensemble, HERE)) == {"alike: faults"}


class _Waiting(Ensemble):
    async def answer(self, wish: str, mode: Any = None, conduct: Any = None) -> Any:
        await asyncio.Event().wait()


def test_a_scenario_that_never_ends_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "_SCENARIO_S", 0.1)
    [finding] = evidence.of_scenario("routing", _Waiting, HERE).findings
    assert finding.message == "did not end within 0.1 s"


@pytest.fixture
def told() -> Iterator[tuple[Members, str]]:
    said = Members()
    with served(said) as url:
        yield said, url


@pytest.mark.parametrize(("samples", "codes"), [(71, [Code.INTERVAL]), (72, [])])
def test_a_sample_too_small_for_an_upper_bound_decides_nothing(
    told: tuple[Members, str], samples: int, codes: list[Code]
) -> None:
    table = Table(latency_samples=samples)
    shown = evidence.of_latency(Ensemble, told_settings(told[1]), "fast", table, ManualClock())
    assert [code for measurement in shown.measurements for code, _, _ in judge(measurement)] == codes


@pytest.mark.parametrize(
    ("said", "caught"),
    [
        ({"primary": Say(503)}, {"wishes that the primary member did not answer", LACKING, "understood"}),
        (
            dict.fromkeys(("primary", "validator", "creative"), Say(503)),
            {"calls of members", "wishes that the primary member did not answer", LACKING, "understood"},
        ),
        ({"validator": Say(503)}, {LACKING, "understood"}),
        ({"validator": Say(content="{}")}, {"schema failures", LACKING, "understood"}),
        ({}, {"understood"}),
    ],
)
def test_golden_wishes_need_members_that_read_them(
    told: tuple[Members, str], said: dict[str, Say], caught: set[str]
) -> None:
    told[0].always.update(said)
    settings = told_settings(told[1])
    assert broken(_golden(Ensemble, settings)) == caught


def _golden(factory: Factory, settings: Any) -> CheckEvidence:
    return evidence.of_golden(factory, settings, TABLE, HERE)


def test_a_member_that_is_gone_is_named_with_the_reason(told: tuple[Members, str]) -> None:
    told[0].always["validator"] = Say(401)
    shown = _golden(Ensemble, told_settings(told[1]))
    assert shown.findings[0].message.startswith("validator: failed ")
    assert any("validator: status 401 (" in finding.message for finding in shown.findings)


@pytest.mark.parametrize("mode", ["balanced", "creative"])
def test_the_time_of_answers_without_a_member_is_not_that_of_the_mode(told: tuple[Members, str], mode: Any) -> None:
    told[0].down("validator" if mode == "balanced" else "creative")
    shown = evidence.of_latency(Ensemble, told_settings(told[1]), mode, TABLE, ManualClock())
    assert broken(shown) == {f"{mode} answers that not all members of the mode gave"}


class _Distorting(Ensemble):
    """What its members said is sound; what it makes of it is not."""

    async def answer(self, wish: str, mode: Any = None, conduct: Any = None) -> Any:
        answer = await super().answer(wish, mode)
        weights = {family: weight * 100 for family, weight in answer.brief.notes_preference.items()}
        return replace(answer, brief=answer.brief.model_copy(update={"notes_preference": weights}))


def test_a_brief_that_the_ensemble_spoils_is_out_of_the_schema(told: tuple[Members, str]) -> None:
    assert "briefs out of the schema" in broken(_golden(_Distorting, told_settings(told[1])))
    for scenario in ("hostile wishes", "pipeline"):
        assert broken(evidence.of_scenario(scenario, _Distorting, HERE)) == {f"{scenario}: faults"}


def test_an_ensemble_that_tells_nobody_about_its_calls_has_no_evidence(told: tuple[Members, str]) -> None:
    def silent(settings: Any, *, clock: Any, observer: Any) -> Ensemble:
        return Ensemble(settings, clock=clock)

    assert broken(_golden(silent, told_settings(told[1]))) >= {"schema failures", "calls of members"}


def test_an_environment_without_members_gives_no_evidence() -> None:
    project = Project(HERE.root, environment=Environment("stg", EnvironmentTable()))
    with pytest.raises(NoEvidence, match=r"stg: llm\.qwen_endpoint is not set"), evidence.members_of(project):
        pass


@pytest.mark.parametrize("llm", [{}, {f"{name}_endpoint": "http://m.test/v1" for name in ("qwen", "mistral", "llama")}])
def test_the_cache_of_an_environment_is_neither_believed_nor_written_to(llm: dict[str, Any]) -> None:
    environment = resolve("dev", {"dev": {"llm": {**llm, "cache_url": "redis://cache.test"}}}, "pyproject.toml")
    with evidence.members_of(Project(HERE.root, environment=environment)) as settings:
        assert settings.cache_url is None


def test_another_team_points_the_suite_at_its_own_members_by_configuration_alone(
    project: PytesterProject, told: tuple[Members, str]
) -> None:
    members_, url = told
    project.policy(
        f"""
        required = ["ensemble"]
        [tool.artisan.ensemble]
        subject = "pytest_artisan.ensemble.ensemble:Ensemble"
        latency_samples = 10
        [tool.artisan.environments.stg.llm]
        qwen_endpoint = "{url}/v1"
        mistral_endpoint = "{url}/v1"
        llama_endpoint = "{url}/v1"
        qwen_model = "primary"
        mistral_model = "validator"
        llama_model = "creative"
        """
    )
    run = project.run("--artisan-env=stg")
    assert (run.status, run.last_line) == (1, "NO-GO")
    assert "understood 6 % < 80 %, n=100" in run.told
    assert "and 89 more" in run.told
    for mode in ("fast", "balanced", "creative"):
        assert f"ensemble|interval|artisan::ensemble::latency, {mode}|{mode} p95 " in run.told
    assert len(members_.asked) > 200


def test_the_saboteurs_are_the_service_with_one_fault_each() -> None:
    assert saboteurs.BY_SCENARIO.keys() == evidence.SCENARIOS.keys()
    assert all(issubclass(fault, Ensemble) for fault in saboteurs.BY_SCENARIO.values() if isinstance(fault, type))
