"""Adam, the limit of a gradient's norm, and schedules of what changes while one learns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pytest_artisan.rl.networks import Array


class Adam:
    """Adam (Kingma and Ba 2015) on one vector (P,), changed in place; `first`, `second` (P,) and `steps` are its state."""

    _DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-5

    def __init__(self, parameters: Array) -> None:
        self._parameters = parameters
        self.first, self.second = np.zeros_like(parameters), np.zeros_like(parameters)
        self.steps = 0
        self._change = np.empty_like(parameters)

    def step(self, gradient: Array, rate: float) -> None:
        self.steps += 1
        change = self._change
        self.first *= self._DECAY
        np.multiply(gradient, 1 - self._DECAY, out=change)
        self.first += change
        self.second *= self._SQUARE_DECAY
        np.multiply(gradient, gradient, out=change)
        change *= 1 - self._SQUARE_DECAY
        self.second += change
        np.sqrt(self.second, out=change)
        change *= 1 / math.sqrt(1 - self._SQUARE_DECAY**self.steps)
        change += self._EPSILON
        np.divide(self.first, change, out=change)
        change *= rate / (1 - self._DECAY**self.steps)
        self._parameters -= change


def clip_norm(gradient: Array, most: float) -> float:
    """Scale `gradient` (P,) down in place to a Euclidean norm of at most `most`; returns the norm before."""
    norm = math.sqrt(float(gradient @ gradient))
    if norm > most:
        gradient *= most / norm
    return norm


@dataclass(frozen=True, slots=True)
class Schedule:
    """From `start` to `end` while progress goes from 0 to 1, and `end` from there on.

    Raises ValueError for an exponential one that is not above 0.
    """

    start: float
    end: float
    shape: Literal["linear", "cosine", "exponential"] = "linear"

    def __post_init__(self) -> None:
        if self.shape == "exponential" and min(self.start, self.end) <= 0:
            raise ValueError(f"an exponential schedule stays above 0, not {self.start:g} to {self.end:g}")

    def __call__(self, progress: float) -> float:
        done = min(max(progress, 0.0), 1.0)
        if self.shape == "exponential":
            return float(self.start * (self.end / self.start) ** done)
        if self.shape == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return self.start + (self.end - self.start) * done
