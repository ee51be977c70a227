"""What an ensemble shows: in scenarios with members that are told what to say, and with members that read wishes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle, islice, product
from typing import Any

from pytest_artisan.clock import Clock, SystemClock
from pytest_artisan.ensemble.answers import MODES, Answer, Mode, Outcome
from pytest_artisan.ensemble.settings import EnsembleSettings, settings_of
from pytest_artisan.gates.briefing import keeping, resilience, understanding
from pytest_artisan.gates.briefing.resilience import Expect
from pytest_artisan.gates.briefing.rig import Factory, Heard, Rig, rig_of
from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.gates.subjects import load_factory, place_of
from pytest_artisan.gates.tables import Ensemble as Table
from pytest_artisan.loopback import served
from pytest_artisan.settings import SettingsError, one_line
from pytest_artisan.verdict.evidence import Finding, NoEvidence, measured, measured_share
from pytest_artisan.verdict.judge import judge
from pytest_artisan.verdict.statistics import quantile_interval

SCENARIOS: dict[str, Callable[[Rig, Expect], Coroutine[Any, Any, None]]] = {
    "routing": resilience.routing,
    "pipeline": resilience.pipeline,
    "retries": resilience.retries,
    "fallbacks": resilience.fallbacks,
    "breaker": resilience.breaker,
    "all down": resilience.all_down,
    "cache": keeping.cache,
    "herd": keeping.herd,
    "alike": keeping.alike,
    "hostile wishes": understanding.hostile,
}
_TIME = SystemClock()
# Outcomes where the primary member read the wish.
_READ = (Outcome.RAW, Outcome.REPAIRED)
# Wishes that are under way at once: members with one slot each must not queue.
_AT_ONCE = 4
# Wishes that are shown where many were not understood.
_TOLD = 5
# Letters of a wish that are shown.
_SHOWN = 60
# No scenario waits for anything but answers on loopback.
_SCENARIO_S = 60.0


def factory(project: Project, table: Table) -> Factory:
    """The ensemble's, as the policy names it; raises NoEvidence where there is none."""
    return load_factory(table.subject, project.root)


def of_scenario(name: str, factory: Factory, project: Project) -> CheckEvidence:
    """How many of a scenario's expectations fail, and each of these."""
    checked, failed = 0, []

    def expect(text: str, held: bool) -> None:
        nonlocal checked
        checked += 1
        if not held:
            failed.append(text)

    with rig_of(factory) as rig:
        try:
            asyncio.run(asyncio.wait_for(SCENARIOS[name](rig, expect), _SCENARIO_S))
        except TimeoutError as error:
            expect(f"did not end within {_SCENARIO_S:g} s {error}".rstrip(), False)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's ensemble raises is its answer
            expect(f"raised {type(error).__name__}: {error}", False)
    path, line = place_of(factory, project)
    findings = (Finding("ensemble", name, one_line(text), path, line) for text in failed)
    return CheckEvidence(
        (measured(f"{name}: faults", len(failed), unit="count", at_most=0, n=checked),), tuple(findings)
    )


@contextmanager
def members_of(project: Project) -> Iterator[EnsembleSettings]:
    """The environment's members, or the local reference models on loopback; raises NoEvidence.

    Its cache is left alone: what an earlier run left there measures nobody, and a gate writes to no environment.
    """
    environment = project.environment
    try:
        if environment.llm.qwen_endpoint is not None or environment.env != "dev":
            yield replace(settings_of(environment), cache_url=None)
        else:
            from pytest_artisan.ensemble.local.models import local_settings
            from pytest_artisan.ensemble.local.server import ModelServer

            with served(ModelServer()) as url:
                yield replace(settings_of(environment, local_settings(f"{url}/v1")), cache_url=None)
    except SettingsError as error:
        raise NoEvidence(str(error)) from error


def of_golden(factory: Factory, settings: EnsembleSettings, table: Table, project: Project) -> CheckEvidence:
    """Every packaged wish once, in the mode of its length."""
    heard, wishes = Heard(), understanding.golden()
    answers = asyncio.run(_answers(factory, settings, _TIME, heard, [(wish.text, None) for wish in wishes]))
    n, calls, read = len(wishes), len(heard.calls), zip(wishes, answers, strict=True)
    missed = [wish.text for wish, (answer, _) in read if not wish.understood(answer.brief)]
    unanswered = sum(answer.outcome not in _READ for answer, _ in answers)
    unsound = sum(not understanding.keeps_schema(answer.brief) for answer, _ in answers)
    lacking = sum(bool(answer.remarks) for answer, _ in answers)
    understood = measured_share("understood", n - len(missed), n, at_least=table.understood_pct)
    measurements = (
        measured("schema failures", heard.schema_failures, unit="count", at_most=table.schema_failures, n=calls),
        measured("calls of members", calls, unit="count", at_least=n),
        measured("wishes that the primary member did not answer", unanswered, unit="count", at_most=0, n=n),
        measured("answers that lack what their mode asks for", lacking, unit="count", at_most=0, n=n),
        measured("briefs out of the schema", unsound, unit="count", at_most=0, n=n),
        understood,
    )
    told = [("calls", text) for text in heard.unanswered()]
    told += [("incomplete", text) for text in _remarks(answers)]
    if any(judge(understood)):
        told += [("understood", f"not understood: {text}") for text in missed[:_TOLD]]
        if missed[_TOLD:]:
            told.append(("understood", f"and {len(missed) - _TOLD} more"))
    path, line = place_of(factory, project)
    return CheckEvidence(measurements, tuple(Finding("ensemble", rule, text, path, line) for rule, text in told))


def _remarks(answers: Sequence[tuple[Answer, float]]) -> Iterator[str]:
    """What answers lack, the most frequent first: of a member that is gone, the reason, and not a hundred times."""
    remarks = Counter(one_line(remark) for answer, _ in answers for remark in answer.remarks)
    for remark, times in remarks.most_common(_TOLD):
        yield f"{remark} ({times} of {len(answers)} answers)"


def of_hostile(factory: Factory, settings: EnsembleSettings, project: Project) -> CheckEvidence:
    """Every hostile wish in every mode, to members that read it: each is answered, and nothing of it is handed on."""
    wishes = list(product(understanding.HOSTILE, MODES))
    answers = asyncio.run(_answers(factory, settings, _TIME, Heard(), wishes))
    read = list(zip(wishes, answers, strict=True))
    handed_on = [wish for (wish, _), (answer, _) in read if understanding.marks(answer)]
    unread = [wish for (wish, _), (answer, _) in read if answer.outcome is Outcome.DEFAULT]
    path, line = place_of(factory, project)
    told = {
        **dict.fromkeys(f"nobody answers {wish[:_SHOWN]!r}" for wish in unread),
        **dict.fromkeys(f"handed on: {wish[:_SHOWN]!r}" for wish in handed_on),
    }
    return CheckEvidence(
        (
            measured("hostile wishes handed on", len(handed_on), unit="count", at_most=0, n=len(wishes)),
            measured("hostile wishes by nobody", len(unread), unit="count", at_most=0, n=len(wishes)),
        ),
        tuple(Finding("ensemble", "hostile", one_line(text), path, line) for text in told),
    )


def of_latency(
    factory: Factory, settings: EnsembleSettings, mode: Mode, table: Table, clock: Clock = _TIME
) -> CheckEvidence:
    """The p95 of answers that no cache knows, one after another, with its interval (order statistics).

    Where the sample is too small for an upper bound, the mode's timeout is one: no answer takes longer.
    """
    n = table.latency_samples
    wishes = [(f"{wish.text} {number}", mode) for number, wish in enumerate(islice(cycle(understanding.golden()), n))]
    answers = asyncio.run(_answers(factory, settings, clock, Heard(), wishes, at_once=1))
    taken = sorted(seconds for _, seconds in answers)
    p95, low, high = quantile_interval(taken, 0.95)
    # Nobody who is not asked takes time: such an answer says nothing of how long a whole one takes.
    partly = sum(answer.outcome not in _READ or bool(answer.remarks) for answer, _ in answers)
    limit = getattr(table, f"{mode}_p95_s")
    upper = max(taken[-1], settings.timeouts[mode]) if high is None else high
    return CheckEvidence(
        (
            measured(f"{mode} p95", p95, unit="s", below=limit, n=n, interval=(low, upper)),
            measured(f"{mode} answers that not all members of the mode gave", partly, unit="count", at_most=0, n=n),
        )
    )


async def _answers(
    factory: Factory,
    settings: EnsembleSettings,
    clock: Clock,
    heard: Heard,
    wishes: Sequence[tuple[str, Mode | None]],
    at_once: int = _AT_ONCE,
) -> list[tuple[Answer, float]]:
    """The answers in order, and the seconds that each took."""
    ensemble, slots = factory(settings, clock=clock, observer=heard), asyncio.Semaphore(at_once)

    async def timed(wish: str, mode: Mode | None) -> tuple[Answer, float]:
        async with slots:
            started = clock.now()
            return await ensemble.answer(wish, mode), clock.now() - started

    try:
        return await asyncio.gather(*(timed(wish, mode) for wish, mode in wishes))
    finally:
        await ensemble.aclose()
