"""Optimizers with a planted fault each, for drills and tests: the gate has to say NO-GO to every one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from pytest_artisan.moga.composition import Composition
from pytest_artisan.moga.evolution import MixtureEvolution
from pytest_artisan.moga.population import Population
from pytest_artisan.moga.ranking import Floats

_COMPONENTS = 8
_WANTED = np.random.default_rng(8).random((2, _COMPONENTS))
_LIMITS = Composition(
    np.array([100.0, 60, 50, 40, 30, 20, 10, 5]),
    np.array([[0.0, 0, 0, 0, 0, 1, 1, 1]]),
    np.array([12.0]),
    lower_active=0.1,
)


def _distance(shares: Floats) -> Floats:
    """How far mixtures (N, n) are from two wanted ones: objectives (N, 2)."""
    wanted = 100 * _WANTED / _WANTED.sum(axis=1, keepdims=True)
    return np.asarray(((shares[:, None] - wanted) ** 2).sum(axis=2))


def sound(seed: int, rng: np.random.Generator | None = None) -> MixtureEvolution:
    """An optimizer without a fault."""
    return MixtureEvolution(_distance, _LIMITS, rng or np.random.default_rng(seed), size=20, archive=50)


class Saboteur:
    """A sound optimizer whose population `spoil` changes from iteration `since` on."""

    def __init__(self, spoil: Callable[[Population, Saboteur], Population], since: int, seed: int) -> None:
        self._optimizer, self._spoil, self._since = sound(seed), spoil, since
        self.iteration = 0
        self.first: Population | None = None
        self.limits, self.evaluate = _LIMITS, _distance

    def step(self) -> Population:
        self.iteration += 1
        population = self._optimizer.step()
        self.first = self.first or population
        return self._spoil(population, self) if self.iteration >= self._since else population

    def front(self) -> Floats:
        front = self._optimizer.front()
        return front if self._spoil is not forgetful else front[: max(1, len(front) // self.iteration)]


def _shares(change: Callable[[Floats], None]) -> Callable[[Population, Saboteur], Population]:
    """A fault of the first formula's shares."""

    def spoil(population: Population, saboteur: Saboteur) -> Population:
        values = population.values.copy()
        change(values)
        return replace(population, values=values)

    return spoil


def _over_limit(values: Floats) -> None:
    values[0] = 0
    values[0, [0, 7]] = 90, 10


def _negative(values: Floats) -> None:
    values[0] = 0
    values[0, [0, 1]] = 101, -1


def _empty(values: Floats) -> None:
    values[0] = 0


def _trace(values: Floats) -> None:
    values[0] = 0
    values[0, [0, 1]] = 99.95, 0.05


def _drift(population: Population, saboteur: Saboteur) -> Population:
    return replace(population, values=population.values * (1 + 1e-5 * saboteur.iteration))


def _unchanged(population: Population, saboteur: Saboteur) -> Population:
    return saboteur.first or population


def _collapsed(population: Population, saboteur: Saboteur) -> Population:
    return population.of(np.zeros(len(population), dtype=np.intp))


def _not_a_number(population: Population, saboteur: Saboteur) -> Population:
    objectives = population.objectives.copy()
    objectives[0, 0] = np.nan
    return replace(population, objectives=objectives)


def _orphaned(population: Population, saboteur: Saboteur) -> Population:
    return replace(population, parents=np.full_like(population.parents, -1))


def _copied(population: Population, saboteur: Saboteur) -> Population:
    """Every formula is the first one's, and the next generation's children have it for a parent."""
    return replace(population, values=np.repeat(population.values[:1], len(population), axis=0))


def _flat(population: Population, saboteur: Saboteur) -> Population:
    objectives = population.objectives.copy()
    objectives[:, 1] = objectives[0, 1]
    return replace(population, objectives=objectives)


def forgetful(population: Population, saboteur: Saboteur) -> Population:
    """Its front loses members."""
    return population


# What each is caught by, what it does, and since which iteration.
FAULTS: dict[str, tuple[Callable[[Population, Saboteur], Population], int]] = {
    "over_limit": (_shares(_over_limit), 2),
    "sum_deviation": (_drift, 2),
    "renewals": (_unchanged, 1),
    "diversity": (_collapsed, 5),
    "not_finite": (_not_a_number, 30),
    "negatives": (_shares(_negative), 2),
    "empties": (_shares(_empty), 2),
    "traces": (_shares(_trace), 2),
    "falls": (forgetful, 2),
    "orphans": (_orphaned, 2),
    "copies": (_copied, 2),
    "extent": (_flat, 2),
}


def planted(fault: str) -> Callable[[int], Saboteur]:
    """A factory of optimizers with this one of `FAULTS`."""
    return partial(Saboteur, *FAULTS[fault])


BY_SEED = [planted(fault) for fault in FAULTS][:10]


def sharing_a_generator(seed: int) -> MixtureEvolution:
    """All randomness from numpy's global generator, whatever the seed."""
    return sound(seed, np.random.Generator(np.random.PCG64(np.random.randint(2**31))))


class RandomSearch:
    """Draws formulas and forgets them."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed + 1000)
        self.limits, self.evaluate = _LIMITS, _distance
        self._drawn = 0

    def step(self) -> Population:
        values = _LIMITS.sample(self._rng, 20)
        ids = np.arange(self._drawn, self._drawn + 20)
        self._drawn += 20
        self._objectives = _distance(values)
        return Population(values, self._objectives, np.zeros(20), ids, np.full((20, 1), -1))

    def front(self) -> Floats:
        return self._objectives
