"""The gate e2e_evolution: what it catches, by what, and how it is pointed at somebody else's flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from conftest import Project as PytesterProject
from pytest_artisan.fragrance import apprentice, environment
from pytest_artisan.fragrance.preference import Preference
from pytest_artisan.gates.e2e_evolution import GATE
from pytest_artisan.gates.feedback import evidence, saboteurs
from pytest_artisan.gates.feedback.flows import Factory, Offer
from pytest_artisan.gates.feedback.raters import MANNERS, Rater
from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.gates.tables import E2eEvolution
from pytest_artisan.moga.composition import Composition
from pytest_artisan.rl import guard, trainers
from pytest_artisan.rl.advantages import generalized_advantages
from pytest_artisan.rl.optimization import Adam, Schedule
from pytest_artisan.service.flow import HouseFlow
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import judge

HERE = Project(Path(__file__).parents[1])
TABLE = E2eEvolution(subject="pytest_artisan.service.flow:HouseFlow")
RATED = partial(evidence.of_rater, table=TABLE, runs=evidence.DRILLED)
LEARNS = partial(RATED, manner=MANNERS["consistent"], algorithm="PPO", followed=True)
STEPS = partial(evidence.of_steps, table=TABLE)


def broken(shown: CheckEvidence) -> set[str]:
    return {measurement.name for measurement in shown.measurements if any(judge(measurement))}


@pytest.mark.parametrize(
    ("show", "fault", "caught"),
    [
        (LEARNS, saboteurs.learns_nothing, {"p of a rise", "rise", "effect size d"}),
        (LEARNS, saboteurs.Flipped, {"p of a rise", "rise", "effect size d"}),
        (LEARNS, saboteurs.Deaf, {"p of a rise", "rise", "effect size d"}),
        (partial(LEARNS, followed=False), HouseFlow, {"p of a rise"}),
        (STEPS, saboteurs.learns_nothing, {"updates without effect"}),
        (STEPS, saboteurs.Exploding, {"kl"}),
        (STEPS, saboteurs.Alike, {"offers with options alike"}),
        (partial(evidence.of_agreement, table=TABLE), saboteurs.AtOdds, {"pairs in the same order"}),
        (evidence.of_restarts, saboteurs.Damaged, {"exceptions"}),
        (evidence.of_restarts, saboteurs.Dropping, {"offers that miss feedback given before a crash"}),
    ],
)
def test_each_fault_is_caught_by_its_own_measurement(
    show: Callable[[Factory], CheckEvidence], fault: Factory, caught: set[str]
) -> None:
    assert broken(show(fault)) == caught


def test_what_drills_run_is_go_without_a_fault() -> None:
    assert not broken(LEARNS(HouseFlow))


def _turned(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: -function(*arguments)


def _losing(step: Callable[..., Any]) -> Callable[..., Any]:
    def lost(own: Any, actions: Any) -> Any:
        observations, rewards, *others = step(own, actions)
        return observations, -rewards, *others

    return lost


def _scaled(own: Composition, values: np.ndarray) -> np.ndarray:
    """What sums to 100, whatever the limits are."""
    return np.asarray(100 * np.clip(values, 0, None) / np.clip(values, 0, None).sum(axis=1, keepdims=True))


FAR = {name: replace(own, rate=Schedule(0.01, 0.01), most_kl=9.0) for name, own in apprentice.SETTINGS.items()}


@pytest.mark.parametrize(
    ("target", "name", "mutant", "show", "caught"),
    [
        (environment.FormulaEnvironment, "step", _losing(environment.FormulaEnvironment.step), LEARNS, "p of a rise"),
        (Preference, "learn", lambda *arguments: None, LEARNS, "p of a rise"),
        (Preference, "ratings", _turned(Preference.ratings), LEARNS, "p of a rise"),
        (trainers, "generalized_advantages", _turned(generalized_advantages), LEARNS, "p of a rise"),
        (Adam, "step", lambda *arguments: None, STEPS, "updates without effect"),
        (guard, "Bounds", partial(guard.Bounds, kl=9.0), partial(STEPS, partial(HouseFlow, settings=FAR)), "kl"),
        (Composition, "approach", _scaled, STEPS, "exceptions"),
    ],
    ids=["reward", "taste", "rating", "advantage", "optimizer", "far", "limits"],
)
def test_a_fault_in_the_service_itself_is_caught(
    monkeypatch: pytest.MonkeyPatch,
    target: Any,
    name: str,
    mutant: Any,
    show: Callable[..., CheckEvidence],
    caught: str,
) -> None:
    monkeypatch.setattr(target, name, mutant)
    shown = show() if isinstance(show, partial) and show.args else show(HouseFlow)
    assert caught in broken(shown)


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=9))
def test_the_test_of_signs_is_the_exact_permutation_test(differences: list[int]) -> None:
    sample = np.array(differences, dtype=float)
    exact = stats.permutation_test(
        (sample,), np.mean, permutation_type="samples", alternative="greater", n_resamples=np.inf, vectorized=False
    )
    assert evidence.sign_flip_p(sample) == pytest.approx(exact.pvalue)


def test_raters_of_opposite_seeds_like_opposite_things(tmp_path: Path) -> None:
    flow = HouseFlow(tmp_path)
    offers: list[Offer] = [flow.options("PPO") for _ in range(2)]
    one, other = (Rater(flow, offers, MANNERS["critical"], seed) for seed in (4, 5))
    felt = [np.concatenate([rater.ratings(offer) for offer in offers]) for rater in (one, other)]
    assert felt[0] + felt[1] == pytest.approx(np.full(6, 4.0))
    assert np.std(felt[0]) == pytest.approx(1)
    flow.close()


@pytest.mark.parametrize(
    ("text", "state", "reason"),
    [
        ("raise RuntimeError('no database')", "NO_EVIDENCE", "the factory raised RuntimeError: no database"),
        ("return object()", "NO_GO", "exceptions 1 > 0"),
    ],
)
def test_a_project_points_the_gate_at_its_own_flow(
    project: PytesterProject, text: str, state: str, reason: str
) -> None:
    project.policy('required = ["e2e_evolution"]\n[tool.artisan.e2e_evolution]\nsubject = "mine:flow"\n')
    project.write("mine.py", f"def flow(folder, seed):\n    {text}\n")
    run = project.run()
    assert run.state("e2e_evolution") == state
    assert reason in run.told


def test_without_a_subject_there_is_no_evidence() -> None:
    with pytest.raises(NoEvidence, match="no subject is configured"):
        GATE.checks[0].run(HERE, msgspec.structs.replace(TABLE, subject=None))
