"""REINFORCE and PPO in numpy: arrays in, arrays out."""

from __future__ import annotations

from typing import Any

from pytest_artisan.rl.rollouts import Environment
from pytest_artisan.rl.trainers import PPO, REINFORCE, Trainer

ALGORITHMS: dict[str, type[Trainer]] = {kind.name: kind for kind in (PPO, REINFORCE)}


def get_trainer(environment: Environment, algorithm: str = "PPO", **options: Any) -> Trainer:
    """The trainer of this name, any case, for environments side by side; `options` are those of `Trainer`.

    Raises ValueError for an unknown algorithm.
    """
    try:
        return ALGORITHMS[algorithm.upper()](environment, **options)
    except KeyError:
        raise ValueError(f"unknown algorithm {algorithm!r}; known: {', '.join(ALGORITHMS)}") from None
