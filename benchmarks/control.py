"""Gymnasium's pendulum and acrobot for many environments side by side, as arrays.

Gymnasium brings a cart pole of that kind alone. These two take the same steps as its `Pendulum-v1` and `Acrobot-v1`, which
`tests/test_control.py` compares, and speak its vector API.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import AutoresetMode
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class SideBySide(ABC):
    """`num_envs` environments; `states` (size, num_envs) may be set, `taken` (num_envs,) counts the steps of an episode.

    One that is done starts anew in the step after, which takes no action of it and has no reward.
    """

    single_observation_space: Space[Any]
    single_action_space: Space[Any]
    # Steps after which an episode is cut off.
    most_steps: ClassVar[int]

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.metadata: Mapping[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self._rng = np.random.default_rng()

    def reset(self, *, seed: int | None = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Observations (num_envs, size) of new episodes; without a seed the generator goes on."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.states = self._start(self.num_envs)
        self.taken = np.zeros(self.num_envs, dtype=np.intp)
        self._done: Flags = np.zeros(self.num_envs, dtype=bool)
        return self._observe(), {}

    def step(self, actions: ArrayLike) -> tuple[NDArray[np.float32], Floats, Flags, Flags, dict[str, Any]]:
        """Observations (num_envs, size), rewards, terminated and truncated, (num_envs,) each."""
        anew = self._done
        rewards, terminated = self._move(np.asarray(actions))
        self.taken += 1
        truncated = self.taken >= self.most_steps
        if anew.any():
            self.states[:, anew] = self._start(int(anew.sum()))
            self.taken[anew] = 0
            rewards[anew], terminated[anew], truncated[anew] = 0, False, False
        self._done = terminated | truncated
        return self._observe(), rewards, terminated, truncated, {}

    @abstractmethod
    def _start(self, count: int) -> Floats:
        """States (size, count) in which episodes begin."""

    @abstractmethod
    def _move(self, actions: NDArray[Any]) -> tuple[Floats, Flags]:
        """Rewards and terminations (num_envs,) of a step, after which `states` are the next ones."""

    @abstractmethod
    def _observe(self) -> NDArray[np.float32]: ...


class Pendulum(SideBySide):
    """A rod to swing up and hold; states are angle (rad, 0 is up) and speed (rad/s), actions (num_envs, 1) torque (N m)."""

    most_steps = 200
    _SPEED, _TORQUE, _SECONDS, _GRAVITY = 8.0, 2.0, 0.05, 10.0
    _MOST = np.array([1, 1, _SPEED], dtype=np.float32)
    single_observation_space = Box(-_MOST, _MOST)
    single_action_space = Box(-_TORQUE, _TORQUE, (1,))

    def _start(self, count: int) -> Floats:
        most = np.array([[np.pi], [1.0]])
        return self._rng.uniform(-most, most, (2, count))

    def _move(self, actions: NDArray[Any]) -> tuple[Floats, Flags]:
        angle, speed = self.states
        torque = np.clip(actions[:, 0], -self._TORQUE, self._TORQUE)
        tilt = (angle + np.pi) % (2 * np.pi) - np.pi
        rewards = -(tilt * tilt + 0.1 * (speed * speed) + 0.001 * (torque * torque))
        # Mass and length are 1.
        faster = speed + (1.5 * self._GRAVITY * np.sin(angle) + 3 * torque) * self._SECONDS
        faster = np.clip(faster, -self._SPEED, self._SPEED)
        self.states = np.stack((angle + faster * self._SECONDS, faster))
        return rewards, np.zeros(self.num_envs, dtype=bool)

    def _observe(self) -> NDArray[np.float32]:
        angle, speed = self.states
        return np.stack((np.cos(angle), np.sin(angle), speed), axis=1, dtype=np.float32)


class Acrobot(SideBySide):
    """Two links, of which the joint between them is driven, to swing up.

    States are two angles (rad; the first from straight down, the second from the first) and their speeds (rad/s); actions
    (num_envs,) 0, 1, 2 are torques of -1, 0, 1 N m.
    """

    most_steps = 500
    _SECONDS, _GRAVITY = 0.2, 9.8
    _SPEEDS = np.array([[4 * np.pi], [9 * np.pi]])
    _MOST = np.array([1, 1, 1, 1, 4 * np.pi, 9 * np.pi], dtype=np.float32)
    single_observation_space = Box(-_MOST, _MOST)
    single_action_space = Discrete(3)

    def _start(self, count: int) -> Floats:
        return self._rng.uniform(-0.1, 0.1, (4, count)).astype(np.float32).astype(np.float64)

    def _move(self, actions: NDArray[Any]) -> tuple[Floats, Flags]:
        """A step of the classical Runge-Kutta method."""
        torque, length, state = actions - 1.0, self._SECONDS, self.states
        first = self._slope(state, torque)
        second = self._slope(state + length / 2 * first, torque)
        third = self._slope(state + length / 2 * second, torque)
        fourth = self._slope(state + length * third, torque)
        state = state + length / 6 * (first + 2 * second + 2 * third + fourth)
        angles, speeds = state[:2], state[2:]
        # Not the remainder: where nothing is to be turned back, no digit may change.
        while (over := np.abs(angles) > np.pi).any():
            angles -= over * np.copysign(2 * np.pi, angles)
        np.clip(speeds, -self._SPEEDS, self._SPEEDS, out=speeds)
        self.states = state
        terminated = np.asarray(-np.cos(angles[0]) - np.cos(angles[1] + angles[0]) > 1)
        return terminated - 1.0, terminated

    def _slope(self, state: Floats, torque: Floats) -> Floats:
        """Derivatives (4, num_envs) of the states by time: Sutton and Barto (1998), 11.3.

        Masses, lengths and moments of inertia are 1, and centres of mass at 0.5, which the numbers here contain.
        """
        below, bend, speed, bending = state
        cosine, sine = np.cos(bend), np.sin(bend)
        inertia, coupling = 3.5 + cosine, 1.25 + 0.5 * cosine
        pull = 0.5 * self._GRAVITY * np.sin(below + bend)
        whole = pull + 1.5 * self._GRAVITY * np.sin(below) - sine * bending * (0.5 * bending + speed)
        share = coupling / inertia
        bent = (torque + share * whole - 0.5 * speed * speed * sine - pull) / (1.25 - coupling * share)
        return np.stack((speed, bending, -(coupling * bent + whole) / inertia, bent))

    def _observe(self) -> NDArray[np.float32]:
        observed = np.empty((self.num_envs, 6), dtype=np.float32)
        observed[:, 0:4:2], observed[:, 1:4:2] = np.cos(self.states[:2]).T, np.sin(self.states[:2]).T
        observed[:, 4:] = self.states[2:].T
        return observed
