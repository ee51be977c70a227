"""Formulas refined by feedback: environment, taste, options, feedback, and records that outlive the process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from pytest_artisan.fragrance.brief import Brief
from pytest_artisan.fragrance.environment import HORIZON, FormulaEnvironment
from pytest_artisan.fragrance.evolution import HOUSE_BRIEF, composition_of, evolve
from pytest_artisan.fragrance.experiments import Experiment
from pytest_artisan.fragrance.ingredients import Catalogue, load_catalogue
from pytest_artisan.fragrance.limits import violations
from pytest_artisan.fragrance.objectives import Objectives
from pytest_artisan.fragrance.preference import Preference
from pytest_artisan.fragrance.refinement import Refinement, RefinementError, UnknownExperiment
from pytest_artisan.moga.composition import Composition
from pytest_artisan.rl import get_trainer
from pytest_artisan.rl.policies import Dirichlet, Gaussian
from pytest_artisan.rl.trainers import Settings
from pytest_artisan.service.store import DatabaseStore, StoreError

CATALOGUE = load_catalogue()
LIMITS = composition_of(HOUSE_BRIEF, CATALOGUE)
OBJECTIVES = Objectives(list(CATALOGUE), HOUSE_BRIEF)
DNA = evolve(HOUSE_BRIEF, generations=5)[3]
TRAITS = len(OBJECTIVES.traits)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DatabaseStore]:
    store = DatabaseStore(f"sqlite:///{tmp_path / 'artisan.db'}")
    yield store
    store.close()


@pytest.fixture
def refinement(store: DatabaseStore) -> Refinement:
    return Refinement(store)


def contents(experiment: Experiment) -> list[dict[str, float]]:
    return [option.composition for option in experiment.options]


def environment(size: int = 8, preference: Preference | None = None) -> FormulaEnvironment:
    starts = LIMITS.sample(np.random.default_rng(0), 4)
    return FormulaEnvironment(LIMITS, OBJECTIVES, preference or Preference(TRAITS), starts, size)


@settings(max_examples=40)
@given(
    st.integers(0, 2**31),
    st.sampled_from([0.0, 1e-9, 1.0, 100.0, 1e6]),
    st.sampled_from([np.float32, np.float64]),
)
def test_every_action_changes_the_formula_and_every_formula_keeps_all_limits(
    seed: int, size: float, kind: type[np.floating]
) -> None:
    rng, formulas = np.random.default_rng(seed), environment()
    formulas.reset(seed=seed)
    for _ in range(HORIZON - 1):
        before = formulas.shares
        observations, rewards, *_ = formulas.step((size * rng.standard_normal((8, TRAITS))).astype(kind))
        assert LIMITS.kept(formulas.shares).all()
        assert (np.abs(formulas.shares - before).max(axis=1) >= 0.01).all()
        assert np.isfinite(observations).all()
        assert np.isfinite(rewards).all()


def test_the_return_of_an_episode_is_the_gain_in_points() -> None:
    taste = Preference(TRAITS)
    taste.taste = np.random.default_rng(3).standard_normal(TRAITS)
    formulas, rng, total = environment(preference=taste), np.random.default_rng(1), np.zeros(8)
    formulas.reset(seed=1)
    first = formulas.points
    for step in range(HORIZON):
        before = formulas.shares
        _, rewards, terminated, truncated, _ = formulas.step(actions := rng.standard_normal((8, TRAITS)))
        total += rewards
        assert terminated.all() == (step == HORIZON - 1)
        assert not truncated.any()
    other = environment(preference=taste)
    other.begin(before)
    other.advance(actions)
    assert total == pytest.approx(other.points - first)
    assert ((other.points >= 0) & (other.points <= 100)).all()


def test_moves_go_where_the_action_points() -> None:
    formulas = environment(64)
    allowed = OBJECTIVES.smells[LIMITS.upper > 0].any(axis=0)
    assert allowed.sum() > 20
    for place in np.flatnonzero(allowed):
        formulas.begin(LIMITS.sample(np.random.default_rng(place), 64))
        before = formulas.smells[:, place].mean()
        formulas.advance(np.tile(2 * np.eye(TRAITS)[place], (64, 1)))
        assert formulas.smells[:, place].mean() > before, OBJECTIVES.traits[place]


def test_near_mixtures_keep_all_limits_and_are_the_nearest_where_no_shared_limit_binds() -> None:
    rng = np.random.default_rng(5)
    limits = Composition(np.full(8, 40.0), rng.random((3, 8)), np.array([45.0, 50.0, 60.0]), lower_active=0.5)
    values = rng.normal(12, 15, (300, 8))
    near, nearest = limits.approach(values), limits.project(values)
    assert limits.kept(near).all()
    free = (nearest @ limits.weights.T < limits.bounds - 1e-6).all(axis=1)
    assert 20 < free.sum() < 280
    assert near[free] == pytest.approx(nearest[free])
    away, least = (np.linalg.norm(found - values, axis=1) for found in (near, nearest))
    assert np.median(away / least) < 1.2


@pytest.mark.parametrize("policy", [Gaussian(TRAITS), Dirichlet(TRAITS)], ids=["gaussian", "dirichlet"])
@pytest.mark.parametrize("algorithm", ["PPO", "REINFORCE"])
def test_both_kinds_of_latent_learn_in_the_environment(policy: Any, algorithm: str) -> None:
    trainer = get_trainer(environment(64), algorithm, policy=policy, settings=Settings(steps=HORIZON, hidden=(16,)))
    returns = [trainer.train().episode_return for _ in range(20)]
    assert np.isfinite(returns).all()


def test_a_taste_is_the_maximum_a_posteriori_of_ratings_and_choices() -> None:
    rng = np.random.default_rng(2)
    rated, ratings = rng.random((7, 4)), rng.integers(1, 6, 7).astype(float)
    better, worse = rng.random((9, 4)), rng.random((9, 4))
    taste = Preference(4)
    taste.learn(rated, ratings, better, worse)

    def loss(x: np.ndarray) -> float:
        errors = ratings - rated @ x[:4] - x[4]
        choices = np.logaddexp(0, -(better - worse) @ x[:4]).sum()
        return float((errors**2).sum() / (2 * 0.7**2) + choices + (x[:4] ** 2).sum() / (2 * 6**2) + (x[4] - 3) ** 2 / 2)

    best = optimize.minimize(loss, np.zeros(5), tol=1e-14)
    assert np.append(taste.taste, taste.level) == pytest.approx(best.x, abs=1e-4)


def test_options_differ_keep_their_limits_and_are_kept(refinement: Refinement, store: DatabaseStore) -> None:
    experiment = refinement.options(DNA, HOUSE_BRIEF, n=5)
    assert len(experiment.options) == 5
    for option in experiment.options:
        assert not violations(option.composition, CATALOGUE, HOUSE_BRIEF.product)
        assert sum(option.composition.values()) == pytest.approx(100)
        assert all(round(share * 100) == pytest.approx(share * 100) for share in option.composition.values())
    points = [option.points for option in experiment.options]
    assert points == sorted(points, reverse=True)
    assert json.loads(store.experiment(experiment.id))["id"] == experiment.id


def test_wishes_count(store: DatabaseStore) -> None:
    brief = Brief({"woody": 1.0, "floral": 1.0})
    expected = []
    for wish in ("more citrus, less woody", "less citrus, MORE woody", "lovely"):
        own = Refinement(DatabaseStore("sqlite://"))
        experiment = own.options(DNA, brief)
        own.feedback(experiment.id, experiment.options[0].id, 3, wish)
        [learner] = own._apprentices.values()
        smell = np.eye(TRAITS)[[OBJECTIVES.traits.index(trait) for trait in ("citrus", "woody")]]
        liked = learner._preference.ratings(smell)
        expected.append(liked[0] - liked[1])
    assert expected[0] > expected[2] > expected[1]


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda r: r.options(DNA, HOUSE_BRIEF, n=2), "n: 2 options are no choice; at least 3"),
        (lambda r: r.options(DNA, HOUSE_BRIEF, "DQN"), "unknown algorithm 'DQN'; known: PPO, REINFORCE"),
        (lambda r: r.options({"115-95-7": 50.0}, HOUSE_BRIEF), "the composition sums to 50 %, not to 100 %"),
        (lambda r: r.options({"4602-84-0": 100.0}, HOUSE_BRIEF), "the composition is over a limit: Farnesol: 20 % > "),
        (lambda r: r.feedback("nowhere", "x", 3), "there is no experiment 'nowhere'"),
        (lambda r: r.feedback(r.options(DNA, HOUSE_BRIEF).id, "x", 3), "chosen: 'x' was not offered; experiment "),
        *(
            (lambda r, rating=rating: say(r, rating), f"rating: {rating!r} is not a number from 1 to 5")
            for rating in (0, 5.1, float("nan"), float("inf"))
        ),
        (lambda r: say(r, 3, again=True), "has its feedback already"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(refinement: Refinement, ask: Any, text: str) -> None:
    with pytest.raises(RefinementError) as raised:
        ask(refinement)
    assert text in str(raised.value)
    assert "\n" not in str(raised.value)


def say(refinement: Refinement, rating: float, *, again: bool = False) -> None:
    experiment = refinement.options(DNA, HOUSE_BRIEF)
    for _ in range(1 + again):
        refinement.feedback(experiment.id, experiment.options[0].id, rating)


CRASHING = """
import os, signal, sys
from pytest_artisan.fragrance.refinement import Refinement
from pytest_artisan.service.store import DatabaseStore

class Killed(DatabaseStore):
    def save(self, *arguments):
        os.kill(os.getpid(), signal.SIGKILL)

refinement = Refinement(Killed(sys.argv[1]))
refinement.feedback(*sys.argv[2:4], 5.0)
"""


def test_a_process_killed_between_feedback_and_update_loses_nothing(tmp_path: Path) -> None:
    offered = []
    for name in ("killed", "alive"):
        url = f"sqlite:///{tmp_path / name}.db"
        refinement = Refinement(DatabaseStore(url))
        experiment = refinement.options(DNA, HOUSE_BRIEF)
        said = experiment.id, experiment.options[1].id
        if name == "killed":
            ended = subprocess.run([sys.executable, "-c", CRASHING, url, *said], check=False, env=os.environ)
            assert ended.returncode == -signal.SIGKILL
        else:
            refinement.feedback(*said, 5.0)
        offered.append(contents(Refinement(DatabaseStore(url)).options(DNA, HOUSE_BRIEF)))
    assert offered[0] == offered[1]


def test_algorithms_learn_from_what_was_said_under_the_other_one(refinement: Refinement, store: DatabaseStore) -> None:
    experiment = refinement.options(DNA, HOUSE_BRIEF, "REINFORCE")
    before = refinement.points(experiment.id, "PPO")
    refinement.feedback(experiment.id, experiment.options[0].id, 5, algorithm="REINFORCE")
    assert refinement.points(experiment.id, "PPO") != before
    subject = experiment.id.rpartition("-")[0]
    for algorithm in ("PPO", "REINFORCE"):
        saved = store.load(subject, algorithm)
        assert saved is not None
        assert saved.learnt == 1


def test_two_processes_on_one_store_learn_from_all(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'artisan.db'}"
    both = [Refinement(DatabaseStore(url)) for _ in range(2)]
    for turn in range(4):
        say(both[turn % 2], 1 + turn)
    for one, other in pairwise(both):
        experiment = one.options(DNA, HOUSE_BRIEF)
        assert one.points(experiment.id) == other.points(experiment.id)


OLD = Path(__file__).parent / "data" / "experiment-1.json"


def test_experiments_of_the_first_version_still_load(refinement: Refinement, store: DatabaseStore) -> None:
    old = json.loads(OLD.read_text(encoding="utf-8"))
    store.add_experiment(old["id"].rpartition("-")[0], old["id"], OLD.read_bytes())
    metrics = refinement.feedback(old["id"], old["options"][0]["id"], 4, "more floral")
    assert metrics.kl > 0
    assert set(refinement.points(old["id"])) == {option["id"] for option in old["options"]}


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all.db", "sqlate:///x.db", "no url"])
def test_a_store_that_can_not_be_opened_says_so_in_a_line(url: str) -> None:
    with pytest.raises(StoreError) as raised:
        DatabaseStore(url)
    assert "\n" not in str(raised.value)


def test_the_environment_starts_anew_in_the_same_step() -> None:
    assert environment().metadata["autoreset_mode"] == AutoresetMode.SAME_STEP.value


def test_an_experiment_of_other_materials_takes_no_feedback(store: DatabaseStore, refinement: Refinement) -> None:
    asked = refinement.options(DNA, HOUSE_BRIEF)
    later = Refinement(store, Catalogue([item for item in CATALOGUE if item.cas not in DNA.composition]))
    with pytest.raises(UnknownExperiment, match="was made of other materials"):
        later.feedback(asked.id, asked.options[0].id, 4)
    assert refinement.feedback(asked.id, asked.options[0].id, 4), "it was not kept, either"
