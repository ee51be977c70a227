"""Runs and evaluations through any `concurrent.futures.Executor`: processes here, Dask or MPI past one machine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np

from pytest_artisan.moga.ranking import Floats

Result = TypeVar("Result")


def independent_runs(
    run: Callable[[np.random.SeedSequence], Result], seed: int, count: int, executor: Executor
) -> list[Result]:
    """The results of `count` runs, in order; each gets a stream of its own, the same with any number of workers.

    `run` and its result travel by pickle where the executor uses processes.
    """
    return list(executor.map(run, np.random.SeedSequence(seed).spawn(count)))


def spread_over(executor: Executor, evaluate: Callable[[Floats], Floats], parts: int) -> Callable[[Floats], Floats]:
    """`evaluate` (N, n) -> (N, M), done in `parts` blocks of rows at the same time: for evaluations that take long."""

    def evaluated(values: Floats) -> Floats:
        blocks = [block for block in np.array_split(values, parts) if len(block)]
        return np.concatenate(list(executor.map(evaluate, blocks)))

    return evaluated
