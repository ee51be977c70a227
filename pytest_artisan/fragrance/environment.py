"""Formulas as an environment to learn in: every action changes one, and every state keeps all limits."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from pytest_artisan.fragrance.objectives import Objectives
from pytest_artisan.fragrance.preference import BEST, WORST, Preference
from pytest_artisan.moga.composition import Composition
from pytest_artisan.moga.ranking import Floats

# Actions in an episode, and by how many per cent of the formula an action of 1 moves a material that is all of a trait.
HORIZON, STRIDE = 3, 4.0
# What an objective counts for, in the order of OBJECTIVES; and the brief beside the rating.
_COUNTS = np.array([0.4, 0.2, 0.2, 0.2])
_BRIEF_POINTS, _RATING_POINTS = 50.0, 50.0
# Two formulas that differ by less than a hundredth of a per cent are the same to a scale.
_SAME = 0.01


class FormulaEnvironment:
    """`size` formulas side by side, by the parts of Gymnasium's vector API that trainers use.

    An observation (t + t + 4 + 1,) is how the formula smells (composition by odour family and note), the brief, the
    objectives and the part of the episode that is left. An action (t,) says how much more of each trait is wanted; the
    materials move by what they smell of, and a mixture near them within the limits is the next formula. One that the
    limits hold where it is goes the opposite way instead. Where a single mixture is possible, nothing can change.

    A formula is worth 0 to 100 *points*: 50 for the brief (40 % of it the fit, 20 % each creativity, stability and
    price), and 50 for the rating that `preference` expects, from 1 to 5. The reward is the gain in points, so that the
    return of an episode is how many points the last formula has more than the first.
    """

    def __init__(
        self, limits: Composition, objectives: Objectives, preference: Preference, starts: Floats, size: int = 32
    ) -> None:
        self.num_envs = size
        self.metadata: Mapping[str, Any] = {"autoreset_mode": "SameStep"}
        self.traits = len(objectives.traits)
        self.single_observation_space = SimpleNamespace(shape=(2 * self.traits + 5,))
        self.single_action_space = SimpleNamespace(shape=(self.traits,))
        self.limits, self.preference, self.starts = limits, preference, starts
        self._objectives = objectives
        self._rng = np.random.default_rng()
        self.reset()

    def reset(self, *, seed: int | None = None) -> tuple[Floats, dict[str, Any]]:
        """All formulas to a start each."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.begin(self.starts[self._rng.integers(len(self.starts), size=self.num_envs)])
        return self.observe(), {}

    def begin(self, shares: Floats) -> None:
        """Start an episode at these formulas (N, n)."""
        self._left = HORIZON
        self._look(shares)

    def step(self, actions: Floats) -> tuple[Floats, Floats, Any, Any, dict[str, Any]]:
        """Observations, rewards in points, and whether the episodes ended, which all do together."""
        before = self.points
        self.advance(np.asarray(actions, dtype=np.float64))
        rewards, last = self.points - before, self._left == 0
        observations = self.reset()[0] if last else self.observe()
        return observations, rewards, np.full(len(rewards), last), np.zeros(len(rewards), dtype=bool), {}

    def advance(self, actions: Floats) -> None:
        """What actions (N, t) make of the formulas: each another one than before."""
        self._left -= 1
        self._look(self._moved(self.shares, actions))

    def _moved(self, shares: Floats, actions: Floats) -> Floats:
        pulls = STRIDE * actions @ self._objectives.smells.T
        # For an action that pulls at nothing.
        uneven = np.broadcast_to(STRIDE * np.cos(np.arange(shares.shape[1])), shares.shape)
        moved = shares.copy()
        for way in (pulls, -pulls, uneven, -uneven):
            still = np.abs(moved - shares).max(axis=1) < _SAME
            if not still.any():
                break
            moved[still] = self.limits.approach(shares[still] + way[still])
        return moved

    def observe(self) -> Floats:
        """(N, 2 t + 5) of the present formulas."""
        brief = np.broadcast_to(self._objectives.wanted, self.smells.shape)
        left = np.full((len(self.shares), 1), self._left / HORIZON)
        return np.hstack((self.smells, brief, self._judged, left))

    def _look(self, shares: Floats) -> None:
        self.shares = shares
        self.smells = self._objectives.smell(shares)
        self._judged = self._objectives(shares)
        brief = _BRIEF_POINTS * (1 - self._judged @ _COUNTS)
        liked = (self.preference.ratings(self.smells) - WORST) / (BEST - WORST)
        self.points = brief + _RATING_POINTS * liked
