"""NSGA-II on problems whose front is known: as good as two other libraries, whose runs tests/data/peers.json holds.

`python benchmarks/peers.py --record` makes that file anew. Our runs are live, with as many evaluations and fixed seeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from math import comb
from pathlib import Path

import numpy as np
import pytest
from problems import PROBLEMS, Floats, Problem

from pytest_artisan.moga import variation
from pytest_artisan.moga.evolution import NSGA2
from pytest_artisan.moga.indicators import hypervolume, inverted_generational_distance
from pytest_artisan.moga.ranking import Ranks, crowding_distance, nondominated_rank
from pytest_artisan.moga.survival import Survival, crowding

RECORD = json.loads((Path(__file__).parent / "data" / "peers.json").read_text(encoding="utf-8"))
SETTINGS = RECORD["settings"]
# The chance that a run of ours beats one of theirs is 1/2 where both are alike, and its standard error is 0.074 for 31
# runs each: 0.25 is more than three of them away. Faults in crowding, mutation or selection give 0.00 to 0.10.
LEAST_CHANCE = 0.25
# A share of the front's hypervolume that a run which arrives has. DTLZ1 has others with any method, DTLZ4 is known for
# them; they are counted, and then left out, as no mean or median tells how many there are.
COLLAPSED = 0.5

Make = Callable[[Problem, np.random.Generator], NSGA2]


def ours(problem: Problem, rng: np.random.Generator, survive: Survival = crowding) -> NSGA2:
    return NSGA2(problem.evaluate, problem.lower, problem.upper, rng, size=SETTINGS["size"], survive=survive)


def measured(problem: Problem, make: Make, seeds: range) -> tuple[Floats, Floats]:
    """The hypervolume and the IGD (seeds,) of a run for each seed."""
    front = problem.front(SETTINGS["front"])
    found = []
    for seed in seeds:
        evolution = make(problem, np.random.Generator(np.random.SFC64(seed)))
        evolution.run(SETTINGS["generations"] + 1)  # The record's generations come after the first population.
        points = evolution.objectives
        found.append((hypervolume(points, problem.reference), inverted_generational_distance(points, front)))
    volumes, distances = np.array(found).T
    return volumes, distances


def chance_to_beat(ours: Floats, theirs: Floats) -> float:
    """The chance that one of `ours` is larger than one of `theirs`; a tie counts half (Vargha and Delaney's A)."""
    return float((ours[:, None] > theirs).mean() + (ours[:, None] == theirs).mean() / 2)


def chance_of_so_many(ours: int, runs: int, theirs: int, their_runs: int) -> float:
    """The chance of at least `ours` among `runs` if all collapse alike (Fisher's exact test)."""
    both = ours + theirs
    ways = [comb(runs, k) * comb(their_runs, both - k) for k in range(both + 1)]
    return sum(ways[ours:]) / sum(ways)


def shortfalls(problem: Problem, volumes: Floats, distances: Floats) -> list[str]:
    """What is worse than in both libraries: how many runs collapse, or how good the others are."""
    floor = COLLAPSED * problem.hypervolume
    ours = volumes >= floor
    libraries = [{key: np.array(of) for key, of in run.items()} for run in RECORD["runs"][problem.name].values()]
    theirs = [run["hypervolume"] >= floor for run in libraries]
    counts = [(~up).sum() for up in (ours, np.concatenate(theirs))]
    if chance_of_so_many(int(counts[0]), len(ours), int(counts[1]), sum(map(len, theirs))) < 0.01:
        return [f"{counts[0]} of {len(ours)} runs collapsed"]
    found = []
    for key, values, sign in (("hypervolume", volumes, 1), ("igd", distances, -1)):
        pairs = zip(libraries, theirs, strict=True)
        chances = [chance_to_beat(sign * values[ours], sign * run[key][up]) for run, up in pairs]
        if max(chances) < LEAST_CHANCE:
            found.append(f"{key}: the chance to beat each library is {chances}")
    return found


@pytest.mark.moga_stability
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_fronts_are_as_good_as_those_of_two_libraries(problem: Problem) -> None:
    volumes, distances = measured(problem, ours, range(SETTINGS["seeds"]))
    assert (volumes < problem.hypervolume).all()
    assert shortfalls(problem, volumes, distances) == []


def most_crowded_first(objectives: Floats, count: int) -> Ranks:
    rank = nondominated_rank(objectives)
    return np.lexsort((crowding_distance(objectives, rank), rank))[:count]


def ends_not_kept(objectives: Floats, count: int) -> Ranks:
    rank = nondominated_rank(objectives)
    distance = crowding_distance(objectives, rank)
    return np.lexsort((-np.where(np.isinf(distance), 0, distance), rank))[:count]


@pytest.mark.parametrize("fault", ["most_crowded_first", "ends_not_kept", "no_mutation"])
def test_a_fault_shows(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the comparison would prove nothing; a third of the seeds is enough."""
    survive = {"most_crowded_first": most_crowded_first, "ends_not_kept": ends_not_kept}.get(fault, crowding)
    if fault == "no_mutation":
        monkeypatch.setattr(variation, "polynomial_mutation", lambda _, values, *__, **___: values)
    problem = PROBLEMS["ZDT1"]
    assert shortfalls(problem, *measured(problem, partial(ours, survive=survive), range(11))) != []


@pytest.mark.parametrize(("ours", "runs", "theirs", "their_runs", "chance"), [(0, 31, 0, 62, 1.0), (2, 3, 0, 3, 0.2)])
def test_the_chance_of_so_many(ours: int, runs: int, theirs: int, their_runs: int, chance: float) -> None:
    assert chance_of_so_many(ours, runs, theirs, their_runs) == pytest.approx(chance)


def test_runs_that_collapse_show() -> None:
    problem = PROBLEMS["DTLZ4"]
    theirs = RECORD["runs"][problem.name]["pygmo"]
    volumes, distances = np.array(theirs["hypervolume"]), np.array(theirs["igd"])
    assert shortfalls(problem, volumes, distances) == []
    volumes[:5] = 0.33
    assert shortfalls(problem, volumes, distances) == ["5 of 31 runs collapsed"]
