"""The benchmark's environments give Gymnasium's own numbers."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from control import Acrobot, Pendulum, SideBySide


@pytest.mark.parametrize(("name", "kind"), [("Pendulum-v1", Pendulum), ("Acrobot-v1", Acrobot)])
def test_steps_are_those_of_gymnasium(name: str, kind: type[SideBySide]) -> None:
    rng, ours, theirs = np.random.default_rng(1), kind(3), [gymnasium.make(name) for _ in range(3)]
    ours.reset(seed=4)
    for place, environment in enumerate(theirs):
        environment.reset()
        # Gymnasium's Acrobot works in whatever precision its state has.
        environment.unwrapped.state = ours.state[:, place].copy()  # type: ignore[attr-defined]
    for _ in range(ours.horizon - 1):
        actions: Any = rng.uniform(-3, 3, (3, 1)) if kind is Pendulum else rng.integers(0, 3, 3)
        seen, rewards, ended, cut, _ = ours.step(actions)
        for place, environment in enumerate(theirs):
            state, reward, over, *_ = environment.step(actions[place])
            assert seen[place] == pytest.approx(state, abs=1e-5)
            assert rewards[place] == pytest.approx(reward, abs=1e-5)
            assert ended[place] == over
        if ended.any():
            return
        assert not cut.any()
    assert ours.step(actions)[3].all()
    before = ours.step(actions)
    assert not before[1].any()
    assert not (before[2] | before[3]).any()
