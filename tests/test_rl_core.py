"""Losses, distributions and estimates of rl against scipy, central differences and sums that are written out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from rl_by_hand import Floats, law, rollout_of, trainer_of

from pytest_artisan.rl.advantages import RewardScale, generalized_advantages
from pytest_artisan.rl.networks import ActorCritic, Array
from pytest_artisan.rl.optimization import Adam, Schedule, clip_norm
from pytest_artisan.rl.policies import Categorical, Dirichlet, Gaussian, Policy
from pytest_artisan.rl.trainers import PPO, REINFORCE, Settings, Trainer

quick = settings(max_examples=50, derandomize=True, deadline=None)


def by_hand(parameters: Floats, sizes: list[int], observations: Array) -> tuple[Floats, Floats, Floats]:
    """The actor's outputs, the critic's values and the free numbers, network by network and layer by layer."""
    rest, layers = parameters, []
    for a, b in pairwise(sizes):
        weights, biases, rest = np.split(rest, [2 * a * b, 2 * a * b + 2 * b])
        layers.append((weights.reshape(2, a, b), biases.reshape(2, b)))
    ends = []
    for which in (0, 1):
        layer = observations
        for weights, biases in layers[:-1]:
            layer = np.tanh(layer @ weights[which] + biases[which])
        ends.append(layer @ layers[-1][0][which] + layers[-1][1][which])
    return ends[0], ends[1][:, 0], rest


def loss_of_the_paper(trainer: Trainer, sizes: list[int], rollout: Any) -> Callable[[Floats], float]:
    """The loss by the parameters; every step of the rollout is an episode."""
    chosen = trainer.settings
    gained = rollout.rewards.ravel()
    advantages = gained - rollout.values.ravel()
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    actions = rollout.actions.reshape(gained.size, *rollout.actions.shape[2:])

    def loss(parameters: Floats) -> float:
        numbers, values, free = by_hand(parameters, sizes, rollout.observations.reshape(gained.size, -1))
        log_probs, entropies = law(trainer.policy, numbers, free, actions)
        gains = log_probs * advantages
        if isinstance(trainer, PPO):
            ratios = np.exp(log_probs - rollout.log_probs.ravel())
            least, most = 1 - chosen.clip.start, 1 + chosen.clip.start
            gains = np.minimum(ratios * advantages, np.clip(ratios, least, most) * advantages)
        value_loss = chosen.value_coefficient * np.square(values - gained).mean()
        return float(-gains.mean() + value_loss - chosen.entropy.start * entropies.mean())

    return loss


def differences(function: Callable[[Floats], float], place: Floats, step: float = 1e-5) -> Floats:
    """Central differences of fourth order."""
    slopes = np.empty_like(place)
    for number, way in enumerate(np.eye(len(place)) * step):
        near = function(place + way) - function(place - way)
        far = function(place + 2 * way) - function(place - 2 * way)
        slopes[number] = (8 * near - far) / (12 * step)
    return slopes


LOSSES = [
    pytest.param(kind, policy, hidden, id=f"{kind.name}-{type(policy).__name__}-{len(hidden)}")
    for kind in (PPO, REINFORCE)
    for policy in (Gaussian(2, 0.7), Categorical(3))
    for hidden in ((5,), (4, 3), (3, 4, 3))
] + [pytest.param(kind, Dirichlet(3), (3,), id=f"{kind.name}-Dirichlet") for kind in (PPO, REINFORCE)]


@pytest.mark.parametrize(("kind", "policy", "hidden"), LOSSES)
def test_the_gradient_is_that_of_the_loss_of_the_paper(
    kind: type[Trainer], policy: Policy, hidden: tuple[int, ...]
) -> None:
    whole = Settings(
        epochs=1, minibatch=99, hidden=hidden, rate=Schedule(0, 0), entropy=Schedule(0.13, 0.13), gradient_norm=np.inf
    )
    whole = replace(whole, scale_rewards=False, value_coefficient=0.7)
    trainer = trainer_of(kind, whole, policy, inputs=2, dtype=np.float64)
    rollout = rollout_of(trainer, 3)
    # Ratios on both sides of both limits of 0.2, and far from them.
    away = np.resize([-0.5, 0.1, 0.5, -0.1, 0.45], rollout.log_probs.shape)
    rollout = replace(rollout, log_probs=rollout.log_probs - away)
    loss = loss_of_the_paper(trainer, [2, *hidden, policy.outputs], rollout)
    place = trainer.network.parameters.astype(np.float64)
    metrics = trainer.update(rollout)
    assert metrics.loss == pytest.approx(loss(place), rel=1e-9)
    assert_array_equal(trainer.network.parameters, place)
    assert metrics.clip_fraction == pytest.approx(7 / 12 if kind is PPO else 0)
    slopes = differences(loss, place, 1e-4)
    gradient = trainer.network.gradient
    assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-9)
    assert np.linalg.norm(gradient) == pytest.approx(metrics.gradient_norm)
    ends = np.cumsum([0, *(2 * a * b + 2 * b for a, b in pairwise([2, *hidden, policy.outputs])), policy.free.size])
    assert all(np.abs(slopes[a:b]).max() > 1e-3 for a, b in pairwise(ends) if a < b)


def test_a_step_follows_no_more_of_the_gradient_than_is_allowed() -> None:
    chosen = Settings(epochs=1, minibatch=99, hidden=(5,), scale_rewards=False, gradient_norm=0.25)
    trainer = trainer_of(PPO, chosen, dtype=np.float64)
    metrics = trainer.update(rollout_of(trainer))
    assert metrics.gradient_norm > 0.3
    assert np.linalg.norm(trainer.network.gradient) == pytest.approx(0.25)
    assert_allclose(trainer._adam.first, 0.1 * trainer.network.gradient)


def test_epochs_end_by_the_mean_divergence_of_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(PPO, Settings(epochs=9, minibatch=12, most_kl=0.02))
    step, divergences = trainer._step, iter([0.0, 0.0, 0.039, 0.0, 0.0, 0.041, 0.0, 0.0])
    monkeypatch.setattr(trainer, "_step", lambda *given: step(*given)._replace(kl=next(divergences)))
    assert trainer.update(rollout_of(trainer)).epochs == 3


def test_weights_start_with_either_sign() -> None:
    corners = [ActorCritic(4, (4,), 2, np.random.default_rng(seed)).parameters[0] for seed in range(200)]
    assert 70 < np.sum(np.array(corners) > 0) < 130


@pytest.mark.parametrize("hidden", [(), (8,), (3, 16), (16, 4, 9)])
def test_weights_start_orthogonal_and_biases_at_0(hidden: tuple[int, ...]) -> None:
    network = ActorCritic(6, hidden, 4, np.random.default_rng(1), free=[0.5, -0.5], dtype=np.float64)
    for place, (weights, biases) in enumerate(network._layers):
        gains = [np.sqrt(2)] * 2 if place < len(hidden) else [0.01, 1.0]
        for matrix, gain in zip(weights, gains, strict=True):
            few = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
            assert_allclose(few.T @ few, gain**2 * np.eye(few.shape[1]), rtol=0, atol=1e-14)
        assert not np.allclose(weights[0] / gains[0], weights[1] / gains[1])
        assert_array_equal(biases, 0)
    assert_array_equal(network.parameters[-2:], [0.5, -0.5])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_acting_and_judging_see_the_same_policy(dtype: type[np.floating[Any]]) -> None:
    network = ActorCritic(3, (7, 5), 4, np.random.default_rng(2), dtype=dtype)
    network.parameters[:] = np.random.default_rng(3).normal(size=network.parameters.shape)
    observations = np.random.default_rng(4).normal(size=(9, 3)).astype(dtype)
    numbers, values = network.forward(observations)
    expected = by_hand(network.parameters.astype(np.float64), [3, 7, 5, 4], observations)
    found: Any
    for found, wanted in ((numbers, expected[0]), (network.act(observations), expected[0]), (values, expected[1])):
        assert found.dtype == dtype
        assert_allclose(found, wanted, rtol=0, atol=40 * float(np.finfo(dtype).eps))


# Optimisation.


def test_adam_is_the_loop_of_the_paper() -> None:
    rng, rates = np.random.default_rng(9), (0.1, 0.03, 0.0, 0.2)
    place = rng.normal(size=5)
    wanted, first, second = place.tolist(), [0.0] * 5, [0.0] * 5
    adam = Adam(place)
    for step in range(1, 60):
        gradient, rate = rng.normal(size=5) * 10.0 ** rng.integers(-4, 3), rates[step % 4]
        adam.step(gradient, rate)
        for i, g in enumerate(gradient.tolist()):
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            mean, square = first[i] / (1 - 0.9**step), second[i] / (1 - 0.999**step)
            wanted[i] -= rate * mean / (square**0.5 + 1e-5)
        assert_allclose(place, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("dtype", "within"), [(np.float32, 1e-4), (np.float64, 1e-11)])
def test_adam_moves_by_the_rate_where_the_gradient_stays(dtype: type[np.floating[Any]], within: float) -> None:
    gradient = np.array([3.0, -1e-2, 1e-5, 0.0], dtype=dtype)
    place = np.ones(4, dtype=dtype)
    adam = Adam(place)
    for _ in range(50):
        adam.step(gradient, 0.01)
    assert_allclose(place, 1 - 0.5 * gradient / (np.abs(gradient) + 1e-5), rtol=within)


numbers_of = st.floats(-50, 50, width=32)


@quick
@given(arrays(np.float64, st.integers(1, 8), elements=numbers_of), st.floats(0.01, 100))
def test_a_gradient_is_cut_to_the_most_and_keeps_its_way(gradient: Floats, most: float) -> None:
    cut = gradient.copy()
    norm = clip_norm(cut, most)
    assert norm == pytest.approx(np.linalg.norm(gradient))
    assert_allclose(cut * max(norm, most), gradient * most, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize(("shape", "middle"), [("linear", 0.505), ("cosine", 0.505), ("exponential", 0.1)])
@pytest.mark.parametrize("falls", [True, False])
def test_a_schedule_goes_from_start_to_end(shape: Any, middle: float, falls: bool) -> None:
    ends = (1.0, 0.01) if falls else (0.01, 1.0)
    schedule = Schedule(*ends, shape)
    path = [schedule(progress) for progress in np.linspace(-0.5, 1.5, 81)]
    assert (path[0], path[20]) == (ends[0], ends[0])
    assert path[40] == pytest.approx(middle)
    assert path[60:] == pytest.approx([ends[1]] * 21)
    assert (np.diff(path[20:61]) * (ends[1] - ends[0]) > 0).all()
    quarter = {"linear": 0.7525, "cosine": 0.01 + 0.99 * np.cos(np.pi / 8) ** 2, "exponential": 0.1**0.5}[shape]
    assert schedule(0.25 if falls else 0.75) == pytest.approx(quarter)


@pytest.mark.parametrize("ends", [(0, 1), (1, 0), (-1, 1), (1, -1)])
def test_an_exponential_schedule_refuses_0(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"an exponential schedule stays above 0, not "):
        Schedule(*ends, "exponential")
    assert Schedule(*ends)(0.5) == sum(ends) / 2


# Advantages.


@st.composite
def episodes(draw: st.DrawFn) -> tuple[Any, ...]:
    """Rewards, values, next values, terminated and truncated (T, N), and a discount."""
    shape = draw(st.integers(1, 8)), draw(st.integers(1, 3))
    floats = arrays(np.float64, shape, elements=numbers_of)
    flags = arrays(np.bool_, shape, elements=st.sampled_from([False, False, True]))
    return (*(draw(floats) for _ in range(3)), draw(flags), draw(flags), draw(st.floats(0, 1)))


def advantages_of(case: Any, smoothing: float) -> Any:
    rewards, values, next_values, terminated, truncated, discount = case
    return generalized_advantages(rewards, values, next_values, terminated, truncated, discount, smoothing)


@quick
@given(episodes(), st.sampled_from([0.0, 0.3, 0.95, 1.0]))
def test_advantages_are_discounted_sums_of_errors_up_to_an_end(case: Any, smoothing: float) -> None:
    rewards, values, next_values, terminated, truncated, discount = case
    found = advantages_of(case, smoothing)
    for start, column in np.ndindex(rewards.shape):
        total = 0.0
        for step in range(start, len(rewards)):
            left = 0 if terminated[step, column] else next_values[step, column]
            error = rewards[step, column] + discount * left - values[step, column]
            total += (discount * smoothing) ** (step - start) * error
            if terminated[step, column] or truncated[step, column]:
                break
        assert found[start, column] == pytest.approx(total, rel=1e-9, abs=1e-9)


@quick
@given(episodes())
def test_with_full_smoothing_advantages_are_returns_less_values(case: Any) -> None:
    rewards, values, next_values, terminated, truncated, discount = case
    next_values[:-1] = np.where(truncated[:-1], next_values[:-1], values[1:])
    gained = next_values[-1]
    wanted = np.empty_like(rewards)
    for step in range(len(rewards) - 1, -1, -1):
        rest = np.where(truncated[step], next_values[step], gained)
        gained = wanted[step] = rewards[step] + discount * np.where(terminated[step], 0, rest)
    assert_allclose(advantages_of(case, 1.0), wanted - values, rtol=1e-9, atol=1e-9)
    errors = rewards + discount * np.where(terminated, 0, next_values) - values
    assert_allclose(advantages_of(case, 0.0), errors, rtol=1e-12, atol=1e-12)


@quick
@given(episodes(), st.integers(0, 7), st.booleans())
def test_nothing_leaks_past_an_end(case: Any, step: int, how: bool) -> None:
    step %= len(case[0])
    case[3 if how else 4][step] = True
    found = advantages_of(case, 0.9)
    for array in case[:3]:
        array[step + 1 :] += 1e6
    if how:
        case[2][step] += 1e6
    assert_array_equal(advantages_of(case, 0.9)[: step + 1], found[: step + 1])


@quick
@given(episodes(), st.lists(st.integers(1, 4), min_size=8, max_size=8), st.sampled_from([0.0, -1000.0, 1000.0]))
def test_rewards_are_scaled_by_the_deviation_of_all_returns_seen(case: Any, sizes: list[int], level: float) -> None:
    rewards, _, _, ended, _, discount = case
    rewards += level
    scale = RewardScale(rewards.shape[1], discount)
    running, seen, start = np.zeros(rewards.shape[1]), [], 0
    for size in sizes:
        chunk = slice(start, start + size)
        start += size
        if not len(rewards[chunk]):
            break
        for reward, end in zip(rewards[chunk], ended[chunk], strict=True):
            running = running * discount + reward
            seen.append(running)
            running = np.where(end, 0, running)
        unit = float(np.sqrt(np.var(seen) + 1e-8))
        assert_allclose(scale(rewards[chunk], ended[chunk]), rewards[chunk] / unit, rtol=1e-8)
        assert scale.unit == pytest.approx(unit, rel=1e-8)
        assert_allclose(scale.returns, running, rtol=1e-12)
