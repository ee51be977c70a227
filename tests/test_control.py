"""The benchmark's environments side by side are Gymnasium's own, step by step."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from control import Acrobot, Pendulum, SideBySide

COUNT = 4
# Angles far beyond a turn, and speeds beyond what either lets stand.
WIDE = {Pendulum: np.array([[20], [8]]), Acrobot: np.array([[np.pi], [np.pi], [12], [28]])}
NAMES: dict[type[SideBySide], str] = {Pendulum: "Pendulum-v1", Acrobot: "Acrobot-v1"}


def actions_for(environments: SideBySide, rng: np.random.Generator) -> Any:
    space = environments.single_action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        return rng.integers(int(space.n), size=COUNT)
    # Also more than is allowed, which both cut off.
    return rng.uniform(-3, 3, (COUNT, 1)).astype(np.float32)


@pytest.mark.parametrize("kind", list(NAMES))
def test_each_step_is_gymnasiums(kind: type[SideBySide]) -> None:
    rng = np.random.default_rng(3)
    environments = kind(COUNT)
    own: list[Any] = [gymnasium.make(NAMES[kind], disable_env_checker=True) for _ in range(COUNT)]
    environments.reset(seed=1)
    for one in own:
        one.reset()
    seen, ended = {"terminated": 0, "truncated": 0}, np.zeros(COUNT, dtype=bool)
    for step in range(2 * kind.most_steps + 20):
        # First episodes of their own making, and then states from everywhere.
        if step > kind.most_steps + 10 and step % 10 == 0:
            environments.states = rng.uniform(-WIDE[kind], WIDE[kind], environments.states.shape)
        before, actions = environments.states.copy(), actions_for(environments, rng)
        observations, rewards, terminated, truncated, _ = environments.step(actions)
        for place, one in enumerate(own):
            if ended[place]:
                one.reset()
                assert (rewards[place], terminated[place], truncated[place]) == (0, False, False)
                continue
            # The same state each time: these systems make a last digit into another course.
            one.unwrapped.state = before[:, place]
            wanted = one.step(actions[place])
            np.testing.assert_allclose(observations[place], wanted[0], rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(environments.states[:, place], one.unwrapped.state, rtol=1e-10, atol=1e-10)
            assert rewards[place] == pytest.approx(wanted[1], rel=1e-6)
            assert (terminated[place], truncated[place]) == wanted[2:4]
            seen["terminated"] += bool(terminated[place])
            seen["truncated"] += bool(truncated[place])
        ended = terminated | truncated
    assert seen["truncated"] > 0
    assert seen["terminated"] > 0 or kind is Pendulum


@pytest.mark.parametrize("kind", list(NAMES))
def test_spaces_and_starts_are_gymnasiums(kind: type[SideBySide]) -> None:
    environments, one = kind(2000), gymnasium.make(NAMES[kind])
    assert environments.single_observation_space == one.observation_space
    assert environments.single_action_space == one.action_space
    assert one.spec is not None
    assert environments.most_steps == one.spec.max_episode_steps
    observations, _ = environments.reset(seed=7)
    assert observations.dtype == np.float32
    theirs = np.array([one.reset(seed=seed)[0] for seed in range(2000)])
    # Means of 2,000 uniform starts lie within 6 standard errors of one another, and the ends within a hundredth.
    errors = np.sqrt((observations.var(axis=0) + theirs.var(axis=0)) / 2000)
    assert (np.abs(observations.mean(axis=0) - theirs.mean(axis=0)) <= 6 * errors).all()
    width = np.ptp(theirs, axis=0)
    assert (np.abs(observations.min(axis=0) - theirs.min(axis=0)) <= 0.02 * width).all()
    assert (np.abs(observations.max(axis=0) - theirs.max(axis=0)) <= 0.02 * width).all()


@pytest.mark.parametrize("kind", list(NAMES))
def test_a_seed_gives_the_same_course(kind: type[SideBySide]) -> None:
    def course() -> list[Any]:
        environments, rng = kind(COUNT), np.random.default_rng(0)
        seen = [environments.reset(seed=5)[0]]
        return seen + [environments.step(actions_for(environments, rng))[0] for _ in range(kind.most_steps + 5)]

    for one, other in zip(course(), course(), strict=True):
        np.testing.assert_array_equal(one, other)
