"""The service's flow with a planted fault each, for drills and tests: the gate has to say NO-GO to every one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec

from pytest_artisan.fragrance.apprentice import SETTINGS
from pytest_artisan.fragrance.experiments import Experiment
from pytest_artisan.gates.feedback.flows import Factory
from pytest_artisan.rl.optimization import Schedule
from pytest_artisan.rl.trainers import Metrics
from pytest_artisan.service.flow import HouseFlow


def learns_nothing(folder: Path, seed: int) -> HouseFlow:
    """Its learning rate is 0."""
    return HouseFlow(folder, seed, {name: replace(own, rate=Schedule(0, 0)) for name, own in SETTINGS.items()})


class Flipped(HouseFlow):
    """The sign of the reward is turned: it takes the least promising option for the chosen one, and 5 for 1."""

    def feedback(self, experiment: str, chosen: str, rating: float, algorithm: str) -> Metrics:
        others = [option for option in self.points(experiment, algorithm) if option != chosen]
        return super().feedback(experiment, others[-1], 6 - rating, algorithm)


class Deaf(HouseFlow):
    """It drops what is said, and learns as if the first option had been middling."""

    def feedback(self, experiment: str, chosen: str, rating: float, algorithm: str) -> Metrics:
        return super().feedback(experiment, next(iter(self.points(experiment, algorithm))), 3, algorithm)


class Exploding(HouseFlow):
    """Its updates went too far, and nothing took them back."""

    def feedback(self, experiment: str, chosen: str, rating: float, algorithm: str) -> Metrics:
        metrics = super().feedback(experiment, chosen, rating, algorithm)
        return replace(metrics, kl=20 * metrics.kl, rolled_back="")


class Alike(HouseFlow):
    """All its options are one."""

    def options(self, algorithm: str) -> Experiment:
        experiment = super().options(algorithm)
        return msgspec.structs.replace(experiment, options=experiment.options[:1] * len(experiment.options))


class AtOdds(HouseFlow):
    """Its algorithms expect the opposite of each other."""

    def points(self, experiment: str, algorithm: str) -> Mapping[str, float]:
        points = super().points(experiment, algorithm)
        return {option: -number for option, number in points.items()} if algorithm == "REINFORCE" else points


class Damaged(HouseFlow):
    """Its checkpoints do not survive the process whole."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        super().__init__(folder, seed)
        self._file = folder / "artisan.db"

    def close(self) -> None:
        super().close()
        with closing(sqlite3.connect(self._file)) as connection, connection:
            connection.execute("UPDATE checkpoints SET content = CAST(substr(content, 2) AS BLOB)")


class Dropping(HouseFlow):
    """What was said before a crash is gone."""

    def keep(self, experiment: str, chosen: str, rating: float) -> None:
        pass


BY_RATER: dict[tuple[str, str], Factory] = {
    ("consistent", "PPO"): learns_nothing,
    ("critical", "PPO"): Flipped,
    ("generous", "PPO"): Deaf,
    ("noisy", "PPO"): Exploding,
    ("consistent", "REINFORCE"): learns_nothing,
    # One who guesses must not be followed; this flow is sound, and follows a rater who does not guess.
    ("random", "PPO"): HouseFlow,
}
