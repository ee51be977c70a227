"""What one brief's experiments have taught: a taste, and a policy for each algorithm."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from pytest_artisan.fragrance.brief import Brief
from pytest_artisan.fragrance.environment import HORIZON, FormulaEnvironment
from pytest_artisan.fragrance.evolution import composition_of
from pytest_artisan.fragrance.experiments import Experiment, Feedback
from pytest_artisan.fragrance.formula import weighable
from pytest_artisan.fragrance.ingredients import Catalogue
from pytest_artisan.fragrance.objectives import Objectives
from pytest_artisan.fragrance.preference import Preference
from pytest_artisan.moga import survival
from pytest_artisan.moga.evolution import Evolution
from pytest_artisan.moga.ranking import Floats
from pytest_artisan.moga.simplex import Infeasible
from pytest_artisan.moga.variation import of_mixtures
from pytest_artisan.rl import get_trainer
from pytest_artisan.rl.guard import Guard
from pytest_artisan.rl.optimization import Schedule
from pytest_artisan.rl.policies import Gaussian
from pytest_artisan.rl.trainers import Metrics, Settings

# Options that come from evolution alone.
GENETIC: Final = "GA"
# Each rollout is one episode of every environment.
ENVIRONMENTS = 64
# An update has few samples: wide steps, which the limit of its divergence holds.
SETTINGS = {
    "PPO": Settings(steps=HORIZON, updates=500, epochs=8, minibatch=48, hidden=(32, 32), rate=Schedule(2e-4, 1e-4)),
    "REINFORCE": Settings(steps=HORIZON, updates=500, hidden=(32, 32), rate=Schedule(3e-3, 1e-3)),
}
# Options that differ by less than this, in per cent of the formula that is exchanged, are the same to a nose.
LEAST_DISTANCE = 2.0
# Rounds of proposals, each twice as bold as the one before, until enough of them differ.
_ROUNDS = 6
# How many are drawn for each that is taken, where they shall be far apart.
_DRAWN = 3
# An evolution without a policy: how many there are, and generations between two looks at them.
_BRED, _GENERATIONS = 40, 10
_WISH = re.compile(r"\b(more|less)\s+(\w+)")


class Apprentice:
    """Learns from feedback on the formulas for one brief, in the order in which it was given, and proposes new ones."""

    def __init__(
        self,
        brief: Brief,
        catalogue: Catalogue,
        unlisted_limit: float | None,
        seed: int,
        settings: Mapping[str, Settings],
    ) -> None:
        self.limits = composition_of(brief, catalogue, unlisted_limit)
        self.objectives = Objectives(list(catalogue), brief)
        self._catalogue, self._seed, self._settings = catalogue, seed, settings
        self._place = {item.cas: place for place, item in enumerate(catalogue)}
        self._preference = Preference(len(self.objectives.traits))
        start = self.limits.sample(np.random.default_rng(seed), 1)
        self._environment = FormulaEnvironment(self.limits, self.objectives, self._preference, start, ENVIRONMENTS)
        self._guards: dict[str, Guard] = {}
        # What was rated, and how; what was chosen, and over what.
        self._rated: list[Floats] = []
        self._ratings: list[float] = []
        self._better: list[Floats] = []
        self._worse: list[Floats] = []
        self.heard = 0
        # How much of it an algorithm has learnt from.
        self.learnt: dict[str, int] = {}

    def guard(self, algorithm: str) -> Guard:
        """The trainer of this name, with what undoes its harm; raises ValueError for an unknown one."""
        if algorithm not in self._guards:
            settings = self._settings.get(algorithm)
            policy = Gaussian(len(self.objectives.traits))
            self._guards[algorithm] = Guard(
                get_trainer(self._environment, algorithm, seed=self._seed, settings=settings, policy=policy)
            )
        return self._guards[algorithm]

    def shares(self, compositions: Sequence[Mapping[str, float]]) -> Floats:
        """Rows (N, n) of the catalogue's materials; raises UnknownMaterial."""
        rows = np.zeros((len(compositions), len(self._catalogue)))
        for row, composition in zip(rows, compositions, strict=True):
            for cas, share in composition.items():
                row[self._place[self._catalogue.by_cas(cas).cas]] = share
        return rows

    def hear(self, said: Sequence[tuple[Experiment, Feedback]]) -> None:
        """Take in what was said: ratings, choices among options, and wishes such as `more citrus, less woody`."""
        if not said:
            return
        for experiment, feedback in said:
            self._note(experiment, feedback)
        traits = len(self.objectives.traits)
        self._preference.learn(
            np.array(self._rated),
            np.array(self._ratings),
            np.reshape(self._better, (-1, traits)),
            np.reshape(self._worse, (-1, traits)),
        )
        last = said[-1][0]
        self._environment.starts = self.shares([last.dna, *(option.composition for option in last.options)])
        self.heard += len(said)

    def _note(self, experiment: Experiment, feedback: Feedback) -> None:
        offered = self.shares([option.composition for option in experiment.options])
        smells = self.objectives.smell(offered)
        chosen = [option.id for option in experiment.options].index(feedback.chosen)
        self._rated.append(smells[chosen])
        self._ratings.append(feedback.rating)
        for other in np.delete(smells, chosen, axis=0):
            self._better.append(smells[chosen])
            self._worse.append(other)
        for way, word in _WISH.findall(feedback.notes.lower()):
            if word in self.objectives.traits:
                with_it = np.eye(len(self.objectives.traits))[self.objectives.traits.index(word)]
                pair = (with_it, np.zeros_like(with_it))
                self._better.append(pair[way == "less"])
                self._worse.append(pair[way == "more"])

    def learn(self, algorithm: str) -> Metrics:
        """One update of the policy, by episodes that start at the last experiment's formulas."""
        guard = self.guard(algorithm)
        guard.trainer.restart()
        return guard.train()

    def propose(
        self, algorithm: str, dna: Floats, count: int, rng: np.random.Generator, *, apart: bool = False
    ) -> Floats:
        """Formulas (count, n) that can be weighed, each unlike the others and the DNA (n,), drawn from the policy.

        `apart` draws more, and takes those whose smells are the furthest from each other, so that a choice tells more.
        Raises Infeasible where the limits leave no room for so many.
        """
        if apart:
            return self._furthest(self.propose(algorithm, dna, _DRAWN * count, rng), count)
        starts = np.tile(dna, (2 * count, 1))
        boldnesses = 2.0 ** np.arange(_ROUNDS)
        return self._differing(dna, count, (self._episodes(algorithm, starts, bold, rng) for bold in boldnesses))

    def breed(self, dna: Floats, count: int, rng: np.random.Generator) -> Floats:
        """As `propose`, but from an evolution that begins with the DNA's children, the best fit first: nothing is learnt."""
        vary = of_mixtures(self.limits)
        first = vary(rng, np.tile(dna, (_BRED, 1)))[0]
        evolution = Evolution(first, vary=vary, survive=survival.crowding, rng=rng, evaluate=self.objectives)
        populations = (evolution.run(_GENERATIONS) for _ in range(_ROUNDS))
        return self._differing(dna, count, (each.values[each.objectives[:, 0].argsort()] for each in populations))

    def _differing(self, dna: Floats, count: int, rounds: Iterable[Floats]) -> Floats:
        """The first `count` that can be weighed and are unlike the DNA and each other. Raises Infeasible."""
        kept = [dna]
        for shares in (row for candidates in rounds for row in candidates):
            try:
                mixture = weighable(shares, self.limits)
            except ValueError:
                continue
            if np.abs(np.array(kept) - mixture).sum(axis=1).min() >= 2 * LEAST_DISTANCE:
                kept.append(mixture)
            if len(kept) > count:
                return np.array(kept[1:])
        raise Infeasible(f"the limits leave no room for {count} formulas that differ")

    def _furthest(self, shares: Floats, count: int) -> Floats:
        """The first of `shares` (N, n), and then each time the one furthest from its nearest among those taken."""
        smells = self.objectives.smell(shares)
        taken = [0]
        distance = np.abs(smells - smells[0]).sum(axis=1)
        while len(taken) < count:
            taken.append(int(distance.argmax()))
            distance = np.minimum(distance, np.abs(smells - smells[taken[-1]]).sum(axis=1))
        return shares[taken]

    def _episodes(self, algorithm: str, shares: Floats, boldness: float, rng: np.random.Generator) -> Floats:
        """Where one episode of the policy leads from each of `shares` (N, n)."""
        trainer = self.guard(algorithm).trainer
        self._environment.begin(shares)
        free = trainer.network.free + np.float32(np.log(boldness))
        for _ in range(HORIZON):
            observations = self._environment.observe().astype(np.float32)
            actions = trainer.policy.sample(trainer.network.act(observations), free, rng)
            self._environment.advance(actions.astype(np.float64))
        return self._environment.shares

    def points(self, algorithm: str, shares: Floats) -> Floats:
        """What formulas (N, n) are worth, (N,): their points, and those that the critic expects another episode to add.

        GENETIC has no critic.
        """
        self._environment.begin(shares)
        if algorithm == GENETIC:
            return np.asarray(self._environment.points)
        observations = self._environment.observe().astype(np.float32)
        return np.asarray(self._environment.points + self.guard(algorithm).trainer.values(observations))
