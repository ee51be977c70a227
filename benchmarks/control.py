"""Pendulum and Acrobot, many side by side in numpy: Gymnasium's own numbers through Gymnasium's vector API."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Answer = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class SideBySide:
    """`num_envs` environments; one that is done starts anew in its next step, which its action does not reach."""

    metadata: Mapping[str, Any] = {"autoreset_mode": "NextStep"}
    horizon: ClassVar[int]
    single_observation_space: Any
    single_action_space: Any

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs

    def reset(self, *, seed: int | None = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        self._rng = np.random.default_rng(seed)
        self.state = self.starts(self.num_envs)
        self.steps = np.zeros(self.num_envs, dtype=int)
        self._done = np.zeros(self.num_envs, dtype=bool)
        return self.observe().astype(np.float32), {}

    def step(self, actions: Any) -> Answer:
        rewards, terminated = self.move(np.asarray(actions))
        self.steps += 1
        truncated = self.steps >= self.horizon
        if self._done.any():
            fresh = self._done
            self.state[:, fresh] = self.starts(int(fresh.sum()))
            self.steps[fresh], rewards[fresh], terminated[fresh], truncated[fresh] = 0, 0, False, False
        self._done = terminated | truncated
        return self.observe().astype(np.float32), rewards.astype(np.float32), terminated, truncated, {}

    def starts(self, count: int) -> Floats:
        """States (S, count) to start from."""
        raise NotImplementedError

    def observe(self) -> Floats:
        """(N, O) of the present states."""
        raise NotImplementedError

    def move(self, actions: NDArray[Any]) -> tuple[Floats, NDArray[np.bool_]]:
        """Rewards and which ended."""
        raise NotImplementedError


class Pendulum(SideBySide):
    """Pendulum-v1: swing up and stay, with little force."""

    horizon = 200
    single_observation_space = SimpleNamespace(shape=(3,))
    single_action_space = SimpleNamespace(shape=(1,), low=-2.0, high=2.0)

    def starts(self, count: int) -> Floats:
        angles, speeds = self._rng.uniform(-1, 1, (2, count))
        return np.stack((np.pi * angles, speeds))

    def observe(self) -> Floats:
        angle, speed = self.state
        return np.column_stack((np.cos(angle), np.sin(angle), speed))

    def move(self, actions: NDArray[Any]) -> tuple[Floats, NDArray[np.bool_]]:
        angle, speed = self.state
        force = np.clip(actions.reshape(-1), -2, 2)
        upright = (angle + np.pi) % (2 * np.pi) - np.pi
        rewards = -(upright**2 + 0.1 * speed**2 + 0.001 * force**2)
        speed = np.clip(speed + (15 * np.sin(angle) + 3 * force) * 0.05, -8, 8)
        self.state = np.stack((angle + 0.05 * speed, speed))
        return rewards, np.zeros(self.num_envs, dtype=bool)


class Acrobot(SideBySide):
    """Acrobot-v1: swing two links above a line by turning the joint between them."""

    horizon = 500
    single_observation_space = SimpleNamespace(shape=(6,))
    single_action_space = SimpleNamespace(n=3)

    def starts(self, count: int) -> Floats:
        return self._rng.uniform(-0.1, 0.1, (4, count))

    def observe(self) -> Floats:
        first, second, *speeds = self.state
        return np.column_stack((np.cos(first), np.sin(first), np.cos(second), np.sin(second), *speeds))

    def move(self, actions: NDArray[Any]) -> tuple[Floats, NDArray[np.bool_]]:
        torque, state, step = actions - 1.0, self.state, 0.2
        slope = _slope(state, torque)
        second = _slope(state + step / 2 * slope, torque)
        third = _slope(state + step / 2 * second, torque)
        state = state + step / 6 * (slope + 2 * second + 2 * third + _slope(state + step * third, torque))
        state[:2] = (state[:2] + np.pi) % (2 * np.pi) - np.pi
        state[2:] = np.clip(state[2:], [[-4 * np.pi], [-9 * np.pi]], [[4 * np.pi], [9 * np.pi]])
        self.state = state
        ended = -np.cos(state[0]) - np.cos(state[1] + state[0]) > 1
        return np.where(ended, 0.0, -1.0), ended


def _slope(state: Floats, torque: Floats) -> Floats:
    """How angles and speeds (4, N) change (Sutton and Barto 1998): links of length and mass 1, and of inertia 1."""
    first, second, speed, turning = state
    d1 = 0.25 + (1.25 + np.cos(second)) + 2
    d2 = 0.25 + 0.5 * np.cos(second) + 1
    pull = 0.5 * 9.8 * np.cos(first + second - np.pi / 2)
    whole = -0.5 * turning**2 * np.sin(second) - turning * speed * np.sin(second)
    whole += 1.5 * 9.8 * np.cos(first - np.pi / 2) + pull
    bend = torque + d2 / d1 * whole - 0.5 * speed**2 * np.sin(second) - pull
    bend /= 1.25 - d2**2 / d1
    return np.stack((speed, turning, -(d2 * bend + whole) / d1, bend))
