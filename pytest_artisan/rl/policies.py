"""Distributions of actions: exact log-probability, entropy and divergence, and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pytest_artisan.rl.networks import Array
from pytest_artisan.rl.special import digamma, log_gamma, trigamma

_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, slots=True)
class Judged:
    """`log_prob` (B,) of actions and `entropy` (B,).

    `slopes(a, b)`, a (B,) and b (B,) a loss's derivatives by the two, gives those by the policy's numbers (B, outputs)
    and by its free numbers.
    """

    log_prob: Array
    entropy: Array
    slopes: Callable[[Array, Array], tuple[Array, Array]]


class Policy(Protocol):
    """A distribution for each row of numbers (B, outputs) that a network gives, and of free numbers.

    `outputs`: how many it needs for an action; `free`: where its free numbers start.
    """

    @property
    def outputs(self) -> int: ...
    @property
    def free(self) -> Array: ...

    def sample(self, numbers: Array, free: Array, rng: np.random.Generator) -> Array:
        """An action for each row."""
        ...

    def mode(self, numbers: Array, free: Array) -> Array:
        """The action for each row that an evaluation takes."""
        ...

    def judge(self, numbers: Array, free: Array, actions: Array) -> Judged: ...

    def divergence(self, before: Array, free_before: Array, now: Array, free_now: Array) -> Array:
        """Kullback-Leibler divergence (B,) of the distribution now from the one before, in nats, >= 0."""
        ...


class Categorical:
    """One of `choices`, by its logit. Actions are whole numbers (B,)."""

    def __init__(self, choices: int) -> None:
        self.outputs = choices
        self.free: Array = np.zeros(0)

    def sample(self, numbers: Array, free: Array, rng: np.random.Generator) -> Array:
        # The largest of logits with Gumbel noise is a draw from their softmax.
        drawn = rng.standard_exponential(numbers.shape, numbers.dtype)
        # In few digits a draw can be 0, where the logarithm ends.
        return np.asarray((numbers - np.log(np.maximum(drawn, np.finfo(numbers.dtype).tiny))).argmax(axis=1))

    def mode(self, numbers: Array, free: Array) -> Array:
        return np.asarray(numbers.argmax(axis=1))

    def judge(self, numbers: Array, free: Array, actions: Array) -> Judged:
        logs = _log_softmax(numbers)
        chances, rows = np.exp(logs), np.arange(len(logs))
        entropy = -(chances * logs).sum(axis=1)

        def slopes(by_log_prob: Array, by_entropy: Array) -> tuple[Array, Array]:
            by_numbers = -chances * (by_log_prob[:, None] + by_entropy[:, None] * (logs + entropy[:, None]))
            by_numbers[rows, actions] += by_log_prob
            return by_numbers, self.free

        return Judged(logs[rows, actions], entropy, slopes)

    def divergence(self, before: Array, free_before: Array, now: Array, free_now: Array) -> Array:
        logs = _log_softmax(before)
        return _not_negative((np.exp(logs) * (logs - _log_softmax(now))).sum(axis=1))


class Gaussian:
    """Independent normal actions (B, size); the network gives the means, free numbers the logs of the deviations."""

    def __init__(self, size: int, deviation: float = 1.0) -> None:
        self.outputs = size
        self.free: Array = np.full(size, np.log(deviation))

    def sample(self, numbers: Array, free: Array, rng: np.random.Generator) -> Array:
        return np.asarray(numbers + np.exp(free) * rng.standard_normal(numbers.shape, numbers.dtype))

    def mode(self, numbers: Array, free: Array) -> Array:
        return numbers

    def judge(self, numbers: Array, free: Array, actions: Array) -> Judged:
        scale = np.exp(-free)
        off = (actions - numbers) * scale
        squares = off * off
        logs = free.sum() + 0.5 * self.outputs * _LOG_2PI
        entropy = np.full(len(off), logs + 0.5 * self.outputs, dtype=off.dtype)

        def slopes(by_log_prob: Array, by_entropy: Array) -> tuple[Array, Array]:
            return off * scale * by_log_prob[:, None], by_log_prob @ squares - by_log_prob.sum() + by_entropy.sum()

        return Judged(-0.5 * squares.sum(axis=1) - logs, entropy, slopes)

    def divergence(self, before: Array, free_before: Array, now: Array, free_now: Array) -> Array:
        # Of the squared ratio of the deviations; equal ones nearly cancel out.
        log_ratio, off = 2 * (free_before - free_now), (before - now) * np.exp(-free_now)
        return np.asarray(0.5 * (np.expm1(log_ratio) - log_ratio + off * off).sum(axis=1))


class Dirichlet:
    """Shares (B, size) that sum to 1; concentrations are 1 + softplus of the numbers, so that densities are bounded."""

    def __init__(self, size: int) -> None:
        self.outputs = size
        self.free: Array = np.zeros(0)

    def sample(self, numbers: Array, free: Array, rng: np.random.Generator) -> Array:
        drawn = rng.standard_gamma(_concentrations(numbers))
        # In few digits a share can become 0, where the logarithm ends.
        drawn = np.maximum(drawn, np.finfo(np.float32).tiny)
        return np.asarray(drawn / drawn.sum(axis=1, keepdims=True))

    def mode(self, numbers: Array, free: Array) -> Array:
        above = _softplus(numbers)
        return np.asarray(above / above.sum(axis=1, keepdims=True))

    def judge(self, numbers: Array, free: Array, actions: Array) -> Judged:
        alpha, logs = _concentrations(numbers), np.log(actions)
        total, count = alpha.sum(axis=1, keepdims=True), self.outputs
        norm = _log_beta(alpha)
        each, whole = digamma(alpha), digamma(total)
        log_prob = ((alpha - 1) * logs).sum(axis=1) - norm
        entropy = norm + ((total - count) * whole)[:, 0] - ((alpha - 1) * each).sum(axis=1)

        def slopes(by_log_prob: Array, by_entropy: Array) -> tuple[Array, Array]:
            by_alpha = by_log_prob[:, None] * (logs - each + whole)
            by_alpha += by_entropy[:, None] * ((total - count) * trigamma(total) - (alpha - 1) * trigamma(alpha))
            return by_alpha * (0.5 + 0.5 * np.tanh(0.5 * numbers)), self.free

        return Judged(log_prob, entropy, slopes)

    def divergence(self, before: Array, free_before: Array, now: Array, free_now: Array) -> Array:
        old, new = _concentrations(before), _concentrations(now)
        off = digamma(old) - digamma(old.sum(axis=1, keepdims=True))
        return _not_negative(_log_beta(new) - _log_beta(old) + ((old - new) * off).sum(axis=1))


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _softplus(numbers: Array) -> Array:
    """In double precision, where it ends only for numbers that no network gives."""
    return np.logaddexp(0, numbers, dtype=np.float64)


def _concentrations(numbers: Array) -> Array:
    return np.asarray(1 + _softplus(numbers))


def _log_beta(alpha: Array) -> Array:
    return np.asarray(log_gamma(alpha).sum(axis=1) - log_gamma(alpha.sum(axis=1)))


def _not_negative(divergence: Array) -> Array:
    """Rounding apart, a divergence is never below 0."""
    return np.maximum(divergence, 0)
