"""Evolution that is asked for candidates and told their objectives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pytest_artisan.moga import survival
from pytest_artisan.moga.archive import Archive
from pytest_artisan.moga.composition import Composition
from pytest_artisan.moga.population import MOST_PARENTS, Population
from pytest_artisan.moga.ranking import Floats, matrix_of, nondominated_rank
from pytest_artisan.moga.survival import Survival
from pytest_artisan.moga.variation import Variation, in_box, of_mixtures

Evaluate = Callable[[Floats], ArrayLike]


class Generation(NamedTuple):
    """What was true after a generation: recorded then, never reconstructed."""

    number: int
    evaluations: int
    survivors: int  # of this generation's children
    ideal: tuple[float, ...]
    nadir: tuple[float, ...]
    archived: int


class Evolution:
    """Generations of candidates, minimising M objectives.

    `first` (N, n): the first generation. `vary` makes children, `survive` chooses N of parents and children, `evaluate`
    (N, n) -> (N, M) serves `run`. `archive`: how many non-dominated candidates are kept beside the population, never
    losing one but to a better one. The same generator state gives the same bytes.
    """

    def __init__(
        self,
        first: Floats,
        *,
        vary: Variation,
        survive: Survival,
        rng: np.random.Generator,
        evaluate: Evaluate | None = None,
        archive: int = 0,
    ) -> None:
        self.rng = rng
        self.history: list[Generation] = []
        self.archive = Archive(archive)
        self._vary, self._survive, self._evaluate = vary, survive, evaluate
        self._size = len(first)
        self._pending: Floats | None = first
        self._parents = np.full((len(first), MOST_PARENTS), -1, dtype=np.int64)
        self._population: Population | None = None
        self._evaluations = 0

    @property
    def population(self) -> Population:
        """The survivors, best first. Raises RuntimeError before the first `tell`."""
        if self._population is None:
            raise RuntimeError("nothing was evaluated yet")
        return self._population

    @property
    def values(self) -> Floats:
        return self.population.values

    @property
    def objectives(self) -> Floats:
        return self.population.objectives

    def ask(self) -> Floats:
        """The candidates (N, n) to evaluate next; the same ones until `tell`."""
        if self._pending is None:
            self._pending, positions = self._vary(self.rng, self.population.values)
            self._parents = np.full_like(self._parents, -1)
            self._parents[:, : positions.shape[1]] = self.population.ids[positions]
        return self._pending

    def tell(self, objectives: ArrayLike, violations: ArrayLike | None = None) -> Generation:
        """Take the `objectives` (N, M) of the candidates that were asked for, and go on.

        `violations` (N,) >= 0 are for constraints that nothing projects onto; 0 is feasible. Raises ValueError for a
        number that is not finite, or another shape.
        """
        children = self._told(objectives, violations)
        everybody = children if self._population is None else self._population.joined(children)
        if everybody.violations.any():
            chosen = survival.with_violations(self._survive, everybody.objectives, everybody.violations, self._size)
        else:
            chosen = self._survive(everybody.objectives, self._size)
        self._population = everybody.of(chosen)
        fresh = np.flatnonzero(self._population.ids >= self._evaluations)
        if self.archive.capacity and len(fresh):
            self.archive.offer(self._population.of(fresh))
        self._evaluations += len(children)
        self._pending = None
        return self._record(len(fresh))

    def step(self) -> Population:
        """Ask, evaluate and tell, once; the survivors."""
        self.tell(self.evaluate(self.ask()))
        return self.population

    @property
    def objective_names(self) -> tuple[str, ...]:
        """As what evaluates names them, in its attribute `names`; empty where it does not."""
        return tuple(getattr(self._evaluate, "names", ()))

    def evaluate(self, values: Floats) -> Floats:
        """Objectives (N, M) of candidates (N, n). Raises RuntimeError where the evolution was made without."""
        if self._evaluate is None:
            raise RuntimeError("an evolution without evaluate can only ask and tell")
        return np.asarray(self._evaluate(values), dtype=np.float64)

    def front(self) -> Floats:
        """Objectives (A, M) of the archive; without one, of the survivors that nothing dominates."""
        if self.archive.members is not None:
            return self.archive.members.objectives
        best: Floats = self.objectives[nondominated_rank(self.objectives, enough=1) == 0]
        return best

    def run(self, generations: int) -> Population:
        """So many steps, the first generation being one; the survivors."""
        for _ in range(generations):
            self.step()
        return self.population

    def _told(self, objectives: ArrayLike, violations: ArrayLike | None) -> Population:
        values = self.ask()
        matrix = matrix_of(objectives)
        broken = np.zeros(len(values)) if violations is None else np.asarray(violations, dtype=np.float64)
        if len(matrix) != len(values) or broken.shape != (len(values),):
            raise ValueError(f"{len(values)} candidates were asked for, and {len(matrix)} told")
        if not np.isfinite(matrix).all():
            worst = int((~np.isfinite(matrix)).any(axis=1).argmax())
            raise ValueError(
                f"candidate {worst} of generation {len(self.history) + 1} has the objectives {matrix[worst]}"
            )
        ids = np.arange(self._evaluations, self._evaluations + len(values))
        parents = self._parents
        return Population(values, matrix, broken, ids, parents)

    def _record(self, survivors: int) -> Generation:
        objectives = self.population.objectives
        ideal, nadir = tuple(objectives.min(axis=0).tolist()), tuple(objectives.max(axis=0).tolist())
        generation = Generation(len(self.history) + 1, self._evaluations, survivors, ideal, nadir, len(self.archive))
        self.history.append(generation)
        return generation


class NSGA2(Evolution):
    """The classic combination for variables within bounds: simulated binary crossover, polynomial mutation, crowding.

    `lower` and `upper` (n,). Source: Deb et al. 2002; the numbers of its section IV are the defaults, but for the
    crossover's index, where today's libraries agree on 15.
    """

    def __init__(
        self,
        evaluate: Evaluate | None,
        lower: ArrayLike,
        upper: ArrayLike,
        rng: np.random.Generator,
        *,
        size: int = 100,
        survive: Survival = survival.crowding,
        archive: int = 0,
    ) -> None:
        low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
        if low.ndim != 1 or low.shape != high.shape or not (low < high).all():
            raise ValueError("lower and upper are (n,), and each lower bound is below its upper one")
        first = rng.uniform(low, high, size=(size, len(low)))
        vary = in_box(low, high)
        super().__init__(first, vary=vary, survive=survive, rng=rng, evaluate=evaluate, archive=archive)


class MixtureEvolution(Evolution):
    """The combination for compositions: differential moves and crossover, projected onto the limits; hypervolume."""

    def __init__(
        self,
        evaluate: Evaluate | None,
        composition: Composition,
        rng: np.random.Generator,
        *,
        size: int = 100,
        survive: Survival = survival.hypervolume,
        archive: int = 400,
    ) -> None:
        self.limits = composition
        first = composition.sample(rng, size)
        vary = of_mixtures(composition)
        super().__init__(first, vary=vary, survive=survive, rng=rng, evaluate=evaluate, archive=archive)
