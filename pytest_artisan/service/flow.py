"""The service's whole flow for a brief of the house: the subject of the gate `e2e_evolution`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from pytest_artisan.fragrance.apprentice import SETTINGS
from pytest_artisan.fragrance.evolution import HOUSE_BRIEF, evolve
from pytest_artisan.fragrance.experiments import Experiment
from pytest_artisan.fragrance.formula import Formula
from pytest_artisan.fragrance.ingredients import load_catalogue
from pytest_artisan.fragrance.limits import violations
from pytest_artisan.fragrance.objectives import Objectives
from pytest_artisan.fragrance.refinement import Refinement
from pytest_artisan.moga.ranking import Floats
from pytest_artisan.rl.trainers import Metrics, Settings
from pytest_artisan.service.store import DatabaseStore

_GENERATIONS = 20


@cache
def _dna() -> Formula:
    """Of the front of the house's brief, the formula in its middle: not yet the best fit."""
    front = evolve(HOUSE_BRIEF, generations=_GENERATIONS)
    return front[len(front) // 2]


class HouseFlow:
    """Brief to DNA to options to feedback, with its records in `folder`; see `gates.feedback.flows.Flow`."""

    def __init__(self, folder: Path, seed: int = 0, settings: Mapping[str, Settings] = SETTINGS) -> None:
        self._store = DatabaseStore(f"sqlite:///{folder / 'artisan.db'}")
        self._refinement = Refinement(self._store, seed=seed, settings=settings)
        self._catalogue = load_catalogue()
        self._objectives = Objectives(list(self._catalogue), HOUSE_BRIEF)

    @property
    def dna(self) -> Mapping[str, float]:
        return _dna().composition

    def options(self, algorithm: str) -> Experiment:
        return self._refinement.options(_dna(), HOUSE_BRIEF, algorithm)

    def feedback(self, experiment: str, chosen: str, rating: float, algorithm: str) -> Metrics:
        return self._refinement.feedback(experiment, chosen, rating, algorithm=algorithm)

    def keep(self, experiment: str, chosen: str, rating: float) -> None:
        self._refinement.keep(experiment, chosen, rating)

    def points(self, experiment: str, algorithm: str) -> Mapping[str, float]:
        return self._refinement.points(experiment, algorithm)

    def perceived(self, compositions: Sequence[Mapping[str, float]]) -> Floats:
        rows = [[composition.get(item.cas, 0.0) for item in self._catalogue] for composition in compositions]
        return self._objectives.smell(np.array(rows))

    def broken(self, composition: Mapping[str, float]) -> Sequence[str]:
        return [str(found) for found in violations(composition, self._catalogue, HOUSE_BRIEF.product)]

    def close(self) -> None:
        self._store.close()
