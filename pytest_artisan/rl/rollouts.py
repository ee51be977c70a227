"""Experience: what a policy did in environments side by side, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pytest_artisan.rl.advantages import Flags
from pytest_artisan.rl.networks import ActorCritic, Array
from pytest_artisan.rl.policies import Categorical, Gaussian, Policy


class Environment(Protocol):
    """Environments side by side, as Gymnasium's vector API has them (`gymnasium.vector.VectorEnv`)."""

    # To be read alone, so that a type checker takes Gymnasium's own environments, whose metadata are a dict.
    @property
    def num_envs(self) -> int: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...
    @property
    def single_observation_space(self) -> Any: ...
    @property
    def single_action_space(self) -> Any: ...

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]: ...
    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Rollout:
    """T steps of N environments; all arrays are (T, N), observations and actions with axes of their own after these.

    `valid` is False for the steps in which an environment only started anew; `returns` (E,) are the raw returns of the
    episodes that ended.
    """

    observations: Array
    actions: Array
    log_probs: Array
    values: Array
    next_values: Array
    rewards: Array
    terminated: Flags
    truncated: Flags
    valid: Flags
    returns: Array


def policy_for(space: Any) -> Policy:
    """The policy for a Gymnasium action space: Discrete or a Box of one axis; raises ValueError for another."""
    if hasattr(space, "n") and space.shape == ():
        if getattr(space, "start", 0):
            raise ValueError(f"{space}: choices that start at 0 are supported")
        return Categorical(int(space.n))
    if hasattr(space, "low") and len(space.shape) == 1:
        return Gaussian(space.shape[0])
    raise ValueError(f"{space}: Discrete and Box with one axis are supported")


def inputs_of(space: Any) -> int:
    """How many numbers an observation of this Gymnasium space is; raises ValueError where it is no array."""
    if space.shape is None:
        raise ValueError(f"{space}: observations that are one array are supported")
    return math.prod(space.shape)


class Collector:
    """Goes on in `environment` from where the last rollout ended; raises ValueError for what can not be collected."""

    def __init__(self, environment: Environment, seed: int) -> None:
        self._environment = environment
        self._bounds = (
            getattr(environment.single_action_space, "low", None),
            getattr(environment.single_action_space, "high", None),
        )
        # Gymnasium tells in which step an environment that is done starts anew: the same one, or the next.
        mode = environment.metadata.get("autoreset_mode", "NextStep")
        mode = getattr(mode, "value", mode)
        if mode not in ("NextStep", "SameStep"):
            raise ValueError(f"autoreset mode {mode}: environments must start anew by themselves")
        self._same_step = mode == "SameStep"
        self.restart(seed)

    def restart(self, seed: int) -> None:
        """Leave the episodes that are under way, and begin new ones."""
        self._observations = self._rows(self._environment.reset(seed=seed)[0])
        self._started_anew = np.zeros(self._environment.num_envs, dtype=bool)
        self._running = np.zeros(self._environment.num_envs)

    def collect(self, network: ActorCritic, policy: Policy, rng: np.random.Generator, steps: int) -> Rollout:
        """`steps` steps of each environment under the policy."""
        shape = steps, self._environment.num_envs
        observations = np.empty((steps + 1, *self._observations.shape), dtype=np.float32)
        rewards, terminated, truncated, valid = (np.empty(shape, dtype=kind) for kind in (np.float32, bool, bool, bool))
        actions, returns, cut = [], [], []
        for step in range(steps):
            observations[step], valid[step] = self._observations, ~self._started_anew
            action = policy.sample(network.act(self._observations), network.free, rng)
            actions.append(action)
            answer = self._environment.step(self._allowed(action))
            self._observations = self._rows(answer[0])
            rewards[step], terminated[step], truncated[step] = answer[1:4]
            done = terminated[step] | truncated[step]
            self._running += rewards[step]
            if done.any():
                returns.append(self._running[done])
                self._running[done] = 0
                if self._same_step and truncated[step].any():
                    cut.append((step, truncated[step], self._rows(np.stack(answer[4]["final_obs"][truncated[step]]))))
            self._started_anew = done & (not self._same_step)
        observations[-1] = self._observations
        taken = np.array(actions)
        # Judged in one pass, as every update will judge them, so that nothing but the policy tells the two apart.
        numbers, values = network.forward(observations.reshape(-1, observations.shape[-1]))
        count = rewards.size
        judged = policy.judge(numbers[:count], network.free, taken.reshape(count, *taken.shape[2:]))
        values = values.reshape(steps + 1, -1)
        next_values = values[1:].copy()
        for step, rows, final in cut:
            next_values[step, rows] = network.forward(final)[1]
        return Rollout(
            observations[:-1],
            taken,
            judged.log_prob.reshape(shape),
            values[:-1],
            next_values,
            rewards,
            terminated,
            truncated,
            valid,
            np.concatenate(returns) if returns else np.zeros(0),
        )

    def _rows(self, observations: Any) -> Array:
        return np.asarray(observations, dtype=np.float32).reshape(len(observations), -1)

    def _allowed(self, action: Array) -> Array:
        """What the environment takes; learning keeps the action as it was drawn."""
        return action if self._bounds[0] is None else np.clip(action, *self._bounds)
