"""How long a bill of 60 components takes, beside plain `cyclonedx-py requirements`, which validates as well.

One command, `python benchmarks/sbom.py`. Each round starts every way anew as a process of its own, one after the other; what
is shown are the medians and the ranges of the rounds. The pins are of releases that are installed here, so that licences and
suppliers are read; with hashes means two files a release, as a lock has them at least.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from itertools import pairwise
from pathlib import Path

from packaging.utils import canonicalize_name

from pytest_artisan.audit.audit import Audit, Dependency
from pytest_artisan.audit.inventory import Inventory, Pin
from pytest_artisan.audit.sbom.checks import Version
from pytest_artisan.gates.auditing.bill import sbom_of
from pytest_artisan.gates.gate import Project

COMPONENTS, ROUNDS = 60, 7
GOAL_S = 3.0
NOW = datetime(2026, 11, 24, tzinfo=UTC)
TOOL = str(Path(sys.executable).parent / "cyclonedx-py")


def inventory_of(count: int, hashes: int) -> Inventory:
    """The first `count` releases by name, each needing the one after it, with so many hashes each."""
    found = sorted({canonicalize_name(one.name): one.version for one in distributions()}.items())[:count]
    if len(found) < count:
        raise SystemExit(f"{count} releases are wanted, and {len(found)} are installed here")
    digests = tuple(f"sha256:{n:064x}" for n in range(hashes))
    names = [name for name, _ in found]
    return Inventory(
        tuple(Pin(name, version, "requirements.txt", n, digests) for n, (name, version) in enumerate(found, 1)),
        requires={name: (after,) for name, after in pairwise(names)},
    )


def make(folder: Path, count: int, hashes: int, version: Version) -> None:
    """Make a bill in this process, and print how many seconds the function took."""
    inventory = inventory_of(count, hashes)
    audited = Audit(("nobody",), tuple(map(Dependency, inventory.pins)), ())
    start = time.perf_counter()
    text = sbom_of(Project(folder), audited, inventory, version=version, models=(), now=NOW)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "components": len(json.loads(text)["components"])}))


def ours(folder: Path, count: int, hashes: int, version: Version) -> tuple[float, float]:
    """Seconds of a whole process, and of the function in it."""
    command = [sys.executable, __file__, "--make", version, "--components", str(count), "--hashes", str(hashes)]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    told = json.loads(done.stdout)
    assert told["components"] == count
    return seconds, told["seconds"]


def plain(folder: Path, count: int, hashes: int, version: Version) -> float:
    """Seconds of cyclonedx-py with its own validation, of the same pins and hashes."""
    lines = [
        " ".join([f"{pin.name}=={pin.version}", *(f"--hash={digest}" for digest in pin.hashes)])
        for pin in inventory_of(count, hashes).pins
    ]
    command = [TOOL, "requirements", "-", "--output-reproducible", "--of", "JSON", "--sv", version]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, input="\n".join(lines), capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    assert len(json.loads(done.stdout)["components"]) == count
    return seconds


def row(what: str, seconds: Sequence[float], goal: float | None = None) -> str:
    median = statistics.median(seconds)
    met = "" if goal is None else f"<= {goal:g} s, {'met' if median <= goal else 'not met'}"
    return f"| {what} | {median:.2f} s ({min(seconds):.2f} to {max(seconds):.2f}) | {met} |"


def compare(folder: Path, count: int, rounds: int) -> None:
    ways: dict[tuple[Version, int], list[tuple[float, float, float]]] = {("1.6", 0): [], ("1.7", 2): []}
    for _ in range(rounds):
        for (version, hashes), results in ways.items():
            results.append((*ours(folder, count, hashes, version), plain(folder, count, hashes, version)))
    print(f"{count} components, {rounds} rounds\n\n| what | median (range) | goal |\n|---|---|---|")
    for (version, hashes), results in ways.items():
        kind = f"CycloneDX {version}, {f'{hashes} hashes each' if hashes else 'no hashes'}"
        whole, function, tool = zip(*results, strict=True)
        print(row(f"{kind}: a process that makes the bill", whole, GOAL_S))
        print(row(f"{kind}: the function in it", function, GOAL_S))
        print(row(f"{kind}: cyclonedx-py requirements", tool))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--components", type=int, default=COMPONENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--make", choices=("1.6", "1.7"), help=argparse.SUPPRESS)
    parser.add_argument("--hashes", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(Path.cwd(), options.components, options.hashes, options.make)
        return
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), options.components, options.rounds)


if __name__ == "__main__":
    main()
