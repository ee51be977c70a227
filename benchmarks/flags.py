"""What a feature flag costs, how well it splits users, and what its store bears: `python benchmarks/flags.py`.

Beside it openfeature-sdk's in-memory provider, asked through the same client of the SDK and directly.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from moga import spread, table
from numpy.typing import NDArray
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider import FeatureProvider
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from scipy.stats import chi2

from pytest_artisan.release.flags import FeatureFlagManager, is_enabled
from pytest_artisan.release.flags.bucketing import BUCKETS, Purpose, digest, drawn
from pytest_artisan.release.flags.provider import ArtisanProvider
from pytest_artisan.release.flags.states import State

# Many short ones: other processes then take their time from a few alone.
ROUNDS = 400
CALLS = 200
WRITERS, WRITES = 8, 200
KILLS = 40
FLAG = "ppo_algorithm"

_WRITER = f"""
import sys
from pathlib import Path
from pytest_artisan.release.flags import FeatureFlagManager
from pytest_artisan.release.flags.states import State
manager = FeatureFlagManager("dev", Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    manager.change("{FLAG}", lambda before: State(before.base, (before.moved + 1) % 10_000), why="count", who="benchmark")
    print("on disk", flush=True)
"""


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    os.chdir(folder)
    os.environ["ARTISAN_ENV"] = "dev"
    evaluations(FeatureFlagManager("dev", folder))
    splits()
    writes(folder / "writes")
    kills(folder / "kills")


def evaluations(manager: FeatureFlagManager) -> None:
    """Microseconds of one evaluation, in interleaved rounds."""
    manager.set_rollout_percentage(FLAG, 5, why="a benchmark", who="benchmark")
    contexts = {user: EvaluationContext(targeting_key=user) for user in (f"user-{n}" for n in range(CALLS))}
    theirs = InMemoryProvider({FLAG: InMemoryFlag("on", {"on": True, "off": False})})
    ours = ArtisanProvider(manager)
    api.set_provider_and_wait(ours, "ours")
    api.set_provider_and_wait(theirs, "theirs")
    by_client = {name: api.get_client(name).get_boolean_value for name in ("ours", "theirs")}

    def direct(provider: FeatureProvider) -> Callable[[str], object]:
        return lambda user: provider.resolve_boolean_details(FLAG, False, contexts[user])

    ways: dict[str, Callable[[str], object]] = {
        "manager, user": lambda user: manager.is_enabled(FLAG, user),
        "manager, no user": lambda _: manager.is_enabled(FLAG),
        "is_enabled of the module, user": lambda user: is_enabled(FLAG, user),
        "our provider, directly": direct(ours),
        "in-memory provider, directly (one value for all)": direct(theirs),
        "our provider, by the client": lambda user: by_client["ours"](FLAG, False, contexts[user]),
        "in-memory provider, by the client": lambda user: by_client["theirs"](FLAG, False, contexts[user]),
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, ask in ways.items():
            started = time.perf_counter()
            for user in contexts:
                ask(user)
            taken[way].append(1e6 * (time.perf_counter() - started) / CALLS)
    first = float(np.median(taken["manager, user"]))
    tenth = ROUNDS // 10
    rows = [
        (way, spread(sorted(times)[tenth:-tenth]), f"{np.median(times) / first:.2f}x") for way, times in taken.items()
    ]
    table("Microseconds of an evaluation; goal 2.5", ("asked", "median (middle 80 %)", "over the first"), rows)
    api.shutdown()


def places(flag: str, users: list[str], purpose: Purpose = "rollout", of: int = BUCKETS) -> NDArray[np.int64]:
    start = digest(flag, purpose)
    return np.fromiter((drawn(start, user, of) for user in users), np.int64, len(users))


def splits() -> None:
    """Monotone, uniform and independent, over as many users as the goals name."""
    buckets = places(FLAG, [f"user-{n}" for n in range(1_000_000)])
    violations = 0
    for base in (True, False):
        before = np.full(buckets.shape, base)
        for percent in range(101):
            # `value` compares and negates, which arrays do as well.
            after = State(base, 100 * percent).value(buckets)  # type: ignore[arg-type]
            violations += int(((before != base) & (after == base)).sum())
            before = np.asarray(after)
        violations += int((before == base).sum())
    users = [f"user-{n}" for n in range(10_000)]
    cells = 100
    expected = len(users) / cells
    worst = max(
        float(((np.bincount(places(f"flag-{n}", users, of=cells), minlength=cells) - expected) ** 2 / expected).sum())
        for n in range(1_000)
    )
    correlation = {name: f"{value:.4f}" for name, value in correlations().items()}
    rows = [
        ("violations of monotony, 1,000,000 users, 101 steps, on and off by default", str(violations), "0"),
        (
            "least p of chi-square, 1,000 flags, 10,000 users, 100 cells",
            f"{chi2.sf(worst, cells - 1):.2g}",
            ">= 0.00001",
        ),
        *((name, value, "<= 0.01") for name, value in correlation.items()),
    ]
    table("Splits", ("what", "measured", "goal"), rows)


def correlations() -> dict[str, float]:
    """The strongest, in either direction, of 20 flags' rollouts and variants among each other."""
    users = [f"user-{n}" for n in range(200_000)]
    purposes: tuple[Purpose, ...] = ("rollout", "variant")
    drawn_places = np.array([places(f"flag-{n}", users, purpose) for n in range(20) for purpose in purposes])
    found = {"buckets": drawn_places, "5 % of users": drawn_places < 500, "half of users": drawn_places < 5_000}
    return {
        f"strongest correlation of 780 pairs, 200,000 users: {name}": float(
            np.abs(np.corrcoef(values.astype(float)) - np.eye(len(values))).max()
        )
        for name, values in found.items()
    }


def writer(folder: Path, times: int) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", _WRITER, str(folder), str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def writes(folder: Path) -> None:
    """Processes that count up one flag, all at once."""
    started = time.perf_counter()
    processes = [writer(folder, WRITES) for _ in range(WRITERS)]
    told = sum(len(process.communicate()[0].splitlines()) for process in processes)
    taken = time.perf_counter() - started
    manager = FeatureFlagManager("dev", folder)
    counts = (told, manager.state(FLAG).moved, len(manager.store.history()))
    rows = [(*map(str, counts), f"{taken:.1f} s")]
    table(f"{WRITERS} processes x {WRITES} changes", ("acknowledged", "counted", "on the record", "took"), rows)


def kills(folder: Path) -> None:
    """A writer that is killed at any moment, again and again."""
    generator = random.Random(1)  # noqa: S311 - when to kill
    recorded = lost = torn = 0
    for _ in range(KILLS):
        process = writer(folder, 100_000)
        assert process.stdout is not None
        told = [process.stdout.readline()]
        time.sleep(generator.uniform(0, 0.05))
        process.kill()
        told += process.communicate()[0].splitlines()
        changes = FeatureFlagManager("dev", folder).store.history()
        lost += recorded + len(told) > len(changes)
        torn += len(changes) > recorded + len(told) + 1
        torn += any(change.before != last.after for last, change in pairwise(changes))
        recorded = len(changes)
    table(
        f"{KILLS} kills",
        ("changes", "acknowledged and lost", "state beside the record"),
        [tuple(map(str, (recorded, lost, torn)))],
    )


if __name__ == "__main__":
    main()
