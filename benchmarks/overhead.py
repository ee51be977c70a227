"""What pytest-artisan costs: instructions of trivial tests counted by cachegrind, and wall time under pytest-xdist.

One command, `python benchmarks/overhead.py`; README.md beside it says what the table means.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIGHT = ("msgspec", "rfc8785")
PYPROJECT = '[tool.pytest.ini_options]\n\n[tool.artisan]\nrequired = ["unit"]\n'
TESTS_A_FILE = 100
# Neither is a sample of anything random: a hash seed moves sets, a suite's size moves the garbage collector's runs.
SEEDS = (0, 1, 2)
SIZES = (800, 1_000, 1_200)
WALL_SIZE = 10_000
QUIET = ("-q", "-p", "no:cacheprovider")
GATES = "--artisan-gates=all"


@dataclass(frozen=True)
class Variant:
    """A way to run pytest: in which environment, and with which options."""

    name: str
    environment: str
    options: tuple[str, ...] = ()


PLAIN = Variant("plain", "plain")
IDLE = Variant("idle", "artisan")
BARE_GATES = Variant("gates, no journal", "artisan", (GATES,))
JOURNAL = Variant("gates, journal", "artisan", (GATES, "--artisan-journal={journal}"))


@dataclass(frozen=True)
class Row:
    """One line of the table; `ratios` has one entry for each pair of runs."""

    what: str
    plain: str
    artisan: str
    ratios: tuple[float, ...]
    goal: float

    def cells(self) -> tuple[str, ...]:
        median, low, high = (statistics.median(self.ratios), min(self.ratios), max(self.ratios))
        spread = f"{_percent(median)} ({_percent(low)} to {_percent(high)})"
        met = "yes" if median <= 1 + self.goal / 100 else "no"
        return self.what, self.plain, self.artisan, spread, f"<= +{self.goal:g} %", met


def _percent(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.2f} %"


class Workshop:
    """A temporary folder with two environments, which differ in pytest-artisan alone, and the suites."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for size in (1, *SIZES, WALL_SIZE):
            self._write_suite(size)
        for name in ("plain", "artisan"):
            venv.create(folder / name, with_pip=True)
        _run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT])
        self._pip("plain", "pytest")
        self._pip("artisan", *self.pins(), *LIGHT)
        self._pip("artisan", "--no-deps", *folder.glob("*.whl"))

    def add_xdist(self) -> None:
        """After the counting: its entry points would be in both counts, and make every percentage smaller."""
        self._pip("plain", "pytest-xdist")
        self._pip("artisan", *self.pins())

    def pins(self) -> list[str]:
        """What the plain environment holds; the other one gets the same."""
        return _run([self.python("plain"), "-m", "pip", "freeze"]).split()

    def python(self, environment: str) -> Path:
        return self.folder / environment / "bin" / "python"

    def pytest(self, variant: Variant, options: Sequence[str] = ()) -> list[str | Path]:
        given = [option.format(journal=self.folder / f"{os.urandom(4).hex()}.jsonl") for option in variant.options]
        return [self.python(variant.environment), "-m", "pytest", *options, *given]

    def suite(self, size: int) -> Path:
        return self.folder / f"suite{size}"

    def _write_suite(self, size: int) -> None:
        self.suite(size).mkdir()
        (self.suite(size) / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
        for first in range(0, size, TESTS_A_FILE):
            tests = [
                f"def test_{number}():\n    assert True\n" for number in range(first, min(size, first + TESTS_A_FILE))
            ]
            (self.suite(size) / f"test_{first}.py").write_text("\n\n".join(tests), encoding="utf-8")

    def _pip(self, environment: str, *what: str | Path) -> None:
        _run([self.python(environment), "-m", "pip", "install", "-q", *what])


def _run(command: Sequence[str | Path], cwd: Path | None = None, seed: int = 0) -> str:
    """Standard output and error of a command, in an environment that changes neither pytest nor Python."""
    foreign = ("PYTEST", "PYTHON", "ARTISAN", "GITHUB", "CI")
    env = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    env["PYTHONHASHSEED"] = str(seed)
    done = subprocess.run(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


Counts = Mapping[tuple[Variant, int, int], int]


def count_instructions(shop: Workshop) -> Counts:
    """Instructions by variant, suite size and hash seed."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise SystemExit("valgrind is not installed; --skip-instructions measures wall time alone")
    counting = [valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]

    def count(run: tuple[Variant, int, int]) -> int:
        variant, size, seed = run
        output = _run([*counting, *shop.pytest(variant, QUIET)], shop.suite(size), seed)
        found = re.search(r"I +refs: +([\d,]+)", output)
        if found is None:
            raise SystemExit(f"valgrind printed no count:\n{output[-2000:]}")
        return int(found[1].replace(",", ""))

    variants = (PLAIN, IDLE, BARE_GATES, JOURNAL)
    for variant in variants:  # Once for the bytecode; all that is counted after that reads it.
        for size in (1, *SIZES):
            _run(shop.pytest(variant, QUIET), shop.suite(size))
    runs = [(variant, size, seed) for size in (1, *SIZES) for seed in SEEDS for variant in variants]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Counts, unlike times, do not see their neighbours.
        return dict(zip(runs, pool.map(count, runs), strict=True))


def instruction_rows(counts: Counts) -> Iterator[Row]:
    """Start-up, and the slope from one test to many: what one test more costs, with its share of the session's end."""
    start = {v: [counts[v, 1, seed] for seed in SEEDS] for v in (PLAIN, IDLE, BARE_GATES, JOURNAL)}
    slope = {
        v: [(counts[v, size, seed] - counts[v, 1, seed]) / (size - 1) for size in SIZES for seed in SEEDS]
        for v in start
    }

    def row(what: str, values: Mapping[Variant, Sequence[float]], variant: Variant, unit: float, goal: float) -> Row:
        plain, artisan = (f"{statistics.median(values[v]) / unit:,.1f}" for v in (PLAIN, variant))
        suffix = " M" if unit == 1e6 else " k"
        ratios = tuple(ours / theirs for theirs, ours in zip(values[PLAIN], values[variant], strict=True))
        return Row(what, plain + suffix, artisan + suffix, ratios, goal)

    yield row("idle, start-up, instructions", start, IDLE, 1e6, 1.2)
    yield row("idle, a test, instructions", slope, IDLE, 1e3, 0.3)
    yield row("gates without journal, a test, instructions", slope, BARE_GATES, 1e3, 1)
    yield row("gates with journal, a test, instructions", slope, JOURNAL, 1e3, 2)


def wall_row(shop: Workshop, rounds: int) -> Row:
    """Interleaved rounds in rotated order; the ratio is taken within a round, so that a slow minute hits both."""
    shop.add_xdist()
    gates = Variant("gates -n 2", "artisan", (GATES,))
    seconds: dict[Variant, list[float]] = {PLAIN: [], gates: []}
    for number in range(-1, rounds):  # The first round is not counted: it writes the bytecode.
        order = [PLAIN, gates] if number % 2 else [gates, PLAIN]
        for variant in order:
            started = time.perf_counter()
            _run(shop.pytest(variant, ("-q", "-n", "2")), shop.suite(WALL_SIZE))
            if number >= 0:
                seconds[variant].append(time.perf_counter() - started)
    ratios = tuple(ours / theirs for theirs, ours in zip(seconds[PLAIN], seconds[gates], strict=True))
    plain, artisan = (f"{statistics.median(seconds[v]):.2f} s" for v in (PLAIN, gates))
    return Row(f"gates, {WALL_SIZE:,} tests with -n 2, wall time", plain, artisan, ratios, 3)


def _print_table(rows: Sequence[Row]) -> None:
    lines = [("what", "plain", "artisan", "median (range)", "goal", "met"), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rule = tuple("-" * width for width in widths)
    for line in (lines[0], rule, *lines[1:]):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")


def main() -> None:
    """Measure and print; the exit status is 0 whether the goals are met or not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="rounds of the wall time (default: %(default)s)")
    parser.add_argument("--skip-wall", action="store_true", help="count instructions alone")
    parser.add_argument("--skip-instructions", action="store_true", help="measure wall time alone")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    with tempfile.TemporaryDirectory(prefix="artisan-overhead-") as folder:
        shop = Workshop(Path(folder))
        print(
            f"Python {platform.python_version()}, {', '.join(shop.pins())}, {platform.machine()}, {os.cpu_count()} CPUs"
        )
        rows = [] if given.skip_instructions else list(instruction_rows(count_instructions(shop)))
        if not given.skip_wall:
            rows.append(wall_row(shop, given.rounds))
    _print_table(rows)


if __name__ == "__main__":
    main()
