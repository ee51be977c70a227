"""What was offered, what was said about it, and where both are kept."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Option(msgspec.Struct, frozen=True):
    """A formula on offer: per cent by CAS number, its objectives, and the `points` that the trainer expects of it."""

    id: str
    composition: dict[str, float]
    objectives: dict[str, float]
    points: float


class WrittenBrief(msgspec.Struct, frozen=True):
    """A brief as a record holds it."""

    families: dict[str, float]
    notes: dict[str, float]
    category: str
    dosage: float
    without: tuple[str, ...] = ()


class Experiment(msgspec.Struct, frozen=True):
    """Options from one DNA, the most promising first. What later versions add has a default, so old records load."""

    id: str
    brief: WrittenBrief
    dna: dict[str, float]
    algorithm: str
    options: tuple[Option, ...]


class Feedback(msgspec.Struct, frozen=True):
    """Which option was chosen, its rating from 1 to 5, and what was said."""

    experiment: str
    chosen: str
    rating: float
    notes: str = ""


class Checkpoint(msgspec.Struct, frozen=True):
    """A trainer's state, and how many of its subject's feedback it has learnt from."""

    learnt: int
    content: bytes


class Store(Protocol):
    """Where records outlive the process; each call is durable, and whole or absent, when it returns.

    A `subject` is a brief with its materials. Raises OSError or the like, with nothing changed, where it fails.
    """

    def add_experiment(self, subject: str, id: str, record: bytes) -> None:
        """Raises KeyError where there is one of this id."""
        ...

    def experiment(self, id: str) -> bytes:
        """Raises KeyError."""
        ...

    def count_experiments(self, subject: str) -> int: ...

    def add_feedback(self, experiment: str, record: bytes) -> None:
        """Raises KeyError where the experiment has some, or is none."""
        ...

    def feedback(self, subject: str, since: int = 0) -> list[tuple[bytes, bytes]]:
        """Experiments and what was said about them, in the order in which it was said, without the first `since`."""
        ...

    def save(self, subject: str, algorithm: str, checkpoint: Checkpoint) -> None: ...

    def load(self, subject: str, algorithm: str) -> Checkpoint | None: ...
