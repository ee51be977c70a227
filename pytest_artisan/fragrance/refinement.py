"""DNA to options to feedback to better options: a formula refined by what people say about it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import numpy as np
from cachetools import LRUCache

from pytest_artisan.fragrance.apprentice import GENETIC, SETTINGS, Apprentice
from pytest_artisan.fragrance.brief import Brief
from pytest_artisan.fragrance.evolution import digest_of
from pytest_artisan.fragrance.experiments import Checkpoint, Experiment, Feedback, Option, Store, WrittenBrief
from pytest_artisan.fragrance.formula import Formula
from pytest_artisan.fragrance.ingredients import Catalogue, load_catalogue
from pytest_artisan.fragrance.limits import Product, violations
from pytest_artisan.fragrance.objectives import OBJECTIVES
from pytest_artisan.fragrance.preference import BEST, WORST
from pytest_artisan.moga.ranking import Floats
from pytest_artisan.moga.simplex import Infeasible
from pytest_artisan.rl import ALGORITHMS
from pytest_artisan.rl.checkpoints import CheckpointError, pack, unpack
from pytest_artisan.rl.trainers import Metrics, Settings
from pytest_artisan.settings import SettingsError

FEWEST_OPTIONS = 3
# A formula's shares may miss 100 % by as much.
_SUM = 0.01
# Briefs whose apprentices stay in memory; one that was dropped comes back from its checkpoints and records.
_APPRENTICES = 64


class RefinementError(SettingsError):
    """What can not be refined, or an answer to what was never asked."""


class UnknownExperiment(RefinementError):
    """An experiment that nobody made."""


class NotOffered(RefinementError):
    """A choice that was none of an experiment's options."""


class AlreadyAnswered(RefinementError):
    """A second feedback for an experiment, which takes one."""


class Refinement:
    """The whole flow over one store. Every algorithm learns from all feedback on its brief, also from what was given
    under another one, or while no process was there to learn: it catches up before it proposes."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue | None = None,
        *,
        algorithm: str = "PPO",
        unlisted_limit: float | None = None,
        seed: int = 0,
        settings: Mapping[str, Settings] = SETTINGS,
    ) -> None:
        self._store, self._unlisted, self._seed, self._settings = store, unlisted_limit, seed, settings
        self._catalogue = load_catalogue() if catalogue is None else catalogue
        self._algorithm = _known(algorithm)
        self._apprentices: LRUCache[str, Apprentice] = LRUCache(_APPRENTICES)

    def options(
        self,
        dna: Formula | Mapping[str, float],
        brief: Brief,
        algorithm: str | None = None,
        n: int = FEWEST_OPTIONS,
        *,
        apart: bool = False,
    ) -> Experiment:
        """At least 3 formulas made of `dna`, all within their limits, none like another, the most promising first.

        GENETIC evolves them from `dna`, whatever was said. Where they shall be far `apart`, a choice among them teaches
        more. The same store and arguments give the same
        options. Raises RefinementError for a DNA, an algorithm or a number
        that does not serve, NotPossible and UnknownMaterial.
        """
        algorithm = _known(algorithm or self._algorithm, GENETIC)
        if n < FEWEST_OPTIONS:
            raise RefinementError(f"n: {n} options are no choice; at least {FEWEST_OPTIONS}")
        composition = dict(dna.composition if isinstance(dna, Formula) else dna)
        self._check(composition, brief)
        subject, apprentice = self._apprentice(brief)
        if algorithm != GENETIC:
            self._catch_up(subject, apprentice, algorithm)
        number = self._store.count_experiments(subject)
        while True:
            name = f"{subject}-{number}"
            shares = self._proposed(number, apprentice, algorithm, composition, n, apart)
            options = self._offered(name, apprentice, algorithm, shares)
            for option in options:
                self._check(option.composition, brief)
            experiment = Experiment(name, _written(brief), composition, algorithm, options)
            try:
                self._store.add_experiment(subject, name, msgspec.json.encode(experiment))
            except KeyError:
                # Another process has just taken this number.
                number += 1
            else:
                return experiment

    def feedback(
        self, experiment: str, chosen: str, rating: float, notes: str = "", algorithm: str | None = None
    ) -> Metrics:
        """Keep what was said about an experiment, then learn from it: the metrics are those of the update.

        Where the process ends in between, it is learnt from later. Raises as `keep` does, and UnknownExperiment for one
        of other materials, from which nothing can be learnt any more.
        """
        algorithm = _known(algorithm or self._algorithm)
        subject, apprentice = self._apprentice(_read(self._experiment(experiment).brief))
        if not experiment.startswith(f"{subject}-"):
            raise UnknownExperiment(f"experiment {experiment!r} was made of other materials; ask for options again")
        # Before it is kept: from then on another process may learn from it, too, and leave nothing to learn here.
        self._catch_up(subject, apprentice, algorithm)
        self.keep(experiment, chosen, rating, notes)
        metrics = self._learn(subject, apprentice, algorithm)
        assert metrics is not None, "there was something to learn from"
        return metrics

    def keep(self, experiment: str, chosen: str, rating: float, notes: str = "") -> Experiment:
        """Put what was said on disk; it is learnt from with the next feedback, or before the next options.

        `notes` may hold wishes such as `more citrus, less woody`; all other words are only kept. Raises RefinementError
        for an unknown experiment or option, a rating outside 1 to 5, and a second feedback.
        """
        offered = self._experiment(experiment)
        known = [option.id for option in offered.options]
        if chosen not in known:
            raise NotOffered(f"chosen: {chosen!r} was not offered; experiment {experiment} has {', '.join(known)}")
        if not WORST <= rating <= BEST:  # nor is NaN
            raise RefinementError(f"rating: {rating!r} is not a number from {WORST} to {BEST}")
        try:
            self._store.add_feedback(
                experiment, msgspec.json.encode(Feedback(experiment, chosen, float(rating), notes))
            )
        except KeyError:
            raise AlreadyAnswered(f"experiment {experiment} has its feedback already") from None
        return offered

    def points(self, experiment: str, algorithm: str | None = None) -> dict[str, float]:
        """What an algorithm now expects of each option of an experiment, in points; raises RefinementError."""
        algorithm, offered = _known(algorithm or self._algorithm), self._experiment(experiment)
        subject, apprentice = self._apprentice(_read(offered.brief))
        self._catch_up(subject, apprentice, algorithm)
        points = apprentice.points(algorithm, apprentice.shares([option.composition for option in offered.options]))
        return {option.id: float(number) for option, number in zip(offered.options, points, strict=True)}

    def _apprentice(self, brief: Brief) -> tuple[str, Apprentice]:
        """The name of what is learnt about a brief, and who learns it."""
        subject = digest_of(brief, self._catalogue, self._seed)
        if subject not in self._apprentices:
            self._apprentices[subject] = Apprentice(brief, self._catalogue, self._unlisted, self._seed, self._settings)
        return subject, self._apprentices[subject]

    def _catch_up(self, subject: str, apprentice: Apprentice, algorithm: str) -> None:
        """Go on from where another process may have gone, then learn from what is new."""
        saved = self._store.load(subject, algorithm)
        if saved is not None and saved.learnt > apprentice.learnt.get(algorithm, 0):
            try:
                apprentice.guard(algorithm).restore(unpack(saved.content))
            except CheckpointError as error:
                raise RefinementError(f"{algorithm}'s checkpoint for {subject}: {error}") from None
            apprentice.learnt[algorithm] = saved.learnt
        self._learn(subject, apprentice, algorithm)

    def _learn(self, subject: str, apprentice: Apprentice, algorithm: str) -> Metrics | None:
        """Learn from what this algorithm has not learnt from; the metrics of the last update, if there was one."""
        learnt = apprentice.learnt.get(algorithm, 0)
        first = min(learnt, apprentice.heard)
        said = [
            (msgspec.json.decode(asked, type=Experiment), msgspec.json.decode(answer, type=Feedback))
            for asked, answer in self._store.feedback(subject, since=first)
        ]
        metrics = None
        apprentice.hear(said[apprentice.heard - first : learnt - first])
        for number, record in enumerate(said[learnt - first :], start=learnt + 1):
            if number > apprentice.heard:
                apprentice.hear([record])
            metrics = apprentice.learn(algorithm)
            apprentice.learnt[algorithm] = number
        if metrics is not None:
            state = apprentice.guard(algorithm).state()
            self._store.save(subject, algorithm, Checkpoint(apprentice.learnt[algorithm], pack(state)))
        return metrics

    def _experiment(self, name: str) -> Experiment:
        try:
            return msgspec.json.decode(self._store.experiment(name), type=Experiment)
        except KeyError:
            raise UnknownExperiment(f"there is no experiment {name!r}") from None
        except msgspec.MsgspecError as error:
            raise RefinementError(f"experiment {name} can not be read: {error}") from None

    def _proposed(
        self, number: int, apprentice: Apprentice, algorithm: str, composition: Mapping[str, float], n: int, apart: bool
    ) -> Floats:
        """The formulas (n, materials) of a subject's experiment of this number."""
        rng = np.random.Generator(np.random.SFC64([self._seed, number]))
        [start] = apprentice.shares([composition])
        try:
            if algorithm == GENETIC:
                return apprentice.breed(start, n, rng)
            return apprentice.propose(algorithm, start, n, rng, apart=apart)
        except Infeasible as error:
            raise RefinementError(f"options: {error}") from None

    def _offered(self, name: str, apprentice: Apprentice, algorithm: str, shares: Floats) -> tuple[Option, ...]:
        points = apprentice.points(algorithm, shares)
        objectives = apprentice.objectives(shares)
        return tuple(
            Option(
                f"{name}-{number}",
                {item.cas: float(share) for item, share in zip(self._catalogue, shares[place], strict=True) if share},
                dict(zip(OBJECTIVES, objectives[place].tolist(), strict=True)),
                float(points[place]),
            )
            for number, place in enumerate(np.argsort(-points, kind="stable"))
        )

    def _check(self, composition: Mapping[str, float], brief: Brief) -> None:
        """Raise RefinementError where a composition is none, or over a limit."""
        broken = violations(composition, self._catalogue, brief.product, self._unlisted)
        if broken:
            raise RefinementError(f"the composition is over a limit: {broken[0]}")
        total = math.fsum(composition.values())
        if not abs(total - 100) <= _SUM:
            raise RefinementError(f"the composition sums to {total:.6g} %, not to 100 %")


def _known(algorithm: str, *others: str) -> str:
    known = (*ALGORITHMS, *others)
    if algorithm not in known:
        raise RefinementError(f"unknown algorithm {algorithm!r}; known: {', '.join(known)}")
    return algorithm


def _written(brief: Brief) -> WrittenBrief:
    return WrittenBrief(
        dict(brief.families),
        dict(brief.notes),
        brief.product.category,
        brief.product.dosage,
        tuple(sorted(brief.without)),
    )


def _read(brief: WrittenBrief) -> Brief:
    return Brief(brief.families, brief.notes, Product(brief.category, brief.dosage), frozenset(brief.without))
