"""Rollouts without an environment, and the distributions that policies draw from, as scipy has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Space
from numpy.typing import DTypeLike, NDArray
from scipy import special, stats

from pytest_artisan.rl.networks import ActorCritic, Array
from pytest_artisan.rl.optimization import Adam
from pytest_artisan.rl.policies import Categorical, Gaussian, Policy
from pytest_artisan.rl.rollouts import Rollout
from pytest_artisan.rl.trainers import Settings, Trainer

Floats = NDArray[np.float64]


class Nowhere:
    """An environment that can be looked at, and does not move."""

    metadata: Mapping[str, Any] = {"autoreset_mode": "SameStep"}
    single_action_space: Space[Any] = Box(-1.0, 1.0, (1,))

    def __init__(self, num_envs: int = 4, inputs: int = 3) -> None:
        self.num_envs = num_envs
        self.single_observation_space = Box(-1.0, 1.0, (inputs,))

    def reset(self, *, seed: int | None = None) -> tuple[Array, dict[str, Any]]:
        return np.zeros((self.num_envs, *self.single_observation_space.shape)), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        raise AssertionError("nothing happens here")


def trainer_of(
    kind: type[Trainer],
    settings: Settings,
    policy: Policy | None = None,
    *,
    seed: int = 0,
    inputs: int = 3,
    dtype: DTypeLike = np.float32,
) -> Trainer:
    """A trainer of rollouts by hand; in double precision its weights are large, so that no derivative is small."""
    trainer = kind(Nowhere(inputs=inputs), seed, settings, policy or Categorical(3))
    if np.dtype(dtype) != np.float32:
        policy, rng = trainer.policy, np.random.default_rng(seed)
        trainer.network = ActorCritic(inputs, settings.hidden, policy.outputs, rng, free=policy.free, dtype=dtype)
        trainer.network.parameters[:] = rng.normal(scale=0.6, size=trainer.network.parameters.shape)
        trainer._adam = Adam(trainer.network.parameters)
    return trainer


def rollout_of(
    trainer: Trainer, steps: int = 6, *, rewards: Array | None = None, seed: int = 0, returns: Array | None = None
) -> Rollout:
    """Steps of four environments under the trainer's present policy; each step is an episode of its own."""
    rng, network, policy = np.random.default_rng(seed), trainer.network, trainer.policy
    inputs = network._layers[0][0].shape[1]
    dtype = network.parameters.dtype
    shape = steps, 4
    observations = rng.normal(size=(*shape, inputs)).astype(dtype)
    numbers, values = network.forward(observations.reshape(-1, inputs))
    actions = policy.sample(numbers, network.free, rng)
    judged = policy.judge(numbers, network.free, actions)
    rewards = rng.normal(size=shape) if rewards is None else rewards
    return Rollout(
        observations=observations,
        actions=actions.reshape(*shape, *actions.shape[1:]),
        log_probs=judged.log_prob.reshape(shape),
        values=values.reshape(shape),
        next_values=np.zeros(shape, dtype),
        rewards=rewards.astype(dtype),
        terminated=np.ones(shape, dtype=bool),
        truncated=np.zeros(shape, dtype=bool),
        valid=np.ones(shape, dtype=bool),
        returns=rewards.ravel() if returns is None else returns,
    )


def law(policy: Policy, numbers: Floats, free: Floats, actions: Array) -> tuple[Floats, Floats]:
    """Log-probabilities and entropies (B,), as scipy has them."""
    if isinstance(policy, Gaussian):
        normal = stats.norm(numbers, np.exp(free))
        return normal.logpdf(actions).sum(axis=1), normal.entropy().sum(axis=1)
    if isinstance(policy, Categorical):
        chances = special.softmax(numbers, axis=1)
        return np.log(chances[np.arange(len(chances)), actions]), stats.entropy(chances, axis=1)
    each = [stats.dirichlet(alpha) for alpha in concentrations(numbers)]
    logs = [float(one.logpdf(action)) for one, action in zip(each, actions, strict=True)]
    return np.array(logs), np.array([one.entropy() for one in each])


def concentrations(numbers: Floats) -> Floats:
    return np.asarray(1 - np.log(special.expit(-numbers)))
