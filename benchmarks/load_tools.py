"""Tools that send a load, each asked for the same one, and what it says of it; for `load.py`.

Locust changes the standard library where it is imported: here it is a command, and ours a child process.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pytest_artisan.load.record import Load, Record, nearest_rank
from pytest_artisan.load.run import run

_GRACE_S = 60.0
_LOCUSTFILE = """
from locust import {kind}, constant_throughput, task


class Visitor({kind}):
    wait_time = constant_throughput({each})

    @task
    def visit(self):
        self.client.get("/")
"""
# In microseconds; of itself, wrk prints no p95.
_LUA = """
done = function(summary, latency, requests)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    print(string.format("told %d %d %d %d", summary.requests, latency:percentile(95), latency:percentile(99), failed))
end
"""


class Ask(NamedTuple):
    """`rps` requests a second, by tools that have users or connections by that many of them."""

    url: str
    rps: float
    seconds: float
    users: int


class Told(NamedTuple):
    """What a tool says; `checks` requests came before its load and are not in it."""

    requests: int
    p95: float | None
    p99: float | None
    failed: int | None
    rate: float | None = None
    checks: int = 0
    record: Record | None = None


Tool = Callable[[Ask], Told]


class Absent(Exception):
    """A tool that is not installed."""


def _output(command: Sequence[str], seconds: float, folder: str | None = None) -> str:
    program = shutil.which(command[0])
    if program is None:
        raise Absent(f"{command[0]} is not installed")
    done = subprocess.run(
        [program, *command[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=seconds + _GRACE_S,
        check=False,
    )
    return done.stdout


def ours(workers: int = 0) -> Tool:
    """pytest-artisan; a rate is that until the last request left, or until the plan was over."""

    def send(ask: Ask) -> Told:
        record = run(Load(ask.url, ask.rps, ask.seconds, warmup_s=0, workers=workers))
        if record.broken or record.faults:
            sys.exit(f"ours: {record.broken} {record.faults}")
        latencies = record.latencies_ms()
        left_s = max(request.at + request.late_ms / 1000 for request in record.requests)
        return Told(
            len(latencies),
            nearest_rank(latencies, 0.95),
            nearest_rank(latencies, 0.99),
            record.failed,
            record.sent / max(left_s, ask.seconds),
            max(workers, 1),
            record,
        )

    return send


def locust(kind: str) -> Tool:
    """As its documentation says; its JSON at the end, as the CSV lacks the last second."""

    def send(ask: Ask) -> Told:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "locustfile.py").write_text(_LOCUSTFILE.format(kind=kind, each=ask.rps / ask.users))
            users = ["--users", str(ask.users), "--spawn-rate", str(ask.users), "--run-time", f"{ask.seconds:g}s"]
            command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "--host", ask.url, *users]
            [said] = json.loads(_output([*command, "--json"], ask.seconds, folder))
        took, n = {int(ms): times for ms, times in said["response_times"].items()}, said["num_requests"]
        lasted = said["last_request_timestamp"] - said["start_time"]
        return Told(n, _as_locust(took, n, 0.95), _as_locust(took, n, 0.99), said["num_failures"], n / lasted)

    return send


def _as_locust(took: Mapping[int, int], n: int, quantile: float) -> float:
    """The percentile that Locust prints of such counts by milliseconds."""
    left = n
    for ms in sorted(took, reverse=True):
        left -= took[ms]
        if left <= int(n * quantile):
            return ms
    return 0


def wrk(ask: Ask) -> Told:
    """It knows no rate."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "told.lua").write_text(_LUA)
        command = ["wrk", "-t1", f"-c{ask.users}", f"-d{ask.seconds:g}s", "-s", "told.lua", ask.url]
        found = re.search(r"^told (\d+) (\d+) (\d+) (\d+)$", _output(command, ask.seconds, folder), re.MULTILINE)
    assert found
    requests, p95, p99, failed = map(int, found.groups())
    return Told(requests, p95 / 1000, p99 / 1000, failed, requests / ask.seconds)


def hey(ask: Ask) -> Told:
    """Its CSV has no line for a request without an answer."""
    each = ["-c", str(ask.users), "-q", f"{ask.rps / ask.users:g}", "-z", f"{ask.seconds:g}s"]
    rows = list(csv.DictReader(_output(["hey", *each, "-o", "csv", ask.url], ask.seconds).splitlines()))
    took = [float(row["response-time"]) * 1000 for row in rows]
    failed = sum(row["status-code"] != "200" for row in rows)
    return Told(len(rows), nearest_rank(took, 0.95), nearest_rank(took, 0.99), failed, len(rows) / ask.seconds)


def vegeta(ask: Ask) -> Told:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "targets").write_text(f"GET {ask.url}\n")
        plan = [f"-rate={ask.rps:g}", f"-duration={ask.seconds:g}s", "-targets=targets", "-output=results"]
        _output(["vegeta", "attack", *plan], ask.seconds, folder)
        said = json.loads(_output(["vegeta", "report", "-type=json", "results"], ask.seconds, folder))
    p95, p99 = (said["latencies"][name] / 1e6 for name in ("95th", "99th"))
    return Told(said["requests"], p95, p99, round(said["requests"] * (1 - said["success"])), said["rate"])


TOOLS: dict[str, Tool] = {
    "ours": ours(),
    "Locust, FastHttpUser": locust("FastHttpUser"),
    "Locust, HttpUser": locust("HttpUser"),
    "hey": hey,
    "wrk": wrk,
    "vegeta": vegeta,
}
