"""How long options and feedback take, records on disk included: `python benchmarks/refinement.py`."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from moga import spread, table

from pytest_artisan.service.flow import HouseFlow

ROUNDS = 60
# Rounds that only warm up.
FIRST = 10


def main() -> None:
    rows = []
    for algorithm in ("PPO", "REINFORCE"):
        with tempfile.TemporaryDirectory() as folder:
            flow = HouseFlow(Path(folder))
            offering, telling = [], []
            for number in range(ROUNDS):
                offer, taken = timed(partial(flow.options, algorithm))
                offering.append(taken)
                said = offer.id, offer.options[number % 3].id, 1 + number % 5
                telling.append(timed(partial(flow.feedback, *said, algorithm))[1])
            flow.close()
        rows.append((algorithm, spread(offering[FIRST:]), spread(telling[FIRST:])))
    table(f"Milliseconds, {ROUNDS - FIRST} rounds; goals 50 and 20", ("algorithm", "options", "feedback"), rows)


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the milliseconds that it took."""
    started = time.perf_counter()
    return run(), 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    main()
