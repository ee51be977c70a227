"""What the gate `e2e_evolution` asks of anybody's service that learns from feedback."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pytest_artisan.moga.ranking import Floats

ALGORITHMS = ("PPO", "REINFORCE")


class Option(Protocol):
    """Something on offer: its parts by name, in per cent."""

    @property
    def id(self) -> str: ...
    @property
    def composition(self) -> Mapping[str, float]: ...


class Offer(Protocol):
    """An experiment: options to choose from."""

    @property
    def id(self) -> str: ...
    @property
    def options(self) -> Sequence[Option]: ...


class Update(Protocol):
    """What learning did: `kl` in nats, `rolled_back` why it was undone, empty where it was not."""

    @property
    def loss(self) -> float: ...
    @property
    def episode_return(self) -> float: ...
    @property
    def entropy(self) -> float: ...
    @property
    def clip_fraction(self) -> float: ...
    @property
    def kl(self) -> float: ...
    @property
    def rolled_back(self) -> str: ...


class Flow(Protocol):
    """DNA to options to feedback; `algorithm` is one of ALGORITHMS, and all learn from the same feedback."""

    @property
    def dna(self) -> Mapping[str, float]:
        """What every offer starts from, in per cent."""
        ...

    def options(self, algorithm: str) -> Offer:
        """New options; the same folder with the same records gives the same ones."""
        ...

    def feedback(self, experiment: str, chosen: str, rating: float, algorithm: str) -> Update:
        """Keep a rating from 1 to 5 of the option that was chosen, and learn from it."""
        ...

    def keep(self, experiment: str, chosen: str, rating: float) -> object:
        """The same, as far as it goes where the process ends before it learns."""
        ...

    def points(self, experiment: str, algorithm: str) -> Mapping[str, float]:
        """What an algorithm expects of each option of an experiment, by id: more is better."""
        ...

    def perceived(self, compositions: Sequence[Mapping[str, float]]) -> Floats:
        """What people notice of each (N, t); tastes are directions in it."""
        ...

    def broken(self, composition: Mapping[str, float]) -> Sequence[str]:
        """The limits that a composition exceeds, found by other means than those that made it."""
        ...

    def close(self) -> None: ...


# A folder for records, which may hold some, and a seed.
Factory = Callable[[Path, int], Flow]
