"""What load tools say of servers of which the truth is known: `python benchmarks/load.py [SCENARIO ...]`.

The servers are those of `tests/unsound.py`, a process each, on loopback. Percentiles of ours are nearest ranks of all
planned requests, from when each was due; those of the others are what they print.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from load_tools import TOOLS, Absent, Ask, Told, Tool, locust, ours
from moga import table

from pytest_artisan.children import Child
from pytest_artisan.load.record import nearest_rank

SERVERS = Path(__file__).parent.parent / "tests" / "unsound.py"
MEDIAN_S, SIGMA, REPEATS = 0.1, 0.5, 8
STALL = {"freeze_s": 1.0, "every_s": 10.0, "delay_s": 0.005}
STALLED_P95, STALLED_P99 = 505.0, 905.0
RATES, TOP = (10, 100, 500, 1_000, 2_000), {"ours": (5_000, 0), "ours, two workers": (7_000, 2)}
_START_S = 10.0
HEAD = ("tool", "requests: said / server saw", "p95 ms (error)", "p99 ms (error)", "failures")


class Truth(NamedTuple):
    seen: int
    true_ms: list[float]


class Server:
    """A server that is a process of its own."""

    def __init__(self, child: Child) -> None:
        self._child, self.url = child, child.url(_START_S)

    def truth(self, checks: int) -> Truth:
        """What really happened, without the requests of a tool's own check before its load."""
        self._child.tell(b"\n")
        said = b""
        while not said.endswith(b"\n"):
            said += os.read(self._child.fileno(), 1 << 20)
        told = json.loads(said)
        return Truth(told["seen"] - checks, told["true_ms"][checks:])


@contextmanager
def serving(name: str, **settings: float) -> Iterator[Server]:
    child = Child("server", [sys.executable, str(SERVERS), name, json.dumps(settings)])
    try:
        yield Server(child)
    finally:
        child.stop()


def asked(tool: Tool, rps: float, seconds: float, users: int, name: str, **settings: float) -> tuple[Told, Truth]:
    """What a tool says of a fresh server, and what that server saw."""
    with serving(name, **settings) as server:
        told = tool(Ask(server.url, rps, seconds, users))
        return told, server.truth(told.checks)


def each(tools: Mapping[str, Tool], row: Callable[[str, Tool], Sequence[str]]) -> Iterator[Sequence[str]]:
    for name, tool in tools.items():
        try:
            yield row(name, tool)
        except Absent as absent:
            print(f"{name}: skipped: {absent}")


def beside(value: float | None, truth: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f}" + (f" ({value / truth - 1:+.1%})" if truth else "")


def line(name: str, told: Told, seen: int, p95: float | None, p99: float | None) -> Sequence[str]:
    failed = "-" if told.failed is None else f"{told.failed:,}"
    return name, f"{told.requests:,} / {seen:,}", beside(told.p95, p95), beside(told.p99, p99), failed


def late(told: Told) -> str:
    """How late ours was: median and p99."""
    if told.record is None:
        return "-"
    values = told.record.late_ms()
    return f"{nearest_rank(values, 0.5):.2f} / {nearest_rank(values, 0.99):.2f}"


def distribution() -> None:
    """Latencies of a known distribution, 300 requests."""

    def once(name: str, tool: Tool) -> Sequence[str]:
        told, truth = asked(tool, 10, 30, 10, "drawn", median_s=MEDIAN_S, sigma=SIGMA)
        ordered = truth.true_ms
        return line(name, told, truth.seen, nearest_rank(ordered, 0.95), nearest_rank(ordered, 0.99))

    table("Lognormal, median 100 ms, sigma 0.5: 10/s for 30 s", HEAD, each(TOOLS, once))

    def often(name: str, tool: Tool) -> Sequence[str]:
        found = [asked(tool, 100, 3, 100, "drawn", median_s=MEDIAN_S, sigma=SIGMA, seed=n) for n in range(REPEATS)]
        said, seen = [told.requests for told, _ in found], [truth.seen for _, truth in found]
        cells = [error(found, "p95", 0.95), error(found, "p99", 0.99)]
        return name, f"{min(said)}..{max(said)} / {min(seen)}..{max(seen)}", *cells, late(found[-1][0])

    head = ("tool", HEAD[1], "p95: mean |error|, worst", "p99: mean |error|, worst", "late ms p50 / p99")
    table(f"The same, 100/s for 3 s, {REPEATS} times", head, each(TOOLS, often))


def error(found: Sequence[tuple[Told, Truth]], name: str, quantile: float) -> str:
    errors = []
    for told, truth in found:
        right = nearest_rank(truth.true_ms, quantile)
        assert right is not None
        errors.append((getattr(told, name) - right) / right)
    absolute = [abs(value) for value in errors]
    return f"{statistics.mean(absolute):.2%}, {max(errors, key=abs):+.2%}"


def stalls() -> None:
    """Frozen for a second in every ten."""

    def row(name: str, tool: Tool) -> Sequence[str]:
        told, truth = asked(tool, 100, 30, 10, "stalls", **STALL)
        return line(name, told, truth.seen, STALLED_P95, STALLED_P99)

    table("5 ms, but frozen 1 s in every 10 s: 100/s for 30 s; true p95 505 ms, p99 905 ms", HEAD, each(TOOLS, row))


def hang() -> None:
    """No answer from half time on."""

    def row(name: str, tool: Tool) -> Sequence[str]:
        told, truth = asked(tool, 100, 30, 10, "hangs", after=1_500)
        return line(name, told, truth.seen, None, None)

    table("Hangs from the 1,501st request on: 100/s for 30 s, 3,000 asked", HEAD, each(TOOLS, row))


def paced(name: str, tool: Tool, rps: float) -> Sequence[str]:
    """A row on how well a rate was kept."""
    told, truth = asked(tool, rps, 10, max(round(rps / 10), 1), "sound")
    assert told.rate is not None
    p50, p99 = nearest_rank(truth.true_ms, 0.5), nearest_rank(truth.true_ms, 0.99)
    took = f"{told.p99:.2f} (server {p50:.2f} / {p99:.2f})"
    return name, f"{rps:,}", f"{told.requests:,} / {truth.seen:,}", f"{told.rate / rps - 1:+.3%}", late(told), took


PACED = ("tool", "asked/s", HEAD[1], "rate error", "late ms p50 / p99", "p99 ms (server's p50 / p99)")


def rate() -> None:
    """A fast server, for ten seconds."""
    peers = {"ours": ours(), "Locust, FastHttpUser": locust("FastHttpUser")}
    rows: list[Sequence[str]] = []
    for rps in RATES:
        rows += each(peers, partial(paced, rps=rps))
    table("As fast as can be, for 10 s", PACED, rows)


def top() -> None:
    """As much as a process, or two, can send."""
    rows = [paced(name, ours(workers), rps) for name, (rps, workers) in TOP.items()]
    rows += [paced("Locust, FastHttpUser", locust("FastHttpUser"), rps) for rps, _ in TOP.values()]
    table("As many as can be, for 10 s", PACED, rows)


SCENARIOS: dict[str, Callable[[], Any]] = {
    scenario.__name__: scenario for scenario in (distribution, stalls, hang, rate, top)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"one of {', '.join(SCENARIOS)}; default: all")
    chosen = parser.parse_args().scenarios
    if unknown := set(chosen) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    for name in chosen or SCENARIOS:
        SCENARIOS[name]()


if __name__ == "__main__":
    main()
