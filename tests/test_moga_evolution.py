"""Evolution, survival, the archive, variation and compositions: what must hold whatever the problem."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from formulation import formulation, oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import PROBLEMS

from pytest_artisan.moga import survival, variation
from pytest_artisan.moga.archive import Archive
from pytest_artisan.moga.composition import Composition
from pytest_artisan.moga.evolution import NSGA2, Evolution, MixtureEvolution
from pytest_artisan.moga.indicators import exclusive_volumes, hypervolume
from pytest_artisan.moga.parallel import independent_runs, spread_over
from pytest_artisan.moga.population import Population
from pytest_artisan.moga.ranking import Floats, nondominated_rank
from pytest_artisan.moga.simplex import Infeasible

SURVIVALS = [survival.crowding, survival.spread, survival.hypervolume]
ZDT1 = PROBLEMS["ZDT1"]


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def nsga2(seed: int, size: int = 20) -> NSGA2:
    return NSGA2(ZDT1.evaluate, ZDT1.lower, ZDT1.upper, generator(seed), size=size)


def mixtures(seed: int, archive: int = 50) -> MixtureEvolution:
    problem = formulation(20, seed=1)
    composition = Composition(100 * problem.caps, lower_active=0.1, most_active=6)
    return MixtureEvolution(
        lambda shares: problem.evaluate(shares / 100), composition, generator(seed), size=30, archive=archive
    )


def points(seed: int, count: int, objectives: int, rounded: bool) -> Floats:
    found = np.random.default_rng(seed).random((count, objectives))
    return np.round(found * 4) / 4 if rounded else found


@pytest.mark.parametrize("survive", SURVIVALS)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 60),
    objectives=st.integers(1, 5),
    keep=st.integers(1, 60),
    rounded=st.booleans(),
)
def test_the_best_fronts_survive_each_point_once(
    survive: survival.Survival, seed: int, count: int, objectives: int, keep: int, rounded: bool
) -> None:
    front = points(seed, count, objectives, rounded)
    kept = survive(front, keep)
    rank = nondominated_rank(front)
    assert len(kept) == len(set(kept.tolist())) == min(keep, count)
    assert (np.diff(rank[kept]) >= 0).all(), "best first"
    left = np.setdiff1d(np.arange(count), kept)
    assert not len(left) or rank[kept].max() <= rank[left].min()


@given(seed=st.integers(0, 2**32 - 1), objectives=st.integers(2, 3))
def test_removal_by_volumes_is_nearly_removal_one_by_one(seed: int, objectives: int) -> None:
    front = np.abs(np.random.default_rng(seed).normal(size=(40, objectives)))
    front /= np.linalg.norm(front, axis=1, keepdims=True)
    corner = np.full(objectives, 1.1)
    alive = np.arange(40)
    while len(alive) > 20:
        alive = np.delete(alive, exclusive_volumes(front[alive], corner)[0].argmin())
    kept = survival.hypervolume(front, 20)
    assert hypervolume(front[kept], corner) >= 0.98 * hypervolume(front[alive], corner)


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("survive", [survival.spread, survival.hypervolume])
def test_duplicates_go_before_anything_else(survive: survival.Survival, objectives: int) -> None:
    front = np.abs(np.random.default_rng(3).normal(size=(10, objectives)))
    front /= np.linalg.norm(front, axis=1, keepdims=True)
    kept = survive(np.concatenate((front, front, front)), 10)
    assert set((kept % 10).tolist()) == set(range(10))


def test_the_best_in_each_objective_stay() -> None:
    front = points(5, 200, 3, rounded=False)
    kept = survival.hypervolume(front, 20)
    assert (front[kept].min(axis=0) == front.min(axis=0)).all()


def test_infeasible_candidates_stand_behind_feasible_ones_by_their_violation() -> None:
    objectives = np.array([[0.0, 0.0], [5.0, 5.0], [1.0, 1.0], [0.0, 9.0]])
    kept = survival.with_violations(survival.crowding, objectives, np.array([2.0, 0.0, 1.0, 0.0]), 3)
    assert set(kept[:2].tolist()) == {1, 3}
    assert kept[2] == 2


def test_constraints_without_a_projection_are_met_in_the_end() -> None:
    evolution = nsga2(4, size=40)
    for _ in range(60):
        values = evolution.ask()
        evolution.tell(ZDT1.evaluate(values), np.maximum(0.3 - values[:, 0], 0))
    assert evolution.values[:, 0].min() >= 0.3


@pytest.mark.parametrize("make", [nsga2, mixtures])
def test_the_same_seed_gives_the_same_bytes_and_moves_no_global_generator(
    make: Callable[[int], Evolution],
) -> None:
    state = np.random.get_state(legacy=False)["state"]["key"].tobytes()
    first, second, other = make(7), make(7), make(8)
    for evolution in (first, second, other):
        evolution.run(15)
    assert first.values.tobytes() == second.values.tobytes()
    assert first.history == second.history
    assert first.values.tobytes() != other.values.tobytes()
    assert np.random.get_state(legacy=False)["state"]["key"].tobytes() == state


def test_asking_and_telling_is_running() -> None:
    told, run = nsga2(1), nsga2(1)
    for _ in range(10):
        assert told.ask() is told.ask()
        told.tell(ZDT1.evaluate(told.ask()))
    run.run(10)
    assert told.objectives.tobytes() == run.objectives.tobytes()
    assert [generation.evaluations for generation in run.history] == list(range(20, 201, 20))
    assert run.history[-1].ideal == tuple(run.objectives.min(axis=0))


@pytest.mark.parametrize(
    ("objectives", "text"),
    [
        (np.full((20, 2), np.nan), "point 0 are not a number"),
        (np.full((20, 2), np.inf), "candidate 0 of generation 1"),
        (np.zeros((19, 2)), "20 candidates were asked for, and 19 told"),
        (np.zeros(20), "shape"),
    ],
)
def test_what_is_no_objective_is_refused(objectives: Floats, text: str) -> None:
    evolution = nsga2(1)
    with pytest.raises(ValueError, match=text):
        evolution.tell(objectives)
    with pytest.raises(RuntimeError, match="nothing was evaluated"):
        _ = evolution.population
    assert not evolution.history


def test_an_odd_population_keeps_its_size() -> None:
    assert len(nsga2(2, size=7).run(3)) == 7


def test_the_archive_never_loses_hypervolume_and_never_outgrows_its_capacity() -> None:
    evolution = mixtures(2, archive=25)
    volumes = []
    corner = None
    for _ in range(60):
        evolution.step()
        front = evolution.front()
        corner = front.max(axis=0) * 1.1 if corner is None else corner
        volumes.append(hypervolume(front, corner))
        assert len(front) <= 25
        assert not nondominated_rank(front).any()
    assert (np.diff(volumes) >= -1e-12 * volumes[-1]).all()
    assert volumes[-1] > volumes[0]


@given(seed=st.integers(0, 2**32 - 1), capacity=st.integers(1, 12))
def test_what_leaves_the_archive_is_dominated_by_what_is_in_it(seed: int, capacity: int) -> None:
    rng = np.random.default_rng(seed)
    archive = Archive(capacity)
    before = np.zeros((0, 3))
    for batch in range(6):
        objectives = np.round(rng.random((8, 3)) * 6) - batch * rng.integers(2)
        zeros = np.zeros(8)
        archive.offer(Population(objectives, objectives, zeros, np.arange(8), np.zeros((8, 3), dtype=np.int64)))
        assert archive.members is not None
        now = archive.members.objectives
        assert len(now) <= capacity
        assert (now[:, None] <= before).all(axis=2).any(axis=0).all()
        assert len(np.unique(now, axis=0)) == len(now)
        before = now


def test_children_differ_from_their_parents_and_name_them() -> None:
    evolution = mixtures(3)
    before = evolution.step()
    for _ in range(30):
        values = {int(i): row for i, row in zip(before.ids, before.values, strict=True)}
        after = evolution.step()
        for i, parents, row in zip(after.ids, after.parents, after.values, strict=True):
            if int(i) not in values:
                assert all(int(parent) in values for parent in parents)
                assert all((values[int(parent)] != row).any() for parent in parents)
        before = after


@pytest.mark.parametrize(
    "executor", [ThreadPoolExecutor, partial(ProcessPoolExecutor, mp_context=multiprocessing.get_context("spawn"))]
)
def test_runs_are_the_same_with_any_number_of_workers(executor: Callable[..., Executor]) -> None:
    found = []
    for workers in (1, 2):
        with executor(workers) as pool:
            found.append(independent_runs(best_of_a_run, 11, 3, pool))
    assert found[0] == found[1]
    assert len(set(found[0])) == 3


def best_of_a_run(seed: np.random.SeedSequence) -> tuple[float, ...]:
    evolution = NSGA2(ZDT1.evaluate, ZDT1.lower, ZDT1.upper, np.random.default_rng(seed), size=20)
    evolution.run(5)
    return evolution.history[-1].ideal


def test_evaluations_in_blocks_are_those_of_the_whole() -> None:
    with ThreadPoolExecutor(2) as pool:
        blocks = NSGA2(spread_over(pool, ZDT1.evaluate, 3), ZDT1.lower, ZDT1.upper, generator(5), size=20)
        assert blocks.run(5).objectives.tobytes() == nsga2(5).run(5).objectives.tobytes()


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_mixtures_keep_every_limit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, shared = int(rng.integers(3, 30)), int(rng.integers(0, 5))
    upper = 100 * 10 ** rng.uniform(-3, 0, count)
    upper[0] = 100
    weights = rng.random((shared, count)) * (rng.random((shared, count)) < 0.4)
    weights[:, 0] = 0
    composition = Composition(
        upper, weights, 10 ** rng.uniform(-1, 1.5, shared), lower_active=0.1, most_active=int(rng.integers(1, 8))
    )
    shares = composition.project(rng.normal(size=(20, count)) * 60)
    assert composition.kept(shares).all()
    assert (shares >= 0).all()
    assert np.abs(shares.sum(axis=1) - 100).max() <= 1e-9
    assert (shares <= upper + 1e-9).all()
    assert (shares @ weights.T <= composition.bounds + 1e-9).all()
    assert not ((shares > 0) & (shares < 0.1)).any()
    assert (shares > 0).sum(axis=1).max() <= composition.most_active
    np.testing.assert_allclose(composition.project(shares), shares, atol=1e-8)


@pytest.mark.parametrize(
    ("upper", "weights", "bounds", "options", "text"),
    [
        ([20, 30], None, None, {}, "the components' limits allow 50 in all, and 100 is wanted"),
        ([60, 60, 60], None, None, {"most_active": 1}, "1 components can not make up 100; the largest limits: a 60"),
        ([100, 100], [[1, 1]], [40], {"bound_names": ["both"]}, "the components' limits allow 80 in all"),
        ([80, 80, 10], [[1, 1, 0]], [85], {"bound_names": ["a and b"]}, "keeps these limits together: a and b"),
        ([100, 0.05], None, None, {"lower_active": 100.5}, "allow 0 in all"),
    ],
)
def test_limits_that_leave_no_mixture_are_named_before_anything_runs(
    upper: list[float],
    weights: list[list[float]] | None,
    bounds: list[float] | None,
    options: dict[str, object],
    text: str,
) -> None:
    with pytest.raises(Infeasible, match=text):
        Composition(upper, weights, bounds, names="abc"[: len(upper)], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([50, -1, 90],), "upper holds a number that is negative"),
        (([50, np.nan, 90],), "upper holds a number that is negative or not finite"),
        (([90, 90], [[1, 1, 1]], [3]), "do not fit"),
    ],
)
def test_what_is_no_limit_is_refused(arguments: tuple[object, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Composition(*arguments)  # type: ignore[arg-type]


def test_what_people_propose_keeps_its_ratios_and_zeros() -> None:
    composition = Composition([100, 100, 10, 100], lower_active=0.1)
    [shares] = composition.scale([4, 2, 5, 0])
    assert shares[3] == 0
    assert shares[2] == pytest.approx(10)
    assert shares[0] == pytest.approx(2 * shares[1])
    with pytest.raises(Infeasible, match="component 2 can not make up 100"):
        composition.scale([0, 0, 5, 0])


@pytest.mark.parametrize("size", [2, 7, 100])
def test_everybody_enters_tournaments_as_often_as_everybody_else(size: int) -> None:
    wins = np.bincount(variation.tournament(generator(1), size, size), minlength=size)
    assert wins[0] == 2, "the best wins both"
    assert wins[-1] == 0


@given(seed=st.integers(0, 2**32 - 1), probability=st.sampled_from([0.001, 0.1, 0.5, 1.0]))
def test_variation_stays_within_its_bounds_and_changes_what_it_says(seed: int, probability: float) -> None:
    rng = np.random.default_rng(seed)
    lower, upper = np.array([-1.0, 0, 5]), np.array([1.0, 1e-6, 9])
    one, other = rng.uniform(lower, upper, (2, 50, 3))
    for child in variation.simulated_binary_crossover(rng, one, other, lower, upper):
        assert ((lower <= child) & (child <= upper)).all()
    mutant = variation.polynomial_mutation(rng, one, lower, upper, probability=probability)
    assert ((lower <= mutant) & (mutant <= upper)).all()
    scaled = variation.lognormal_mutation(rng, np.abs(one), probability=probability)
    assert ((scaled > 0) == (one != 0)).all()
    moved = variation.transfer(rng, np.abs(one), probability=probability)
    np.testing.assert_allclose(moved.sum(axis=1), np.abs(one).sum(axis=1))
    assert (moved >= 0).all()
    shifted = variation.differential(rng, one, other, other[::-1])
    np.testing.assert_allclose((shifted - one).sum(), 0, atol=60)


@pytest.mark.parametrize("index", [2.0, 15.0])
def test_crossover_keeps_the_mean_of_a_pair_far_from_its_bounds(index: int) -> None:
    rng = generator(9)
    one, other = rng.normal(size=(2, 4000, 2))
    far = np.full(2, 1e6)
    first, second = variation.simulated_binary_crossover(rng, one, other, -far, far, index=index)
    np.testing.assert_allclose(first + second, one + other, atol=1e-6)
    crossed = (first != one) & (first != other)
    assert crossed.mean() == pytest.approx(0.45, abs=0.03), "0.9 of the pairs, half of the variables"


@pytest.mark.moga_stability
@pytest.mark.parametrize(("components", "least"), [(60, 0.95), (200, 0.85)])
def test_the_default_reaches_the_exact_front_of_formulas(components: int, least: float) -> None:
    problem = formulation(components, seed=0)
    exact = oracle(problem)
    ratios = []
    for seed in range(3):
        evolution = MixtureEvolution(problem.evaluate, Composition(problem.caps, total=1.0), generator(seed))
        ratios.append(exact.ratio(evolution.run(250).objectives))
    assert np.median(ratios) >= least
