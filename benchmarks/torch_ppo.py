"""PPO in PyTorch as single-file implementations have it: the peer of `rl.py` that differs in nothing but its arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical, Normal

from pytest_artisan.rl.rollouts import Environment
from pytest_artisan.rl.trainers import Settings


def _layer(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def _network(inputs: int, outputs: int, gain: float) -> nn.Sequential:
    inner = [_layer(inputs, 64, 2**0.5), nn.Tanh(), _layer(64, 64, 2**0.5), nn.Tanh()]
    return nn.Sequential(*inner, _layer(64, outputs, gain))


class Agent(nn.Module):  # type: ignore[misc]
    """An actor and a critic of two layers of 64 units."""

    def __init__(self, environment: Environment) -> None:
        super().__init__()
        [inputs], space = environment.single_observation_space.shape, environment.single_action_space
        self.discrete = hasattr(space, "n")
        outputs = int(space.n) if self.discrete else space.shape[0]
        self.actor, self.critic = _network(inputs, outputs, 0.01), _network(inputs, 1, 1.0)
        self.log_deviation = nn.Parameter(torch.zeros(outputs), requires_grad=not self.discrete)

    def judge(self, seen: Any, actions: Any = None) -> tuple[Any, ...]:
        """Actions, their log-probabilities, entropies and the values of what is seen."""
        numbers = self.actor(seen)
        chances = Categorical(logits=numbers) if self.discrete else Normal(numbers, self.log_deviation.exp())
        actions = chances.sample() if actions is None else actions
        logs, entropy = chances.log_prob(actions), chances.entropy()
        if not self.discrete:
            logs, entropy = logs.sum(1), entropy.sum(1)
        return actions, logs, entropy, self.critic(seen)[:, 0]


def train(environment: Environment, seed: int, own: Settings, updates: int) -> Callable[[Any], Any]:
    """`updates` updates; returns what the agent does: observations to actions."""
    torch.manual_seed(seed)
    rng, agent = np.random.default_rng(seed), Agent(environment)
    adam = torch.optim.Adam(agent.parameters(), lr=own.rate.start, eps=1e-5)
    seen = torch.as_tensor(environment.reset(seed=seed)[0])
    anew = torch.zeros(environment.num_envs)
    for update in range(updates):
        adam.param_groups[0]["lr"] = own.rate(update / updates)
        steps: list[tuple[Any, ...]] = []
        for _ in range(own.steps):
            with torch.no_grad():
                actions, logs, _, values = agent.judge(seen)
            taken = actions.numpy()
            bounds = environment.single_action_space
            answer = environment.step(taken if agent.discrete else np.clip(taken, bounds.low, bounds.high))
            done = torch.as_tensor(answer[2] | answer[3])
            ended = torch.as_tensor(answer[2]).float()
            steps.append((seen, actions, logs, values, torch.as_tensor(answer[1]), ended, done.float(), 1 - anew))
            seen, anew = torch.as_tensor(answer[0]), done.float()
        _learn(
            agent, adam, [torch.stack(column) for column in zip(*steps, strict=True)], seen, own, update / updates, rng
        )
    return lambda observations: _preferred(agent, observations)


def _learn(agent: Agent, adam: Any, steps: list[Any], last: Any, own: Settings, progress: float, rng: Any) -> None:
    seen, actions, logs, values, rewards, ended, done, valid = steps
    with torch.no_grad():
        following = torch.cat((values[1:], agent.critic(last)[:, 0][None]))
        gains = rewards + own.discount * following * (1 - ended) - values
        for step in range(len(gains) - 2, -1, -1):
            gains[step] += own.discount * own.smoothing * (1 - done[step]) * gains[step + 1]
    kept = valid.flatten() > 0
    flat = [column.flatten(0, 1)[kept] for column in (seen, actions, logs, gains, gains + values)]
    for _ in range(own.epochs):
        order = torch.as_tensor(rng.permutation(len(flat[0])))
        for rows in order.split(own.minibatch):
            here, did, before, gain, target = (column[rows] for column in flat)
            _, now, entropy, value = agent.judge(here, did)
            gain = (gain - gain.mean()) / (gain.std(unbiased=False) + 1e-8)
            ratio, clip = (now - before).exp(), own.clip(progress)
            policy = -torch.min(gain * ratio, gain * ratio.clamp(1 - clip, 1 + clip)).mean()
            loss = policy + own.value_coefficient * ((value - target) ** 2).mean()
            loss = loss - own.entropy(progress) * entropy.mean()
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), own.gradient_norm)
            adam.step()


def _preferred(agent: Agent, observations: Any) -> Any:
    with torch.no_grad():
        numbers = agent.actor(torch.as_tensor(observations))
    return (numbers.argmax(1) if agent.discrete else numbers).numpy()
