"""How fast and how good PPO is, beside Stable-Baselines3 and a PyTorch script, in the same process.

One command, `python benchmarks/rl.py [section ...]`. The script and we step the same environments, side by side in numpy;
Stable-Baselines3 steps its own, one by one, and so do we in the row that says so. Rounds are interleaved, a seed each; a
ratio is taken within a round. Peers that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

# Before numpy is imported: neither side may use a second core.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import gymnasium
import numpy as np
from control import Acrobot, Pendulum
from moga import interleaved, spread, table
from peers import installed, version

from pytest_artisan.rl import get_trainer
from pytest_artisan.rl.optimization import Schedule
from pytest_artisan.rl.rollouts import Environment
from pytest_artisan.rl.trainers import Settings

OURS, ONE_BY_ONE, SCRIPT, SB3 = "pytest-artisan", "pytest-artisan, environments one by one", "PyTorch script", "SB3"
RESAMPLED = 10_000
# No training has these seeds.
UNSEEN = 1_000_000


@dataclass(frozen=True)
class Task:
    """What is learnt: `side_by_side(n)` environments, `starts` of an evaluation, and the goals."""

    name: str
    side_by_side: Callable[[int], Any]
    environments: int
    settings: Settings
    starts: int
    goal: str


def _cartpole(count: int) -> Any:
    return gymnasium.make_vec("CartPole-v1", num_envs=count, vectorization_mode="vector_entry_point")


# The settings of RL Baselines3 Zoo, but for what is said in the README.
TASKS = {
    "cartpole": Task(
        "CartPole-v1",
        _cartpole,
        8,
        Settings(
            steps=32,
            epochs=20,
            minibatch=256,
            discount=0.98,
            smoothing=0.8,
            rate=Schedule(1e-3, 0),
            clip=Schedule(0.2, 0),
            entropy=Schedule(0, 0),
            most_kl=float("inf"),
            scale_rewards=False,
        ),
        1000,
        ">= 475 in 10 of 10 seeds; >= 5x both",
    ),
    "pendulum": Task(
        "Pendulum-v1",
        Pendulum,
        4,
        Settings(
            steps=1024,
            epochs=10,
            minibatch=64,
            discount=0.9,
            rate=Schedule(1e-3, 1e-4),
            entropy=Schedule(0, 0),
            most_kl=float("inf"),
            scale_rewards=False,
        ),
        1000,
        "interquartile mean >= -190; >= 8x both",
    ),
    "acrobot": Task(
        "Acrobot-v1",
        Acrobot,
        16,
        Settings(
            steps=256,
            epochs=4,
            minibatch=256,
            smoothing=0.94,
            rate=Schedule(1e-3, 0),
            entropy=Schedule(0, 0),
            most_kl=float("inf"),
            scale_rewards=False,
        ),
        1000,
        "none",
    ),
}

# Observations to the actions that what was learnt prefers.
Act = Callable[[Any], Any]


def ours(task: Task, updates: int, make: Callable[[int], Environment], seed: int) -> Act:
    settings = replace(task.settings, updates=updates)
    trainer = get_trainer(make(task.environments), "PPO", seed=seed, settings=settings)
    for _ in range(updates):
        trainer.train()
    return trainer.act


def one_by_one(task: Task, count: int) -> Any:
    return gymnasium.make_vec(task.name, num_envs=count, vectorization_mode="sync")


def script(task: Task, updates: int, seed: int) -> Act:
    import torch
    import torch_ppo

    torch.set_num_threads(1)
    return torch_ppo.train(task.side_by_side(task.environments), seed, task.settings, updates)


def sb3(task: Task, updates: int, seed: int) -> Act:
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)
    own = task.settings
    model = PPO(
        "MlpPolicy",
        make_vec_env(task.name, n_envs=task.environments, seed=seed),
        learning_rate=lambda left: own.rate(1 - left),
        clip_range=lambda left: own.clip(1 - left),
        n_steps=own.steps,
        batch_size=own.minibatch,
        n_epochs=own.epochs,
        gamma=own.discount,
        gae_lambda=own.smoothing,
        ent_coef=0.0,
        seed=seed,
        device="cpu",
    )
    model.learn(updates * task.environments * own.steps)
    return lambda observations: model.predict(observations, deterministic=True)[0]


def score(task: Task, act: Act, seed: int) -> float:
    """The mean raw return from `task.starts` starts that no training and no other evaluation has seen."""
    environment = task.side_by_side(task.starts)
    seen = environment.reset(seed=UNSEEN + seed)[0]
    total, going = np.zeros(task.starts), np.ones(task.starts, dtype=bool)
    low, high = (getattr(environment.single_action_space, end, None) for end in ("low", "high"))
    while going.any():
        actions = act(seen)
        seen, rewards, ended, cut, _ = environment.step(actions if low is None else np.clip(actions, low, high))
        total += rewards * going
        going &= ~(ended | cut)
    return float(total.mean())


def middle(scores: Sequence[float]) -> str:
    """The interquartile mean with its bootstrap 95 % interval, and the worst (Agarwal et al. 2021)."""
    drawn = np.random.default_rng(0).choice(scores, (RESAMPLED, len(scores)))
    low, high = np.quantile(_interquartile(drawn), (0.025, 0.975))
    return f"{_interquartile(np.array(scores)[None])[0]:.1f} ({low:.1f} to {high:.1f}), worst {min(scores):.1f}"


def _interquartile(scores: Any) -> Any:
    """The mean (R,) of the middle half of each row (R, n)."""
    cut = scores.shape[1] // 4
    return np.sort(scores, axis=1)[:, cut : scores.shape[1] - cut].mean(axis=1)


def compare(task: Task, steps: int, seeds: int, rounds: int) -> None:
    updates = steps // (task.environments * task.settings.steps)
    runs: dict[str, Callable[[int], Act]] = {
        OURS: partial(ours, task, updates, task.side_by_side),
        ONE_BY_ONE: partial(ours, task, updates, partial(one_by_one, task)),
    }
    if installed("torch"):
        runs[SCRIPT] = partial(script, task, updates)
    if installed("stable_baselines3"):
        runs[SB3] = partial(sb3, task, updates)
    found = interleaved(runs, rounds, {OURS: partial(ours, task, 1, task.side_by_side)})
    rows = []
    for name, samples in found.items():
        taken = [seconds for seconds, _ in samples]
        ratios = [theirs / own for theirs, (own, _) in zip(taken, found[OURS], strict=True)]
        acts = [act for _, act in samples] + [runs[name](seed) for seed in range(rounds, seeds) if name == OURS]
        scores = [score(task, act, seed) for seed, act in enumerate(acts)]
        rows.append((name, spread(taken), spread(ratios, "x"), middle(scores), str(len(scores))))
    title = f"{task.name}, {updates * task.environments * task.settings.steps:,} steps; goal {task.goal}"
    table(title, ("who", "seconds", "times ours", "return: interquartile mean", "seeds"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sections", nargs="*", choices=[*TASKS, []], help="default: all")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=10, help="of ours")
    parser.add_argument("--rounds", type=int, default=3, help="in which everybody takes part")
    options = parser.parse_args()
    for peer in ("torch", "stable_baselines3"):
        print(version(peer))
    for name in options.sections or TASKS:
        compare(TASKS[name], options.steps, options.seeds, options.rounds)


if __name__ == "__main__":
    main()
