"""The three-model ensemble: routing, retries, fallbacks, breakers and cache against real HTTP, and what it understands."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pytest_artisan.gates.gate import CheckEvidence, Gate, Project
from pytest_artisan.gates.subjects import Runs, checks_of_subject
from pytest_artisan.gates.tables import Ensemble

if TYPE_CHECKING:
    from pytest_artisan.ensemble.answers import Mode

# Not from the ensemble's own room, which takes pydantic to open.
_MODES: tuple[Mode, ...] = ("fast", "balanced", "creative")
_SCENARIOS = (
    "routing",
    "pipeline",
    "retries",
    "fallbacks",
    "breaker",
    "all down",
    "cache",
    "herd",
    "alike",
    "hostile wishes",
)


def _scenario(name: str, drill: bool, project: Project, table: Ensemble) -> CheckEvidence:
    from pytest_artisan.gates.briefing import evidence, saboteurs

    factory = saboteurs.BY_SCENARIO[name] if drill else evidence.factory(project, table)
    return evidence.of_scenario(name, factory, project)


def _golden(drill: bool, project: Project, table: Ensemble) -> CheckEvidence:
    from pytest_artisan.gates.briefing import evidence, saboteurs

    if drill:
        with saboteurs.members(wrong=True) as settings:
            return evidence.of_golden(saboteurs.Ensemble, settings, table, project)
    with evidence.members_of(project) as settings:
        return evidence.of_golden(evidence.factory(project, table), settings, table, project)


def _hostile(drill: bool, project: Project, table: Ensemble) -> CheckEvidence:
    from pytest_artisan.gates.briefing import evidence, saboteurs

    if drill:
        with saboteurs.members(wrong=False) as settings:
            return evidence.of_hostile(saboteurs.Echoing, settings, project)
    with evidence.members_of(project) as settings:
        return evidence.of_hostile(evidence.factory(project, table), settings, project)


def _latency(mode: Mode, drill: bool, project: Project, table: Ensemble) -> CheckEvidence:
    from pytest_artisan.gates.briefing import evidence, saboteurs

    if drill:
        with saboteurs.members(wrong=False) as settings:
            return evidence.of_latency(saboteurs.Slow, settings, mode, table, saboteurs.ManualClock())
    with evidence.members_of(project) as settings:
        return evidence.of_latency(evidence.factory(project, table), settings, mode, table)


# What the members make of wishes comes first: a report's line shows one number of a gate.
_RUNS: Runs = (
    ("golden wishes", _golden),
    ("hostile wishes, read", _hostile),
    *((f"latency, {mode}", partial(_latency, mode)) for mode in _MODES),
    *((name, partial(_scenario, name)) for name in _SCENARIOS),
)

_PLANTED = {
    "golden wishes": "members that always answer out of the schema",
    "hostile wishes, read": "a stranger's text handed on",
    **{f"latency, {mode}": "answers that take 7 s" for mode in _MODES},
    "routing": "one member alone, whatever the wish",
    "pipeline": "a brief that nobody checks",
    "retries": "nobody is asked twice",
    "fallbacks": "nobody but the first member is known",
    "breaker": "breakers that never open",
    "all down": "an exception where no member answers",
    "cache": "a cache that ignores an answer's age",
    "herd": "a call for everybody who asks the same",
    "alike": "all wishes are alike",
    "hostile wishes": "a stranger's text handed on",
}

GATE = Gate(
    "ensemble",
    "the three-model ensemble answers in its schema and in time",
    Ensemble,
    checks=checks_of_subject(_RUNS, _PLANTED),
)
