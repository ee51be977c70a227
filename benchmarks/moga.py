"""How fast and how good the numeric core is, beside other libraries in the same process.

One command, `python benchmarks/moga.py [section ...]`. Rounds are interleaved and each has a seed of its own; a ratio is
taken within a round, so that a slow minute hits everybody. Libraries that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import csv
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before numpy is imported: neither side may use a second core.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import peers
from formulation import Formulation, formulation, oracle
from numpy.typing import NDArray
from peers import (
    GENERATIONS,
    NSGA2S,
    RANKS,
    SIZE,
    installed,
    pymoo_nsga2,
    pymoo_nsga3,
    pymoo_repaired,
    pymoo_sms,
    version,
)
from problems import PROBLEMS, Evaluate, Floats, Problem

if TYPE_CHECKING:
    from pytest_artisan.moga.composition import Composition

# A seed to objectives, or to ranks.
Run = Callable[[int], NDArray[Any]]
Samples = Mapping[str, Sequence[tuple[float, NDArray[Any]]]]
Score = Callable[[NDArray[Any]], float]

OURS = "pytest-artisan"
GLOSSARY = 3157
MEMORY_LIMIT = 300
# What a formula of a large table may hold.
FEW, LEAST = 40, 0.01


def interleaved(runs: Mapping[str, Run], rounds: int, warm: Mapping[str, Run] | None = None) -> Samples:
    """Seconds and result of every run in every round, in rotated order; `warm` runs once before, uncounted."""
    names = list(runs)
    found: dict[str, list[tuple[float, NDArray[Any]]]] = {name: [] for name in names}
    for warming in (warm or runs).values():
        warming(0)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()
            gc.disable()
            started = time.perf_counter()
            result = runs[name](number)
            found[name].append((time.perf_counter() - started, result))
            gc.enable()
    return found


def rows_of(found: Samples, unit: float, score: Score) -> Iterable[tuple[str, ...]]:
    """A line for each contender: its time, how many times that of the first one, and its score."""
    ours = [seconds for seconds, _ in next(iter(found.values()))]
    for name, samples in found.items():
        taken = [seconds for seconds, _ in samples]
        ratios = [theirs / own for theirs, own in zip(taken, ours, strict=True)]
        scores = [score(result) for _, result in samples]
        yield name, spread([t / unit for t in taken]), spread(ratios, "x"), spread(scores)


def spread(values: Sequence[float], suffix: str = "") -> str:
    median, low, high = (
        f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
        for value in (statistics.median(values), min(values), max(values))
    )
    return f"{median}{suffix} ({low} to {high})"


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print(f"\n{title}\n")
    for line in (lines[0], tuple("-" * width for width in widths), *lines[1:]):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |", flush=True)


def seeded(run: peers.Run, problem: Problem, generations: int) -> Run:
    return lambda seed: run(problem, seed, generations)


def our_nsga2(problem: Problem, seed: int, generations: int, survive: str = "crowding") -> Floats:
    """The first population counts as a generation here."""
    from pytest_artisan.moga import survival
    from pytest_artisan.moga.evolution import NSGA2

    rng = np.random.Generator(np.random.SFC64(seed))
    chosen = getattr(survival, survive)
    evolution = NSGA2(problem.evaluate, problem.lower, problem.upper, rng, size=SIZE, survive=chosen)
    evolution.run(generations + 1)
    return evolution.objectives


def volume_of(problem: Problem) -> Score:
    from pytest_artisan.moga.indicators import hypervolume

    return lambda objectives: hypervolume(objectives, problem.reference)


def speed(rounds: int, generations: int = GENERATIONS) -> None:
    """NSGA-II with the same settings."""
    contenders = {OURS: our_nsga2, **{name: run for name, run in NSGA2S.items() if installed(name)}}
    for name in ("ZDT1", "DTLZ2"):
        problem = PROBLEMS[name]
        warm = {library: seeded(run, problem, 5) for library, run in contenders.items()}
        runs = {library: seeded(run, problem, generations) for library, run in contenders.items()}
        found = interleaved(runs, rounds, warm)
        title = (
            f"NSGA-II on {name}: {problem.variables} variables, {problem.objectives} objectives, {generations} x {SIZE}"
        )
        head = ("library", "milliseconds", "time / ours", f"hypervolume (front: {problem.hypervolume:.5f})")
        table(title, head, rows_of(found, 1e-3, volume_of(problem)))


def quality(rounds: int, generations: int = 230) -> None:
    """What survival by hypervolume gives for its time."""
    problem = PROBLEMS["DTLZ2"]
    contenders: dict[str, peers.Run] = {
        f"{OURS}, {survive}": partial(our_nsga2, survive=survive) for survive in ("hypervolume", "spread", "crowding")
    }
    if installed("pymoo"):
        contenders |= {"pymoo NSGA-III": pymoo_nsga3, "pymoo SMS-EMOA": pymoo_sms, "pymoo NSGA-II": pymoo_nsga2}
    runs = {name: seeded(run, problem, generations) for name, run in contenders.items()}
    found = interleaved(runs, rounds)
    head = ("method", "seconds", "time / ours", f"hypervolume (front: {problem.hypervolume:.5f})")
    table(f"DTLZ2 with 3 objectives, {generations} x {SIZE}", head, rows_of(found, 1, volume_of(problem)))


def ranking(rounds: int) -> None:
    """Non-dominated ranks alone."""
    from pytest_artisan.moga.ranking import nondominated_rank

    ranks: dict[str, peers.Rank] = {OURS: nondominated_rank}
    ranks |= {name: rank for name, rank in RANKS.items() if installed(name)}
    for count, objectives, repeat in ((200, 2, 50), (200, 3, 50), (5000, 3, 1), (5000, 4, 1)):
        for shape in (near_sphere, uniform):
            clouds = [shape(seed, count, objectives) for seed in range(rounds)]
            runs = {name: repeated(rank, clouds, repeat) for name, rank in ranks.items()}
            found = interleaved(runs, rounds)
            answers = [[rank for _, rank in samples] for samples in found.values()]
            same = all(np.array_equal(one, other) for row in zip(*answers, strict=True) for one, other in pairwise(row))
            title = f"Ranks of {count} points, {shape.__name__}, {objectives} objectives; all {'equal' if same else 'DIFFER'}"
            head = ("library", "microseconds", "time / ours", "fronts")
            table(title, head, rows_of(found, 1e-6 * repeat, lambda rank: float(rank.max() + 1)))


def repeated(rank: peers.Rank, clouds: Sequence[Floats], times: int) -> Callable[[int], NDArray[np.intp]]:
    def run(number: int) -> NDArray[np.intp]:
        for _ in range(times - 1):
            rank(clouds[number])
        return rank(clouds[number])

    return run


def near_sphere(seed: int, count: int, objectives: int) -> Floats:
    """Few fronts, as in the middle of a run."""
    rng = np.random.default_rng(seed)
    points = np.abs(rng.normal(size=(count, objectives)))
    near: Floats = points * (1 + 0.3 * rng.random((count, 1))) / np.linalg.norm(points, axis=1, keepdims=True)
    return near


def uniform(seed: int, count: int, objectives: int) -> Floats:
    return np.random.default_rng(seed).random((count, objectives))


def evolved(problem: Formulation, generations: int, survive: str) -> Run:
    return lambda seed: mixtures(problem, generations, seed, survive)


def mixtures(
    problem: Formulation, generations: int, seed: int, survive: str, limits: Composition | None = None
) -> Floats:
    """Our evolution of formulas in per cent; every invariant of every formula is checked in every generation."""
    from pytest_artisan.moga import survival
    from pytest_artisan.moga.composition import Composition
    from pytest_artisan.moga.evolution import MixtureEvolution

    composition = limits or Composition(100 * problem.caps)
    rng = np.random.Generator(np.random.SFC64(seed))
    chosen = getattr(survival, survive)
    evaluate = in_per_cent(problem)
    evolution = MixtureEvolution(evaluate, composition, rng, size=SIZE, survive=chosen)
    for _ in range(generations + 1):
        evolution.run(1)
        check(evolution.values, problem)
    return evolution.objectives


def repaired(problem: Formulation, generations: int, seed: int) -> Floats:
    """pymoo's NSGA-II with the same projection and the same checks."""
    from pytest_artisan.moga.composition import Composition

    composition = Composition(100 * problem.caps)

    def repair(shares: Floats) -> Floats:
        projected = composition.project(shares)
        check(projected, problem)
        return projected

    return pymoo_repaired(in_per_cent(problem), 100 * problem.caps, repair, seed, generations)


def in_per_cent(problem: Formulation) -> Evaluate:
    return lambda shares: problem.evaluate(shares / 100)


def check(shares: Floats, problem: Formulation) -> None:
    kept = (shares >= 0).all() and (shares <= 100 * problem.caps + 1e-9).all() and (shares > 0).any(axis=1).all()
    if not kept or np.abs(shares.sum(axis=1) - 100).max() > 1e-8:
        raise AssertionError("a formula broke its limits")


def mixture(rounds: int, generations: int) -> None:
    """The stability gate's workload; the other library runs a twentieth of it, and all are counted by generation."""
    problem = formulation(60, seed=0)
    share = max(200, generations // 20)
    runs = {f"{OURS}, {survive}": evolved(problem, generations, survive) for survive in ("hypervolume", "crowding")}
    counts = dict.fromkeys(runs, generations)
    if installed("pymoo"):
        counts["pymoo NSGA-II, repaired"] = share
        runs["pymoo NSGA-II, repaired"] = partial(repaired, problem, share)
    found = interleaved(runs, rounds, warm={OURS: evolved(problem, 20, "hypervolume")})
    each = {
        f"{name}, {counts[name]:,}": [(seconds / counts[name], result) for seconds, result in samples]
        for name, samples in found.items()
    }
    head = ("method, generations", "milliseconds a generation", "time / ours", "hypervolume / exact")
    title = f"{SIZE} formulas of 60 components, 3 objectives, projected, all checked in every generation"
    table(title, head, rows_of(each, 1e-3, oracle(problem).ratio))


def formulas(rounds: int, sizes: Sequence[int] = (60, 200)) -> None:
    """How near each survival comes to the exact front."""
    for components in sizes:
        problem = formulation(components, seed=0)
        started = time.perf_counter()
        exact = oracle(problem)
        taken = time.perf_counter() - started
        last = GENERATIONS - 1
        runs = {f"{OURS}, {one}": evolved(problem, last, one) for one in ("hypervolume", "spread", "crowding")}
        if installed("pymoo"):
            runs["pymoo NSGA-II, repaired"] = partial(repaired, problem, last)
        found = interleaved(runs, rounds)
        title = f"{components} components, {GENERATIONS * SIZE:,} evaluations; the exact front took {taken:.1f} s"
        table(title, ("method", "seconds", "time / ours", "hypervolume / exact"), rows_of(found, 1, exact.ratio))


def glossary(rounds: int, components: int, generations: int = 100) -> None:
    """A table of thousands: time and memory, each run in a process of its own."""
    rows = []
    kinds = ["ours", "ours, few"] + (["pymoo"] if installed("pymoo") else [])
    for kind in kinds:
        seconds, memory = [], []
        for seed in range(rounds):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                taken, peak = pool.submit(large_run, kind, components, seed, generations).result()
            seconds.append(taken)
            memory.append(peak)
        within = "yes" if max(memory) <= MEMORY_LIMIT else "no"
        rows.append((kind, spread([generations / taken for taken in seconds]), spread(memory), within))
    head = ("method", "generations a second", "peak MB", f"<= {MEMORY_LIMIT} MB")
    table(f"{SIZE} formulas of {components:,} components ('few': at most {FEW}, each {LEAST} or more)", head, rows)


def large_run(kind: str, components: int, seed: int, generations: int) -> tuple[float, float]:
    """Seconds, and the peak of this process in MB."""
    from pytest_artisan.moga.composition import Composition

    problem = formulation(components, seed, rank=60)
    limits = Composition(100 * problem.caps, lower_active=LEAST, most_active=FEW) if "few" in kind else None
    started = time.perf_counter()
    if kind == "pymoo":
        repaired(problem, generations, seed)
    else:
        mixtures(problem, generations, seed, "hypervolume", limits)
    return time.perf_counter() - started, peak_memory()


def peak_memory() -> float:
    """In MB, of this program alone: what `getrusage` tells is also of the one that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def main() -> None:
    """Measure and print."""
    sections = ("speed", "quality", "ranking", "formulation", "mixture", "glossary")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="section", help=f"by default all of: {', '.join(sections)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--generations", type=int, default=10_000, help="of mixture (default: %(default)s)")
    parser.add_argument("--ingredients", type=Path, help="a table of components, for their number in glossary")
    given = parser.parse_args()
    if unknown := set(given.sections) - set(sections):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(sections)}")
    components = GLOSSARY
    if given.ingredients:
        with given.ingredients.open(encoding="utf-8", newline="") as file:
            components = sum(1 for _ in csv.DictReader(file))
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs, one thread")
    print(", ".join(version(library) for library in ("numpy", *RANKS, "deap")))
    chosen: dict[str, Callable[[], None]] = {
        "speed": lambda: speed(given.rounds),
        "quality": lambda: quality(given.rounds),
        "ranking": lambda: ranking(given.rounds),
        "formulation": lambda: formulas(given.rounds),
        "mixture": lambda: mixture(min(given.rounds, 3), given.generations),
        "glossary": lambda: glossary(min(given.rounds, 3), components),
    }
    for section in given.sections or sections:
        chosen[section]()


if __name__ == "__main__":
    main()
