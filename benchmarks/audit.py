"""What an audit costs: `artisan audit` as a whole process beside pip-audit, on the same pins in the same run.

One command, `python benchmarks/audit.py`. It needs the advisory data beside the project, and says so where that is missing.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "security"
RECORDS, GHSA, PINS = "pypa-advisories-2026-07-23.slim.jsonl.gz", "ghsa-14.json", "pins-200.txt"
# pip-audit ends with a traceback at its record PYSEC-2026-1194, and answers nothing about the other pins.
UNREADABLE = "assemblyline-service-client=="
IMPORT_S, AUDIT_S, AUDIT_MB = 15.0, 0.5, 150.0


@dataclass(frozen=True)
class Run:
    """One process: seconds by the wall, the most memory that it had in MB, and what it printed."""

    seconds: float
    memory: float
    stdout: bytes


@dataclass(frozen=True)
class Variant:
    """A command, its name in the table, and what its exit status has to be: all of them find something."""

    name: str
    command: tuple[str, ...]


def measured(variant: Variant, folder: Path, status: int) -> Run:
    """This process has to stay small: until a child runs its own program, its memory is counted as the child's."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(variant.command, cwd=folder, stdout=out, stderr=errors)
        _, ended, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(ended)
        for file in (out, errors):
            file.seek(0)
        if process.returncode != status:
            raise SystemExit(f"{variant.name}: exit status {process.returncode}\n{errors.read()[-2000:].decode()}")
        return Run(seconds, used.ru_maxrss / 1024, out.read())


def prepare(folder: Path) -> None:
    """The records, one of them as if it was changed today: old ones are refused. And the pins, with and without one."""
    now = datetime.now(UTC).isoformat()
    with gzip.open(DATA / RECORDS, "rb") as lines, (folder / "records.jsonl").open("wb") as out:
        first = json.loads(next(lines))
        out.write(json.dumps(first | {"modified": now}).encode() + b"\n")
        out.writelines(lines)
    (folder / GHSA).write_bytes((DATA / GHSA).read_bytes())
    pins = (DATA / PINS).read_text().splitlines(keepends=True)
    (folder / "pins.txt").write_text("".join(pins))
    (folder / "readable.txt").write_text("".join(pin for pin in pins if not pin.startswith(UNREADABLE)))
    (folder / "pyproject.toml").write_text("[tool.artisan]\n")


def _serve(folder: Path, told: Connection) -> None:
    from osv_stub import serving

    records = [json.loads(line) for line in (folder / "records.jsonl").open("rb")]
    with serving([*records, *json.loads((folder / GHSA).read_bytes())]) as url:
        told.send(url)
        told.recv()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A service of OSV's API over the same records, in a process of its own."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_serve, args=(folder, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join()


def _artisan(*arguments: str) -> tuple[str, ...]:
    return (str(Path(sys.executable).with_name("artisan")), "audit", *arguments)


def _variants(url: str) -> tuple[Variant, ...]:
    pip_audit = (sys.executable, "-m", "pip_audit", "-r", "readable.txt", "--no-deps", "--disable-pip", "-f", "json")
    source = ("--vulnerability-service", "osv", "--osv-url", f"{url}/v1/query", "--progress-spinner", "off")
    return (
        Variant("artisan audit, snapshot", _artisan("readable.txt", "--snapshot", "advisories", "--format", "json")),
        Variant("artisan audit, OSV service", _artisan("readable.txt", "--osv-url", url, "--format", "json")),
        Variant("pip-audit, OSV service", (*pip_audit, *source, "--cache-dir", "cache")),
    )


def found_by(run: Run) -> tuple[int, int]:
    """How many releases were looked at, and how many vulnerabilities were found in them; of either's JSON."""
    releases = json.loads(run.stdout)["dependencies"]
    return len(releases), sum(len(one.get("findings", one.get("vulns", ()))) for one in releases)


def rounds_of(variants: Sequence[Variant], folder: Path, rounds: int) -> Mapping[Variant, list[Run]]:
    """Interleaved rounds in turning order; the first one is not counted, it writes the bytecode."""
    runs: dict[Variant, list[Run]] = {variant: [] for variant in variants}
    for number in range(-1, rounds):
        turn = number % len(variants)
        for variant in (*variants[turn:], *variants[:turn]):
            run = measured(variant, folder, status=1)
            if number >= 0:
                runs[variant].append(run)
    return runs


def report(runs: Mapping[Variant, list[Run]]) -> None:
    [ours, *_] = runs
    for variant, done in runs.items():
        seconds, memory = [run.seconds for run in done], max(run.memory for run in done)
        ratios = [run.seconds / own.seconds for own, run in zip(runs[ours], done, strict=True)]
        releases, found = found_by(done[-1])
        print(
            f"{variant.name}: {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), "
            f"{memory:.0f} MB, {found} vulnerabilities of {releases} pins; "
            f"{statistics.median(ratios):.1f}x ({min(ratios):.1f} to {max(ratios):.1f})"
        )


def _goal(what: str, value: float, limit: float, unit: str) -> None:
    print(f"{what}: {value:.2f} {unit}, goal {limit:g} {unit}: {'met' if value <= limit else 'not met'}")


def main() -> None:
    """Measure and print; the exit status is 0 whether the goals are met or not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    if not DATA.is_dir():
        print("nothing was measured: the advisory data is not beside the project")
        return
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs, {given.rounds} rounds")
    importing = Variant("artisan audit import", _artisan("import", "records.jsonl", GHSA, "--into", "advisories"))
    whole = Variant("all pins", _artisan("pins.txt", "--snapshot", "advisories", "--format", "json"))
    with tempfile.TemporaryDirectory(prefix="artisan-audit-") as name:
        folder = Path(name)
        prepare(folder)
        imports = [measured(importing, folder, status=0) for _ in range(min(given.rounds, 3))]
        with served(folder) as url:
            runs = rounds_of((whole, *_variants(url)), folder, given.rounds)
    report(runs)
    print(f"import: {max(run.memory for run in imports):.0f} MB")
    print(f"pip-audit was not asked about {UNREADABLE.rstrip('=')}, of which it can not read a record")
    _goal("import", statistics.median(run.seconds for run in imports), IMPORT_S, "s")
    _goal("audit of 200 pins", statistics.median(run.seconds for run in runs[whole]), AUDIT_S, "s")
    _goal("audit of 200 pins, memory", max(run.memory for run in runs[whole]), AUDIT_MB, "MB")


if __name__ == "__main__":
    main()
