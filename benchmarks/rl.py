"""How fast PPO learns, and how well, beside other libraries in the same process.

One command, `python benchmarks/rl.py [section ...]`. Every round has a seed of its own and all contenders in turn; a ratio
is taken within a round, so that a slow minute hits everybody. Libraries that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

# Before numpy is imported: neither side may use a second core.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import gymnasium
import numpy as np
from control import Acrobot, Floats, Pendulum
from moga import OURS, spread, table
from numpy.typing import NDArray
from peers import installed, version

from pytest_artisan.rl import get_trainer
from pytest_artisan.rl.optimization import Schedule
from pytest_artisan.rl.policies import Gaussian
from pytest_artisan.rl.rollouts import Environment
from pytest_artisan.rl.trainers import Settings

# Observations (B, size) to the actions that a policy prefers.
Act = Callable[[NDArray[Any]], NDArray[Any]]
# A seed to what was learned with it.
Run = Callable[[int], Act]

# Training takes seeds from 0 on.
EVALUATION_SEED = 10**6
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Task:
    """`side_by_side`: makes that many environments; `count`: in training; `starts`: fresh ones in an evaluation.

    `deviation`: of a continuous policy at the start; `most`: the best return that an episode can have, if there is one;
    `goal`: of every seed, or of their interquartile mean; `speed`: goal of a peer's time over ours.
    """

    name: str
    side_by_side: Callable[[int], Environment]
    count: int
    starts: int
    settings: Settings
    goal: float
    every_seed: bool = False
    speed: float | None = None
    deviation: float = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: its training in seconds of wall time, and the mean return of the starts in its evaluation."""

    seed: int
    seconds: float
    value: float


def cart_poles(count: int) -> Environment:
    made: Any = gymnasium.make_vec("CartPole-v1", num_envs=count, vectorization_mode="vector_entry_point")
    environments: Environment = made
    return environments


# As in RL Baselines3 Zoo, but for its state-dependent exploration of the pendulum; most_kl inf: no update stops early.
_BASE = Settings(entropy=Schedule(0, 0), most_kl=math.inf, scale_rewards=True)
TASKS: Mapping[str, Task] = {
    "cartpole": Task(
        "CartPole-v1",
        cart_poles,
        count=8,
        starts=100,
        settings=replace(
            _BASE,
            steps=32,
            minibatch=256,
            discount=0.98,
            smoothing=0.8,
            epochs=20,
            rate=Schedule(1e-3, 0),
            clip=Schedule(0.2, 0),
            # Each reward is 1, and all contenders take them as they come.
            scale_rewards=False,
        ),
        goal=475,
        every_seed=True,
        speed=5,
    ),
    "pendulum": Task(
        "Pendulum-v1",
        Pendulum,
        count=4,
        starts=1000,
        settings=replace(
            _BASE, steps=1024, minibatch=64, discount=0.9, smoothing=0.95, epochs=10, rate=Schedule(1e-3, 3e-4)
        ),
        goal=-190,
        speed=8,
        # As far as the torque goes; from 0.5 it learned clearly less, from 1 and 3 not clearly.
        deviation=2.0,
    ),
    "acrobot": Task(
        "Acrobot-v1",
        Acrobot,
        count=16,
        starts=1000,
        settings=replace(
            _BASE, steps=256, minibatch=256, discount=0.99, smoothing=0.94, epochs=10, rate=Schedule(1e-3, 0)
        ),
        goal=-100,
    ),
}


def ours(task: Task, settings: Settings, side_by_side: Callable[[int], Environment], seed: int) -> Act:
    environment = side_by_side(task.count)
    continuous = hasattr(environment.single_action_space, "low")
    policy = Gaussian(environment.single_action_space.shape[0], task.deviation) if continuous else None
    trainer = get_trainer(environment, "PPO", seed=seed, settings=settings, policy=policy)
    for _ in range(settings.updates):
        trainer.train()
    return trainer.act


def one_by_one(task: Task, count: int) -> Environment:
    """Gymnasium's environments, each of which is stepped in Python."""
    made: Any = gymnasium.make_vec(task.name, num_envs=count, vectorization_mode="sync")
    environments: Environment = made
    return environments


def torch_script(task: Task, settings: Settings, seed: int) -> Act:
    from torch_ppo import train

    return train(task.side_by_side(task.count), settings, seed, task.deviation)


def baselines3(task: Task, settings: Settings, seed: int) -> Act:
    """Rewards as they come, as the zoo has it; progress here goes from 1 to 0."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    torch.set_num_threads(1)
    environments = make_vec_env(task.name, n_envs=task.count, seed=seed)
    model = PPO(
        "MlpPolicy",
        environments,
        n_steps=settings.steps,
        batch_size=settings.minibatch,
        n_epochs=settings.epochs,
        gamma=settings.discount,
        gae_lambda=settings.smoothing,
        learning_rate=lambda left: settings.rate(1 - left),
        clip_range=lambda left: settings.clip(1 - left),
        ent_coef=settings.entropy.start,
        vf_coef=settings.value_coefficient,
        max_grad_norm=settings.gradient_norm,
        policy_kwargs={"net_arch": list(settings.hidden), "log_std_init": math.log(task.deviation)},
        seed=seed,
        device="cpu",
    )
    model.learn(settings.updates * settings.steps * task.count)
    return lambda observations: np.asarray(model.predict(observations, deterministic=True)[0])


def evaluate(task: Task, act: Act) -> float:
    """The mean return of the policy's preferred actions over the same starts for everybody."""
    environment = task.side_by_side(task.starts)
    space = environment.single_action_space
    observations, _ = environment.reset(seed=EVALUATION_SEED)
    total, running = np.zeros(task.starts), np.ones(task.starts, dtype=bool)
    while running.any():
        actions = act(np.asarray(observations, dtype=np.float32))
        allowed = np.clip(actions, space.low, space.high) if hasattr(space, "low") else actions
        observations, rewards, terminated, truncated, _ = environment.step(allowed)
        total += rewards * running
        running &= ~(terminated | truncated)
    return float(total.mean())


def interquartile_mean(values: Floats) -> Floats:
    """Of the last axis; a value that lies across a quartile counts with the share of it that is inside."""
    count = values.shape[-1]
    ends = np.clip(np.arange(count + 1) / count, 0.25, 0.75)
    return np.asarray(np.sort(values, axis=-1) @ np.diff(ends) * 2)


def interval(values: Floats) -> tuple[float, float]:
    """The 95 % interval of the interquartile mean, by drawing seeds again (Agarwal et al. 2021)."""
    drawn = np.random.default_rng(0).choice(values, (RESAMPLES, len(values)))
    low, high = np.quantile(interquartile_mean(drawn), (0.025, 0.975))
    return float(low), float(high)


def measured(
    task: Task, runs: Mapping[str, Run], warm: Mapping[str, Run], seeds: Mapping[str, int]
) -> Mapping[str, Sequence[Sample]]:
    """Every contender in every round as long as it has seeds left, in rotated order; `warm` runs before, uncounted."""
    found: dict[str, list[Sample]] = {name: [] for name in runs}
    for warming in warm.values():
        warming(max(seeds.values()))
    for seed in range(max(seeds.values())):
        names = [name for name in runs if seed < seeds[name]]
        turn = seed % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()
            started = time.perf_counter()
            act = runs[name](seed)
            seconds = time.perf_counter() - started
            found[name].append(Sample(seed, seconds, evaluate(task, act)))
    return found


def contenders(task: Task, settings: Settings) -> dict[str, Run]:
    """All that are installed, ours first; the name tells which environments a contender steps."""
    vector = "Gymnasium's vector environment" if task.side_by_side is cart_poles else "control.py"
    runs: dict[str, Run] = {
        f"{OURS}, {vector}": partial(ours, task, settings, task.side_by_side),
        f"{OURS}, SyncVectorEnv": partial(ours, task, settings, partial(one_by_one, task)),
    }
    if installed("torch"):
        runs[f"PyTorch script, {vector}"] = partial(torch_script, task, settings)
    if installed("stable_baselines3"):
        runs["Stable-Baselines3, DummyVecEnv"] = partial(baselines3, task, settings)
    return runs


def section(name: str, seeds: int, peer_seeds: int, steps: int) -> None:
    """Measure one task and print what came of it."""
    task = TASKS[name]
    settings = replace(task.settings, updates=math.ceil(steps / (task.count * task.settings.steps)))
    runs = contenders(task, settings)
    first = next(iter(runs))
    many = {contender: seeds if contender == first else min(seeds, peer_seeds) for contender in runs}
    found = measured(task, runs, contenders(task, replace(settings, updates=2)), many)
    head = ("contender", "seeds", "seconds", "time / ours", "interquartile mean (95 %)", "worst seed")
    title = f"{task.name}: {settings.updates} updates of {settings.steps} steps in {task.count} environments"
    table(title, head, [row(samples, found[first]) for samples in found.items()])
    print(f"\n{told(task, settings)}")
    for line in goals(task, found):
        print(line)


def row(samples: tuple[str, Sequence[Sample]], own: Sequence[Sample]) -> tuple[str, ...]:
    name, found = samples
    values = np.array([sample.value for sample in found])
    low, high = interval(values)
    worst = min(found, key=lambda sample: sample.value)
    return (
        name,
        str(len(found)),
        spread([sample.seconds for sample in found]),
        spread(ratios(found, own), "x"),
        f"{float(interquartile_mean(values)):.1f} ({low:.1f} to {high:.1f})",
        f"{worst.value:.1f} (seed {worst.seed})",
    )


def ratios(found: Sequence[Sample], own: Sequence[Sample]) -> list[float]:
    """Times over ours of the same round."""
    return [one.seconds / mine.seconds for one, mine in zip(found, own, strict=False)]


def goals(task: Task, found: Mapping[str, Sequence[Sample]]) -> list[str]:
    """A line for each goal, and whether ours met it."""
    (_, own), *others = found.items()
    values = np.array([sample.value for sample in own])
    if task.every_seed:
        reached = int((values >= task.goal).sum())
        lines = [f"goal: {task.goal:g} with every seed: {reached} of {len(own)}: {_met(reached == len(own))}"]
    else:
        middle = float(interquartile_mean(values))
        lines = [f"goal: interquartile mean >= {task.goal:g}: {middle:.1f}: {_met(middle >= task.goal)}"]
    for name, samples in others:
        if task.speed and not name.startswith(OURS):
            median = statistics.median(ratios(samples, own))
            lines.append(f"goal: {task.speed:g} x {name}: {median:.1f}x: {_met(median >= task.speed)}")
    return lines


def _met(reached: bool) -> str:
    return "met" if reached else "NOT met"


def told(task: Task, settings: Settings) -> str:
    """The settings, and in what the contenders differ."""
    scaled = (
        "rewards scaled (ours and the script; Stable-Baselines3 as they come)"
        if settings.scale_rewards
        else "rewards as they come"
    )
    most_kl = "no limit of KL" if math.isinf(settings.most_kl) else f"an update stops above {settings.most_kl:g} nats"
    start = (
        f", deviation {task.deviation:g} at first" if hasattr(task.side_by_side(1).single_action_space, "low") else ""
    )
    return (
        f"minibatch {settings.minibatch}, {settings.epochs} epochs, discount {settings.discount:g}, smoothing "
        f"{settings.smoothing:g}, rate {settings.rate.start:g} to {settings.rate.end:g}, clip {settings.clip.start:g} to "
        f"{settings.clip.end:g}, entropy {settings.entropy.start:g}, layers {settings.hidden}{start}; {scaled}; {most_kl}; "
        f"evaluated on {task.starts} starts"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="section", help=f"by default all of: {', '.join(TASKS)}")
    parser.add_argument("--seeds", type=int, default=10, help="of ours (default: %(default)s)")
    parser.add_argument("--peer-seeds", type=int, default=3, help="of every other (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=100_000, help="of a run at least (default: %(default)s)")
    given = parser.parse_args()
    if unknown := set(given.sections) - set(TASKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(TASKS)}")
    if min(given.seeds, given.peer_seeds, given.steps) < 1:
        parser.error("seeds and steps are at least 1")
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs, one thread")
    print(", ".join(version(library) for library in ("numpy", "gymnasium", "torch", "stable_baselines3")))
    for name in given.sections or TASKS:
        section(name, given.seeds, given.peer_seeds, given.steps)


if __name__ == "__main__":
    main()
