"""How much better than expected each action was, and rewards on one scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_artisan.rl.networks import Array

Flags = NDArray[np.bool_]


def generalized_advantages(
    rewards: Array,
    values: Array,
    next_values: Array,
    terminated: Flags,
    truncated: Flags,
    discount: float,
    smoothing: float,
) -> Array:
    """Generalised advantage estimates (T, N) of N episodes side by side (Schulman et al. 2016, eq. 16).

    All arrays are (T, N). `next_values` are those of the states that the actions led to, also where an episode was cut
    off there (`truncated`); a state that ends it (`terminated`) is worth nothing. No sum goes past either.
    """
    errors = rewards + discount * next_values * ~terminated - values
    kept = (discount * smoothing * ~(terminated | truncated)).astype(errors.dtype)
    for step in range(len(errors) - 2, -1, -1):
        errors[step] += kept[step] * errors[step + 1]
    return errors


class RewardScale:
    """Divides rewards by the standard deviation of the discounted return, over all that was seen so far.

    `state` (3,) holds how many returns, their mean and their sum of squared differences from it (Chan et al. 1983);
    `returns` (N,) the running discounted return of each environment.
    """

    def __init__(self, environments: int, discount: float) -> None:
        self._discount = discount
        self.state = np.zeros(3)
        self.returns = np.zeros(environments)

    def __call__(self, rewards: Array, ended: Flags, valid: Flags | None = None) -> Array:
        """Scaled rewards (T, N) of the next T steps; `ended` (T, N) where an episode ended, `valid` (T, N) what counts."""
        seen = np.empty(rewards.shape)
        for step, reward in enumerate(rewards):
            self.returns = seen[step] = self.returns * self._discount + reward
            self.returns = np.where(ended[step], 0, self.returns)
        seen = seen.ravel() if valid is None else seen[valid]
        count, mean, squares = self.state
        both, off = count + seen.size, seen.mean() - mean
        squares += ((seen - seen.mean()) ** 2).sum() + off * off * count * seen.size / both
        self.state = np.array([both, mean + off * seen.size / both, squares])
        return np.asarray(rewards / self.unit)

    @property
    def unit(self) -> float:
        """What a scaled reward of 1 is worth."""
        count, _, squares = self.state
        return float(np.sqrt(squares / max(count, 1) + 1e-8))
