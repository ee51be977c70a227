"""Rollouts through Gymnasium, updates one by one, and problems that are learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.testing import assert_allclose, assert_array_equal
from rl_by_hand import Nowhere, rollout_of, trainer_of

from pytest_artisan.rl import get_trainer
from pytest_artisan.rl.advantages import generalized_advantages
from pytest_artisan.rl.networks import Array
from pytest_artisan.rl.optimization import Schedule
from pytest_artisan.rl.policies import Categorical, Dirichlet, Gaussian, Policy
from pytest_artisan.rl.rollouts import Collector, Rollout, policy_for
from pytest_artisan.rl.trainers import PPO, REINFORCE, Metrics, Settings, Trainer

STEPS = 23


class Walk(gymnasium.Env[Array, Any]):
    """Episodes of 2, 3, 4, 5, 2, ... steps; every second one is cut off. Keeps what it has shown and paid."""

    observation_space = spaces.Box(-1e9, 1e9, (2,))
    action_space = spaces.Box(-0.5, 0.5, (1,), dtype=np.float32)

    def __init__(self, number: int) -> None:
        self.number, self.episode, self.place = number, 0, 0
        self.paid: list[float] = []
        self.acted: list[float] = []
        # For every step: what it showed, and whether the episode was cut off there.
        self.shown: list[Array] = []
        self.ends: list[str] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Array, dict[str, Any]]:
        self.episode, self.place = self.episode + 1, 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        self.place += 1
        self.acted.append(float(action[0]))
        self.paid.append(np.float32(10 * self.number + self.place + 0.3 * self.episode).item())
        end = "" if self.place < 2 + (self.episode + self.number) % 4 else ("ended", "cut")[self.episode % 2]
        self.ends.append(end)
        self.shown.append(self._observation())
        return self.shown[-1], self.paid[-1], end == "ended", end == "cut", {}

    def _observation(self) -> Array:
        return np.array([self.episode - self.number, self.place / 7], dtype=np.float32)

    def returns(self) -> list[float]:
        totals, total = [], 0.0
        for reward, end in zip(self.paid, self.ends, strict=True):
            total += reward
            if end:
                totals.append(total)
                total = 0.0
        return totals


def walks(mode: AutoresetMode) -> SyncVectorEnv:
    return SyncVectorEnv([partial(Walk, number) for number in range(3)], autoreset_mode=mode)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_rollout_is_what_the_environments_showed_and_paid(mode: AutoresetMode) -> None:
    environment = walks(mode)
    trainer = PPO(environment, 3, Settings(steps=STEPS, hidden=(6,)))
    trainer.network.parameters[:] = np.random.default_rng(1).normal(size=trainer.network.parameters.shape)
    rollouts = [trainer.collect(), trainer.collect()]
    columns = {name: np.concatenate([getattr(one, name) for one in rollouts]) for name in Rollout.__dataclass_fields__}
    paths = [walk for walk in environment.envs if isinstance(walk, Walk)]
    for number, walk in enumerate(paths):
        valid = columns["valid"][:, number]
        assert valid.sum() == len(walk.paid)
        assert valid.all() == (mode is AutoresetMode.SAME_STEP)
        mine = {name: column[:, number][valid] for name, column in columns.items() if column.ndim > 1}
        assert_array_equal(mine["rewards"], walk.paid)
        assert_array_equal(mine["terminated"], [end == "ended" for end in walk.ends])
        assert_array_equal(mine["truncated"], [end == "cut" for end in walk.ends])
        assert_array_equal(np.clip(mine["actions"][:, 0], -0.5, 0.5), walk.acted)
        final = np.array([end == "cut" or end == "" for end in walk.ends])
        values = trainer.network.forward(np.array(walk.shown))[1]
        assert_allclose(mine["next_values"][final], values[final], rtol=1e-5, atol=1e-6)
        assert_allclose(mine["values"], trainer.network.forward(mine["observations"])[1], rtol=1e-5, atol=1e-6)
        assert not columns["rewards"][:, number][~valid].any()
    assert np.abs(columns["actions"]).max() > 0.5
    returns = np.concatenate([one.returns for one in rollouts])
    assert_allclose(np.sort(returns), np.sort([total for walk in paths for total in walk.returns()]), rtol=1e-12)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("kind", [PPO, REINFORCE])
def test_the_policy_that_acted_is_the_one_that_learns(
    kind: type[Trainer], mode: AutoresetMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = kind(walks(mode), 3, Settings(steps=STEPS, minibatch=999, epochs=1))
    surrogates = watched(trainer, "_surrogate", monkeypatch)
    trainer.train()
    [(log_prob, log_ratio, *_)] = surrogates
    assert_allclose(log_ratio, 0, atol=1e-6)
    assert np.ptp(log_prob) > 1


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_steps_that_only_start_anew_teach_nothing(mode: AutoresetMode) -> None:
    trainer = PPO(walks(mode), 3, Settings(steps=STEPS, hidden=(6,)))
    rollout, before = trainer.collect(), trainer.state()
    metrics = trainer.update(rollout)
    after = trainer.network.parameters.copy()
    trainer.restore(before)
    spoilt = {name: getattr(rollout, name).copy() for name in ("observations", "log_probs", "values", "next_values")}
    for array in spoilt.values():
        array[~rollout.valid] = 1e6
    assert rollout.valid.all() == (mode is AutoresetMode.SAME_STEP)
    assert trainer.update(replace(rollout, **spoilt)) == metrics
    assert_array_equal(trainer.network.parameters, after)
    seen: list[float] = []
    for column in range(3):
        running = 0.0
        for step in np.flatnonzero(rollout.valid[:, column]):
            running = running * 0.99 + float(rollout.rewards[step, column])
            seen.append(running)
            running *= not (rollout.terminated | rollout.truncated)[step, column]
    assert trainer._scale.unit == pytest.approx(np.std(seen))


def test_a_restart_begins_new_episodes() -> None:
    environment = walks(AutoresetMode.SAME_STEP)
    trainer = PPO(environment, 0, Settings(steps=1))
    trainer.train()
    assert trainer._scale.returns.all()
    trainer.restart()
    assert not trainer._scale.returns.any()
    assert_array_equal(trainer.collect().observations[0], [[2 - number, 0] for number in range(3)])


REFUSED = [
    spaces.Discrete(3, start=1),
    spaces.MultiBinary(3),
    spaces.MultiDiscrete([2, 2]),
    spaces.Box(0, 1, (2, 2)),
    spaces.Box(0, 1, ()),
    spaces.Dict(a=spaces.Discrete(2)),
    spaces.Tuple([spaces.Discrete(2)]),
]


@pytest.mark.parametrize("space", REFUSED, ids=str)
def test_spaces_without_a_policy_are_refused(space: spaces.Space[Any]) -> None:
    with pytest.raises(ValueError, match=r"supported$") as refusal:
        policy_for(space)
    assert str(space) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_spaces_with_a_policy_get_it() -> None:
    assert (type(policy_for(spaces.Discrete(4))), policy_for(spaces.Discrete(4)).outputs) == (Categorical, 4)
    assert (type(policy_for(spaces.Box(0, 1, (3,)))), policy_for(spaces.Box(0, 1, (3,))).outputs) == (Gaussian, 3)


def test_environments_that_can_not_be_collected_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^autoreset mode Disabled: environments must start anew by themselves$"):
        Collector(walks(AutoresetMode.DISABLED), 0)
    environment = Nowhere()
    environment.single_observation_space = spaces.Dict(a=spaces.Discrete(2))  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"observations that are one array are supported$"):
        PPO(environment)
    with pytest.raises(ValueError, match=r"^unknown algorithm 'A2C'; known: PPO, REINFORCE$"):
        get_trainer(Nowhere(), "A2C")
    assert [type(get_trainer(Nowhere(), name)) for name in ("ppo", "Reinforce")] == [PPO, REINFORCE]


# Updates.

KINDS: list[Policy] = [Categorical(3), Gaussian(2), Dirichlet(3)]
ONE = Settings(epochs=1, minibatch=10_000, hidden=(8, 8), scale_rewards=False, gradient_norm=1e9)


class InOrder(np.random.Generator):
    """No permutation: linear algebra may round the rows of a matrix by their places."""

    def permutation(self, x: Any, axis: int = 0) -> Any:
        return np.arange(x)


def watched(what: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of each call of this method that is yet to come."""
    calls: list[Any] = []
    method = getattr(what, name)

    def watch(*arguments: Any) -> Any:
        calls.append(arguments)
        return method(*arguments)

    monkeypatch.setattr(what, name, watch)
    return calls


@pytest.mark.parametrize("policy", KINDS, ids=["Categorical", "Gaussian", "Dirichlet"])
def test_at_ratio_1_ppo_is_reinforce(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is an episode here, so that both have the same advantages."""
    found = {}
    for kind in (PPO, REINFORCE):
        trainer = trainer_of(kind, ONE, policy, seed=4)
        trainer.rng = InOrder(np.random.SFC64(0))
        surrogates = watched(trainer, "_surrogate", monkeypatch)
        metrics = trainer.update(rollout_of(trainer, 64))
        [(_, log_ratio, *_)] = surrogates
        assert_array_equal(np.exp(log_ratio), 1)
        found[kind] = trainer.network.gradient.copy(), metrics
    assert_allclose(found[PPO][0], found[REINFORCE][0], rtol=1e-6, atol=1e-9)
    assert np.abs(found[PPO][0]).max() > 1e-3
    assert found[PPO][1].clip_fraction == 0
    assert found[PPO][1].policy_loss == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("advantage", "ratio"), [(1, 1.3), (-1, 0.7), (1, 0.7), (-1, 1.3), (1, 1.1), (-1, 0.9)])
def test_a_clipped_sample_pulls_at_nothing(advantage: float, ratio: float) -> None:
    """Only where the ratio has gone where the advantage points, beyond the limit."""
    trainer = trainer_of(PPO, ONE)
    log_ratio, advantages = np.log(np.array([ratio, 1.0])), np.array([advantage, 0.5])
    loss, slopes, clipped = trainer._surrogate(log_ratio, log_ratio, advantages, 0.2)
    beyond = (ratio - 1) * advantage > 0.2
    assert slopes[0] == pytest.approx(0 if beyond else -ratio * advantage)
    assert (slopes[0] == 0) == beyond
    worst = min(ratio * advantage, float(np.clip(ratio, 0.8, 1.2)) * advantage)
    assert loss == pytest.approx(-(worst + 0.5) / 2)
    assert clipped == (0.5 if abs(ratio - 1) > 0.2 else 0)


def test_every_sample_is_used_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(PPO, replace(ONE, epochs=4, minibatch=10, most_kl=9.0))
    calls = watched(trainer, "_step", monkeypatch)
    metrics = trainer.update(rollout_of(trainer, 12))
    steps = [rows.tolist() for _, rows in calls]
    assert [len(rows) for rows in steps] == [10, 10, 10, 10, 8] * 4
    epochs = [list(chain(*steps[start : start + 5])) for start in range(0, 20, 5)]
    assert all(sorted(epoch) == list(range(48)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == metrics.epochs == 4
    assert trainer._adam.steps == 20


@pytest.mark.parametrize(("most_kl", "epochs"), [(1e9, 9), (1e-12, 2), (0.0, 2)])
def test_epochs_end_once_the_policy_is_far(most_kl: float, epochs: int) -> None:
    """The first epoch, one step, sees the policy that acted; the second one what the first has done."""
    trainer = trainer_of(PPO, replace(ONE, epochs=9, most_kl=most_kl, rate=Schedule(1e-2, 1e-2)))
    metrics = trainer.update(rollout_of(trainer, 40))
    assert (metrics.epochs, trainer._adam.steps) == (epochs, epochs)
    assert metrics.kl > 1e-5


def test_kl_is_that_of_the_policy_that_acted_from_the_one_now() -> None:
    trainer = trainer_of(PPO, replace(ONE, epochs=5, most_kl=9.0, rate=Schedule(0.05, 0.05)), Gaussian(2))
    rollout, free = rollout_of(trainer, 40), trainer.network.free.copy()
    observations = rollout.observations.reshape(-1, 3)
    old = trainer.network.act(observations)
    metrics = trainer.update(rollout)
    new, moved = trainer.network.act(observations), trainer.network.free
    ways = [trainer.policy.divergence(*pair).mean() for pair in ((old, free, new, moved), (new, moved, old, free))]
    assert metrics.kl == pytest.approx(ways[0], rel=1e-6)
    assert metrics.kl != pytest.approx(ways[1], rel=1e-2)


def test_rate_entropy_and_clip_follow_their_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    schedules = {"rate": Schedule(0.01, 0.001), "entropy": Schedule(0.5, 0.1, "cosine"), "clip": Schedule(0.3, 0.1)}
    trainer = trainer_of(PPO, replace(ONE, updates=4, **schedules))  # type: ignore[arg-type]
    surrogates, steps = watched(trainer, "_surrogate", monkeypatch), watched(trainer._adam, "step", monkeypatch)
    for update in range(6):
        found = trainer.update(rollout_of(trainer, seed=update))
        least = found.policy_loss + 0.5 * found.value_loss - found.loss
        assert least / found.entropy == pytest.approx(schedules["entropy"](update / 4), rel=1e-4)
    assert [rate for _, rate in steps] == [schedules["rate"](update / 4) for update in range(6)]
    assert [clip for *_, clip in surrogates] == [schedules["clip"](update / 4) for update in range(6)]


def test_metrics_tell_what_the_rollout_and_the_critic_were_worth() -> None:
    trainer = trainer_of(PPO, replace(ONE, rate=Schedule(0, 0)))
    rollout = rollout_of(trainer, 50, returns=np.array([1.0, 2.0, 6.0]))
    targets, values = rollout.rewards.ravel(), rollout.values.ravel()
    for one, known in ((rollout, targets - values), (replace(rollout, values=rollout.rewards), np.zeros(200))):
        metrics = trainer.update(one)
        assert metrics.explained_variance == pytest.approx(1 - known.var() / targets.var(), abs=1e-6)
    assert (metrics.episode_return, metrics.episodes) == (3, 3)
    assert metrics.return_error == pytest.approx(7**0.5 / 3**0.5)
    assert trainer.update(replace(rollout, returns=np.zeros(0))).episodes == 0


@pytest.mark.parametrize(("kind", "smoothing"), [(PPO, 0.8), (REINFORCE, 1.0)])
def test_targets_are_advantages_plus_values(kind: type[Trainer], smoothing: float) -> None:
    trainer = kind(walks(AutoresetMode.SAME_STEP), 1, replace(ONE, steps=STEPS, smoothing=0.8, discount=0.9))
    one = trainer.collect()
    ends = one.terminated, one.truncated
    wanted = generalized_advantages(one.rewards, one.values, one.next_values, *ends, 0.9, smoothing)
    batch = trainer._batch(one)
    assert_array_equal(batch.advantages, wanted.ravel())
    assert_allclose(batch.targets, (wanted + one.values).ravel())


# Problems.


class Arms(Nowhere):
    """A bandit: each step is an episode, each arm pays its number of points more or less."""

    def __init__(self, arms: int, level: float = 0.0) -> None:
        super().__init__(16, 1)
        self.single_action_space = spaces.Discrete(arms)
        self._level, self._rng = level, np.random.default_rng(5)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        paid = self._level + actions + self._rng.normal(scale=0.3, size=16)
        return np.zeros((16, 1)), paid, np.ones(16, dtype=bool), np.zeros(16, dtype=bool), {}


def chances(trainer: Trainer) -> Array:
    logits = trainer.network.act(np.zeros((1, 1), np.float32))[0]
    return np.asarray(np.exp(logits) / np.exp(logits).sum())


@pytest.mark.parametrize("level", [-1000.0, 0.0, 1000.0])
@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize(("kind", "rate", "updates"), [(PPO, 0.02, 12), (REINFORCE, 0.05, 60)])
def test_a_bandit_is_learnt(kind: type[Trainer], rate: float, updates: int, arms: int, level: float) -> None:
    chosen = Settings(steps=16, updates=updates, minibatch=128, hidden=(8,), rate=Schedule(rate, rate), most_kl=0.1)
    trainer = kind(Arms(arms, level), 0, chosen)
    assert_allclose(chances(trainer), 1 / arms, atol=0.02)
    first, *_, last = [trainer.train() for _ in range(updates)]
    assert chances(trainer)[-1] > 0.95
    assert last.episode_return > first.episode_return + 0.3
    assert last.episodes == 256


def points_on_cartpole(trainer: Trainer, episodes: int = 16) -> float:
    """The mean return of the preferred actions."""
    environment = gymnasium.make_vec("CartPole-v1", num_envs=episodes, vectorization_mode="vector_entry_point")
    observations, _ = environment.reset(seed=99)
    alive, total = np.ones(episodes, dtype=bool), 0.0
    for _ in range(500):
        observations, rewards, terminated, truncated, _ = environment.step(trainer.act(observations))
        total += float(alive @ rewards)
        alive &= ~(terminated | truncated)
    return total / episodes


def test_a_pole_is_balanced_after_30_000_steps() -> None:
    environment = gymnasium.make_vec("CartPole-v1", num_envs=16, vectorization_mode="vector_entry_point")
    chosen = Settings(steps=64, updates=29, minibatch=256, hidden=(32, 32), rate=Schedule(3e-3, 0.0))
    trainer = PPO(environment, 0, chosen)
    assert points_on_cartpole(trainer) < 100
    metrics = [trainer.train() for _ in range(chosen.updates)]
    assert points_on_cartpole(trainer) > 195
    assert np.isfinite([[one.loss, one.kl, one.gradient_norm] for one in metrics]).all()
    assert_allclose(trainer.values(np.zeros((1, 4), np.float32)), 95, atol=45)


def learnt(make: Callable[[], Trainer], updates: int = 3) -> tuple[bytes, list[Metrics]]:
    trainer = make()
    metrics = [trainer.train() for _ in range(updates)]
    return b"".join(array.tobytes() for array in trainer.state().values()), metrics


@pytest.mark.parametrize("kind", [PPO, REINFORCE])
def test_the_same_seed_gives_the_same_bytes(kind: type[Trainer]) -> None:
    def make(seed: int = 7) -> Trainer:
        environment = gymnasium.make_vec("CartPole-v1", num_envs=3, vectorization_mode="vector_entry_point")
        return kind(environment, seed, Settings(steps=STEPS, hidden=(8,)))

    assert learnt(make) == learnt(make)
    assert learnt(make) != learnt(lambda: make(8))


@pytest.mark.parametrize("kind", [PPO, REINFORCE])
def test_a_rate_of_0_changes_no_parameter(kind: type[Trainer]) -> None:
    trainer = kind(Arms(3), 0, replace(ONE, steps=8, epochs=3, rate=Schedule(0, 0)))
    before = trainer.network.parameters.copy()
    metrics = trainer.train()
    assert_array_equal(trainer.network.parameters, before)
    assert metrics.kl == 0
    assert trainer._adam.first.any()
