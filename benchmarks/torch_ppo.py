"""PPO in PyTorch, in the manner of CleanRL's single files: what one writes who writes it with automatic derivatives.

It takes the settings and the environments of pytest_artisan.rl, and does as many updates; every rule is the same, except
that it judges actions as it takes them, and scales rewards step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Categorical, Normal

if TYPE_CHECKING:
    from pytest_artisan.rl.rollouts import Environment
    from pytest_artisan.rl.trainers import Settings

Act = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass
class Agent:
    """Two networks; `log_deviation` (size,) where actions are continuous."""

    actor: nn.Sequential
    critic: nn.Sequential
    log_deviation: Tensor | None

    def parameters(self) -> list[Tensor]:
        free = [] if self.log_deviation is None else [self.log_deviation]
        return [*chain(self.actor.parameters(), self.critic.parameters()), *free]

    def judge(self, observations: Tensor, actions: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Actions (drawn, where none are given), log-probabilities, entropies and values, (B,) but for actions (B, size)."""
        numbers = self.actor(observations)
        values = self.critic(observations).squeeze(-1)
        if self.log_deviation is None:
            choice = Categorical(logits=numbers, validate_args=False)
            actions = choice.sample() if actions is None else actions
            return actions, choice.log_prob(actions), choice.entropy(), values
        normal = Normal(numbers, self.log_deviation.exp().expand_as(numbers), validate_args=False)
        actions = normal.sample() if actions is None else actions
        return actions, normal.log_prob(actions).sum(1), normal.entropy().sum(1), values

    def act(self, observations: NDArray[Any]) -> NDArray[Any]:
        """The actions that the policy prefers."""
        with torch.no_grad():
            numbers = self.actor(torch.as_tensor(observations, dtype=torch.float32))
        return np.asarray((numbers.argmax(1) if self.log_deviation is None else numbers).numpy())


@dataclass
class Batch:
    """A rollout: (T, N), observations and actions with an axis of their own after these; `valid` as in ours."""

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    valid: Tensor


class Scale:
    """Divides rewards by the running deviation of the discounted return."""

    def __init__(self, environments: int, discount: float) -> None:
        self.discount, self.returns = discount, np.zeros(environments)
        self.count, self.mean, self.variance = 1e-4, 0.0, 1.0

    def __call__(self, rewards: NDArray[Any], done: NDArray[Any]) -> NDArray[Any]:
        self.returns = self.returns * self.discount + rewards
        mean, variance, size = self.returns.mean(), self.returns.var(), len(rewards)
        both, off = self.count + size, mean - self.mean
        squares = self.variance * self.count + variance * size + off * off * self.count * size / both
        self.count, self.mean, self.variance = both, self.mean + off * size / both, squares / both
        self.returns[done] = 0
        return np.asarray(rewards / np.sqrt(self.variance + 1e-8))


def network(sizes: Iterable[int], gain: float) -> nn.Sequential:
    *inner, last = sizes
    layers: list[Any] = []
    for before, after in zip(inner, [*inner[1:], last], strict=True):
        layer = nn.Linear(before, after)
        nn.init.orthogonal_(layer.weight, gain if len(layers) == 2 * len(inner) - 2 else 2**0.5)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def train(environment: Environment, settings: Settings, seed: int, deviation: float = 1.0) -> Act:
    """A policy that learned for `settings.updates` rollouts; gives its preferred actions for observations (B, size)."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    space = environment.single_action_space
    inputs, discrete = int(np.prod(environment.single_observation_space.shape)), hasattr(space, "n")
    outputs = int(space.n) if discrete else int(space.shape[0])
    free = None if discrete else torch.full((outputs,), float(np.log(deviation)), requires_grad=True)
    hidden = settings.hidden
    agent = Agent(network((inputs, *hidden, outputs), 0.01), network((inputs, *hidden, 1), 1.0), free)
    optimizer = torch.optim.Adam(agent.parameters(), lr=settings.rate.start, eps=1e-5)
    scale = Scale(environment.num_envs, settings.discount) if settings.scale_rewards else None
    observations, anew = environment.reset(seed=seed)[0], np.zeros(environment.num_envs, dtype=bool)
    for update in range(settings.updates):
        progress = update / settings.updates
        optimizer.param_groups[0]["lr"] = settings.rate(progress)
        batch, observations, anew = collect(environment, agent, settings, scale, observations, anew)
        with torch.no_grad():
            last = agent.critic(torch.as_tensor(observations, dtype=torch.float32)).squeeze(-1)
        learn(agent, optimizer, settings, progress, batch, advantages_of(batch, last, settings), rng)
    return agent.act


def collect(
    environment: Environment,
    agent: Agent,
    settings: Settings,
    scale: Scale | None,
    observations: NDArray[Any],
    anew: NDArray[Any],
) -> tuple[Batch, NDArray[Any], NDArray[Any]]:
    """A rollout, the observations after it, and which environments start anew with the next step."""
    count, space = environment.num_envs, environment.single_action_space
    steps, discrete = settings.steps, agent.log_deviation is None
    rows = torch.zeros((steps, count, observations.shape[-1]))
    taken = torch.zeros((steps, count), dtype=torch.int64) if discrete else torch.zeros((steps, count, *space.shape))
    log_probs, values, rewards = (torch.zeros((steps, count)) for _ in range(3))
    terminated, truncated, valid = (torch.zeros((steps, count), dtype=torch.bool) for _ in range(3))
    for step in range(steps):
        rows[step], valid[step] = torch.as_tensor(observations), torch.as_tensor(~anew)
        with torch.no_grad():
            taken[step], log_probs[step], _, values[step] = agent.judge(rows[step])
        action = taken[step].numpy()
        allowed = action if discrete else np.clip(action, space.low, space.high)
        observations, gained, ended, cut, _ = environment.step(allowed)
        anew = ended | cut
        rewards[step] = torch.as_tensor(scale(gained, anew) if scale else gained)
        terminated[step], truncated[step] = torch.as_tensor(ended), torch.as_tensor(cut)
    return Batch(rows, taken, log_probs, values, rewards, terminated, truncated, valid), observations, anew


def advantages_of(batch: Batch, last: Tensor, settings: Settings) -> Tensor:
    """Generalised advantage estimates (T, N); `last` (N,) is what the states after the rollout are worth."""
    advantages, later = torch.zeros_like(batch.rewards), torch.zeros_like(last)
    following = last
    for step in range(settings.steps - 1, -1, -1):
        goes_on = ~(batch.terminated[step] | batch.truncated[step])
        error = batch.rewards[step] + settings.discount * following * ~batch.terminated[step] - batch.values[step]
        later = error + settings.discount * settings.smoothing * goes_on * later
        advantages[step], following = later, batch.values[step]
    return advantages


def learn(
    agent: Agent,
    optimizer: Any,
    settings: Settings,
    progress: float,
    batch: Batch,
    advantages: Tensor,
    rng: np.random.Generator,
) -> None:
    """The epochs of one update."""
    valid, parameters = batch.valid, agent.parameters()
    observations, actions, old = batch.observations[valid], batch.actions[valid], batch.log_probs[valid]
    gains, targets = advantages[valid], (advantages + batch.values)[valid]
    clip, entropy_coefficient = settings.clip(progress), settings.entropy(progress)
    count, size = len(gains), settings.minibatch
    for _ in range(settings.epochs):
        order, diverged = torch.as_tensor(rng.permutation(count)), []
        for start in range(0, count, size):
            rows = order[start : start + size]
            _, log_probs, entropy, values = agent.judge(observations[rows], actions[rows])
            log_ratio = log_probs - old[rows]
            ratio, gain = log_ratio.exp(), gains[rows]
            # Of a last minibatch of one row the other kind of deviation is not a number.
            gain = (gain - gain.mean()) / (gain.std(correction=0) + 1e-8)
            policy_loss = torch.max(-gain * ratio, -gain * ratio.clamp(1 - clip, 1 + clip)).mean()
            value_loss = ((values - targets[rows]) ** 2).mean()
            loss = policy_loss + settings.value_coefficient * value_loss - entropy_coefficient * entropy.mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, settings.gradient_norm)
            optimizer.step()
            with torch.no_grad():
                diverged.append(float((ratio - 1 - log_ratio).mean()))
        if sum(diverged) / len(diverged) > settings.most_kl:
            break
