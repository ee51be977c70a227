"""How long the digest of a model takes: `python benchmarks/checkpoints.py`."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from moga import spread, table

from pytest_artisan.release.checkpoints import snapshot

MIB = 1 << 20
ROUNDS = 7
SHAPES = (
    ("1 file of 1 GiB", 1, 1024 * MIB),
    ("8 files of 128 MiB", 8, 128 * MIB),
    ("10,000 files of 4 KiB", 10_000, 4096),
)


def main() -> None:
    rows = []
    for name, files, size in SHAPES:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            block = os.urandom(min(size, MIB))
            for number in range(files):
                with (folder / f"{number:05}.bin").open("wb") as file:
                    for _ in range(size // len(block)):
                        file.write(block)
            ours, tools = [], []
            snapshot(folder)  # from now on all of it is in memory
            for _ in range(ROUNDS):
                ours.append(timed(partial(snapshot, folder)))
                tools.append(timed(partial(sha256sum, folder)))
            rows.append((name, spread(ours), spread(tools)))
    table(f"Seconds, {ROUNDS} rounds; goal 1.2 for 1 GiB", ("model", "snapshot", "sha256sum alone"), rows)


def sha256sum(folder: Path) -> None:
    names = sorted(str(path) for path in folder.iterdir())
    subprocess.run(["sha256sum", "--", *names], stdout=subprocess.DEVNULL, check=True)  # noqa: S607


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
