"""REINFORCE and PPO: a policy and its critic, made better by what came of their actions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_artisan.rl.advantages import RewardScale, generalized_advantages
from pytest_artisan.rl.checkpoints import State, check_alike, generator_state, restore_generator
from pytest_artisan.rl.networks import ActorCritic, Array
from pytest_artisan.rl.optimization import Adam, Schedule, clip_norm
from pytest_artisan.rl.policies import Policy
from pytest_artisan.rl.rollouts import Collector, Environment, Rollout, inputs_of, policy_for


@dataclass(frozen=True, slots=True)
class Settings:
    """`steps`: of each environment in a rollout; `updates`: over which the schedules go from start to end.

    `minibatch`: samples of a gradient step; `most_kl`: nats at which an update's epochs stop. The values are those of
    Schulman et al. (2017) and of the details that Huang et al. (2022) found to matter.
    """

    steps: int = 128
    updates: int = 1000
    epochs: int = 10
    minibatch: int = 64
    hidden: tuple[int, ...] = (64, 64)
    discount: float = 0.99
    smoothing: float = 0.95
    clip: Schedule = Schedule(0.2, 0.2)
    rate: Schedule = Schedule(3e-4, 0.0)
    entropy: Schedule = Schedule(0.01, 0.001)
    value_coefficient: float = 0.5
    gradient_norm: float = 0.5
    most_kl: float = 0.015
    scale_rewards: bool = True


@dataclass(frozen=True, slots=True)
class Metrics:
    """What an update did. `episode_return`: mean raw return of the `episodes` that ended in the rollout, 0 without one.

    `loss` = `policy_loss` + coefficient * `value_loss` - coefficient * `entropy`, as means over the gradient steps, like
    `clip_fraction`; `kl`: exact mean divergence of the new policy from the one that acted, in nats; `rolled_back`: why
    the update was undone.
    """

    loss: float
    policy_loss: float
    value_loss: float
    entropy: float
    clip_fraction: float
    kl: float
    explained_variance: float
    gradient_norm: float
    epochs: int
    episode_return: float
    return_error: float
    episodes: int
    rolled_back: str = ""


class _Step(NamedTuple):
    """What a gradient step saw."""

    loss: float
    policy_loss: float
    value_loss: float
    entropy: float
    clip_fraction: float
    gradient_norm: float
    kl: float


@dataclass(frozen=True, slots=True)
class _Batch:
    """The valid samples of a rollout, (n,) each."""

    observations: Array
    actions: Array
    log_probs: Array
    advantages: Array
    targets: Array


class Trainer(ABC):
    """A policy that learns in `environment`: `train` for rollout and update, or `collect` and `update` apart.

    The same seed and the same environment give the same bytes. Raises ValueError for spaces that it has no policy for.
    """

    name: ClassVar[str]
    # One gradient step over the whole rollout, and returns as they came, where an algorithm is defined so.
    _whole: ClassVar[bool]

    def __init__(
        self,
        environment: Environment,
        seed: int = 0,
        settings: Settings | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.rng = np.random.Generator(np.random.SFC64(seed))
        self.policy = policy or policy_for(environment.single_action_space)
        inputs = inputs_of(environment.single_observation_space)
        self.network = ActorCritic(inputs, self.settings.hidden, self.policy.outputs, self.rng, free=self.policy.free)
        self._adam = Adam(self.network.parameters)
        self._scale = RewardScale(environment.num_envs, self.settings.discount)
        self._collector = Collector(environment, seed)
        self.updates = 0

    def act(self, observations: Array) -> Array:
        """The actions that the policy prefers, (B,) or (B, size), for observations (B, inputs)."""
        return self.policy.mode(self.network.act(observations), self.network.free)

    def values(self, observations: Array) -> Array:
        """What the critic expects to be gained from here, (B,), in the unit of the rewards."""
        expected = self.network.forward(observations)[1]
        return expected * self._scale.unit if self.settings.scale_rewards else expected

    def train(self) -> Metrics:
        return self.update(self.collect())

    def restart(self) -> None:
        """Begin new episodes with the next rollout: the environment is no longer what it was."""
        self._collector.restart(int(self.rng.integers(2**31)))
        self._scale.returns = np.zeros_like(self._scale.returns)

    def collect(self) -> Rollout:
        return self._collector.collect(self.network, self.policy, self.rng, self.settings.steps)

    def update(self, rollout: Rollout) -> Metrics:
        """Learn from a rollout of the present policy."""
        settings, batch = self.settings, self._batch(rollout)
        count = len(batch.targets)
        size, epochs = (count, 1) if self._whole else (settings.minibatch, settings.epochs)
        numbers, free = self.network.act(batch.observations), self.network.free.copy()
        steps: list[_Step] = []
        epoch, kl_of_epoch = 0, 0.0
        while epoch < epochs and kl_of_epoch <= settings.most_kl:
            epoch += 1
            order, before = self.rng.permutation(count), len(steps)
            steps += [self._step(batch, order[start : start + size]) for start in range(0, count, size)]
            kl_of_epoch = fmean(step.kl for step in steps[before:])
        self.updates += 1
        kl = self.policy.divergence(numbers, free, self.network.act(batch.observations), self.network.free)
        left = batch.targets - rollout.values[rollout.valid]
        returns = rollout.returns
        return Metrics(
            loss=fmean(step.loss for step in steps),
            policy_loss=fmean(step.policy_loss for step in steps),
            value_loss=fmean(step.value_loss for step in steps),
            entropy=fmean(step.entropy for step in steps),
            clip_fraction=fmean(step.clip_fraction for step in steps),
            gradient_norm=fmean(step.gradient_norm for step in steps),
            kl=float(kl.mean()),
            explained_variance=float(1 - left.var() / max(batch.targets.var(), 1e-12)),
            epochs=epoch,
            episode_return=float(returns.mean()) if len(returns) else 0.0,
            return_error=float(returns.std(ddof=1) / len(returns) ** 0.5) if len(returns) > 1 else 0.0,
            episodes=len(returns),
        )

    def _batch(self, rollout: Rollout) -> _Batch:
        settings, valid = self.settings, rollout.valid
        rewards = rollout.rewards
        if settings.scale_rewards:
            ended = rollout.terminated | rollout.truncated
            rewards = self._scale(rewards, ended, valid).astype(rewards.dtype)
        advantages = generalized_advantages(
            rewards,
            rollout.values,
            rollout.next_values,
            rollout.terminated,
            rollout.truncated,
            settings.discount,
            1.0 if self._whole else settings.smoothing,
        )
        targets = advantages + rollout.values
        return _Batch(
            rollout.observations[valid],
            rollout.actions[valid],
            rollout.log_probs[valid],
            advantages[valid],
            targets[valid],
        )

    def _step(self, batch: _Batch, rows: NDArray[np.intp]) -> _Step:
        """One gradient step on these samples."""
        settings, network, count = self.settings, self.network, len(rows)
        progress = self.updates / settings.updates
        entropy_coefficient = settings.entropy(progress)
        numbers, values = network.forward(batch.observations[rows])
        judged = self.policy.judge(numbers, network.free, batch.actions[rows])
        log_ratio = judged.log_prob - batch.log_probs[rows]
        advantages = batch.advantages[rows]
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        policy_loss, by_log_prob, clipped = self._surrogate(
            judged.log_prob, log_ratio, advantages, settings.clip(progress)
        )
        off = values - batch.targets[rows]
        by_entropy = np.full_like(by_log_prob, -entropy_coefficient / count)
        by_numbers, by_free = judged.slopes(by_log_prob / count, by_entropy)
        network.backward(by_numbers, off * (2 * settings.value_coefficient / count), by_free)
        norm = clip_norm(network.gradient, settings.gradient_norm)
        self._adam.step(network.gradient, settings.rate(progress))
        value_loss, entropy = float(off @ off) / count, float(judged.entropy.mean())
        loss = policy_loss + settings.value_coefficient * value_loss - entropy_coefficient * entropy
        # Schulman's estimator (2020), which is never negative: mean of ratio - 1 - log ratio.
        kl = float((np.expm1(log_ratio) - log_ratio).mean())
        return _Step(loss, policy_loss, value_loss, entropy, clipped, norm, kl)

    @abstractmethod
    def _surrogate(
        self, log_prob: Array, log_ratio: Array, advantages: Array, clip: float
    ) -> tuple[float, Array, float]:
        """The policy's loss, `count` times its derivatives by the log-probabilities (count,), the clipped fraction."""

    def state(self) -> State:
        """All that learning depends on, but the environment's own state."""
        return {
            "algorithm": np.array(self.name),
            "parameters": self.network.parameters.copy(),
            "first": self._adam.first.copy(),
            "second": self._adam.second.copy(),
            "counts": np.array([self._adam.steps, self.updates]),
            "scale": self._scale.state.copy(),
            "returns": self._scale.returns.copy(),
            "generator": generator_state(self.rng),
        }

    def restore(self, state: State) -> None:
        """Go on from `state`, bit for bit; raises CheckpointError, and changes nothing, where it does not fit."""
        check_alike(state, self.state())
        restore_generator(self.rng, state["generator"])
        self.network.parameters[:] = state["parameters"]
        self._adam.first[:], self._adam.second[:] = state["first"], state["second"]
        self._adam.steps, self.updates = map(int, state["counts"])
        self._scale.state, self._scale.returns = state["scale"].copy(), state["returns"].copy()


class PPO(Trainer):
    """Proximal policy optimisation with a clipped ratio (Schulman et al. 2017, eq. 7)."""

    name = "PPO"
    _whole = False

    def _surrogate(
        self, log_prob: Array, log_ratio: Array, advantages: Array, clip: float
    ) -> tuple[float, Array, float]:
        ratio = np.exp(log_ratio)
        gain = ratio * advantages
        least = np.minimum(gain, np.clip(ratio, 1 - clip, 1 + clip) * advantages)
        # Where the clipped term is the smaller one, nothing pulls any more.
        free = gain <= least
        return -float(least.mean()), -gain * free, float((np.abs(ratio - 1) > clip).mean())


class REINFORCE(Trainer):
    """The likelihood-ratio gradient of the whole return (Williams 1992), with the critic as its baseline."""

    name = "REINFORCE"
    _whole = True

    def _surrogate(
        self, log_prob: Array, log_ratio: Array, advantages: Array, clip: float
    ) -> tuple[float, Array, float]:
        return -float((log_prob * advantages).mean()), -advantages, 0.0
