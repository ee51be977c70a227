"""The plan of a load, the record of a run, and what is told of both."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unsound import Server, drops, sound, stalls

from conftest import Project
from pytest_artisan.cli import main
from pytest_artisan.gates.gate import state_of
from pytest_artisan.gates.loading.evidence import of_record
from pytest_artisan.gates.tables import LoadSmoke
from pytest_artisan.load.arrivals import Kind, arrivals, shares
from pytest_artisan.load.messages import Batch, Order, Outcome, Samples
from pytest_artisan.load.record import Load, Record, nearest_rank
from pytest_artisan.load.run import run
from pytest_artisan.verdict.judge import State

KINDS: tuple[Kind, ...] = get_args(Kind)
# The generator may be late by a share of it, and here others use the processor at the same time.
ROOMY_MS = 5000


@pytest.mark.parametrize("kind", KINDS)
@given(rate=st.floats(0.1, 5000), n=st.integers(0, 500), seed=st.integers(0, 10))
def test_a_plan_has_all_arrivals_in_order_within_its_time(kind: Kind, rate: float, n: int, seed: int) -> None:
    due = arrivals(kind, rate, n, np.random.default_rng(seed))

    assert len(due) == n
    assert (np.diff(due) >= 0).all()
    assert ((due >= 0) & (due <= n / rate * (1 + 1e-12))).all()
    if kind == "jitter":
        assert (np.floor(due * rate + 1e-9) - np.arange(n) <= 1).all()


@given(n=st.integers(1, 500), parts=st.integers(1, 20), seed=st.integers(0, 10))
def test_each_part_of_a_mix_gets_its_share(n: int, parts: int, seed: int) -> None:
    counts = np.bincount((shares(n, np.random.default_rng(seed)) * parts).astype(int), minlength=parts)

    assert counts.sum() == n
    assert abs(counts - n / parts).max() < 2


@given(count=st.integers(1, 5), n=st.integers(0, 40))
def test_generators_share_a_plan_without_rest(count: int, n: int) -> None:
    numbers = np.arange(n, dtype=np.float64)
    order = Order("http://a", None, numbers.tobytes(), numbers.tobytes(), n // 3, 1, 1)
    parts = [order.part(k, count) for k in range(count)]

    assert sorted(number for part in parts for number in np.frombuffer(part.due)) == numbers.tolist()
    assert sorted(number for part in parts for number in np.frombuffer(part.due)[: part.warmup]) == list(range(n // 3))


def batch(sent: int, answered: list[tuple[int, float, float, Outcome]], now: float, generator: int = 0) -> Batch:
    samples = Samples()
    for number, late, took, outcome in answered:
        samples.add(number, late, took, outcome, 0)
    return Batch(generator, sent, now, samples.packed(), ("GET /",))


def a_record(**changes: Any) -> Record:
    load = Load(**{"url": "http://a", "rps": 10, "duration_s": 1, "warmup_s": 0.2, "deadline_s": 5, **changes})
    return Record(load, np.arange(load.warmup + load.planned) / load.rps)


@given(
    st.lists(st.sampled_from([*Outcome][:3]), max_size=12),
    st.integers(0, 12),
    st.sampled_from(["", "interrupted", "decided"]),
)
def test_every_request_that_was_sent_is_accounted_for(outcomes: list[Outcome], sent: int, stopped: str) -> None:
    answered = outcomes[:sent]
    record = a_record()
    record.add(batch(sent, [(k, 0.001, 0.01, outcome) for k, outcome in enumerate(answered)], 1.5))
    record.stopped = stopped
    record.close()

    assert record.warmed == min(sent, 2)
    assert record.sent == max(sent - 2, 0)
    assert record.planned == 10
    known = max(len(answered) - 2, 0)
    assert len(record.requests) == (known if stopped == "decided" else record.sent)
    assert record.failed == sum(o is not Outcome.OK for o in answered[2:]) + len(record.requests) - known
    assert all(record.latency_ms(r) >= 5000 for r in record.requests if r.failed)
    assert record.requests == sorted(record.requests)


def test_a_request_without_an_answer_when_the_run_was_decided_has_waited_so_far() -> None:
    record = a_record(limit_ms=1000)
    record.add(batch(12, [], 1.7))  # 1.5 s after the first that counts
    record.stopped = "decided"
    record.close()

    assert [round(record.latency_ms(request)) for request in record.requests] == [1500, 1400, 1300, 1200, 1100]
    assert record.failed == 0


@given(st.lists(st.floats(0, 1e6), max_size=50), st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_was_seen(values: list[float], quantile: float) -> None:
    found = nearest_rank(values, quantile)

    assert found in values if values else found is None
    assert found is None or sum(value <= found for value in values) >= quantile * len(values) - 1e-6


def test_the_generator_is_to_blame_where_the_limit_is_broken_by_its_own_delay() -> None:
    table = LoadSmoke(rps=10, duration="30s", warmup_s=0, p95_ms=500, endpoint_p95_ms={"GET /nobody": 9})
    record = a_record(duration_s=30, warmup_s=0, limit_ms=500)
    late = [0.6 if k % 10 == 0 else 0.0 for k in range(300)]
    record.add(batch(300, [(k, late[k], 0.1, Outcome.OK) for k in range(300)], 31))
    record.close()

    evidence = of_record(record, table)
    assert state_of(evidence) is State.NO_EVIDENCE  # of the endpoint that was never asked
    doubts = {m.doubt for m in evidence.measurements if m.value is not None}
    assert doubts == {
        "the generator was late: p99 600 ms, more than 25 ms; without the generator's own delay, the p95 is 100 ms"
    }


# Against a server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with sound(0.002) as made:
        yield made


MIX = """
from locust import FastHttpUser, HttpUser, constant, task

class Often(FastHttpUser):
    weight = 3
    @task(2)
    def two(self):
        self.client.get("/two", name="two")
    @task(1)
    def one(self):
        self.client.post("/one", json={"a": 1})

class Old(HttpUser):
    wait_time = constant(100)
    def on_start(self):
        self.client.get("/login")
    @task
    def old(self):
        self.client.get("/old")
        self.client.get("/again")
"""


def test_a_locustfile_is_sent_by_its_weights_whatever_its_users(tmp_path: Path, server: Server) -> None:
    (tmp_path / "mix.py").write_text(MIX)
    record = run(Load(server.url, 200, 1, tmp_path / "mix.py", warmup_s=0.2))
    counts = {name: len(requests) for name, requests in record.by_endpoint().items()}

    assert record.faults == []
    assert (record.sent, record.failed) == (200, 0)
    assert abs(counts["GET two"] - 100) <= 1
    assert abs(counts["POST /one"] - 50) <= 1
    assert counts["GET /old"] == counts["GET /again"]
    assert abs(counts["GET /old"] - 50) <= 1


def test_two_workers_send_one_plan(server: Server) -> None:
    before = server.seen
    record = run(Load(server.url, 200, 1, warmup_s=0.1, workers=2))

    assert record.faults == []
    assert (record.sent, len(record.requests), record.warmed) == (200, 200, 20)
    assert server.seen - before == 222  # each worker checks the contract for itself
    assert sorted(r.at for r in record.requests) == pytest.approx((record.due[20:] - 0.1).tolist())


def test_what_a_server_drops_has_failed_and_is_not_sent_again() -> None:
    with drops(0.2, after=1) as dropping:
        record = run(Load(dropping.url, 200, 1, warmup_s=0))

    assert dropping.seen == 201
    assert record.failed == dropping.faulty
    assert record.failed > 10


def test_a_stall_is_seen_by_all_who_came_in_it() -> None:
    """A user who waits for the answer would come once."""
    with stalls(0.4, 1.0) as stalling:
        record = run(Load(stalling.url, 100, 2, warmup_s=0))

    shown, true = sorted(record.latencies_ms()), sorted(stalling.true_ms[1:])
    assert len(shown) == len(true) == 200
    assert sum(latency > 50 for latency in shown) >= 60
    assert all(mine >= theirs - 1 for mine, theirs in zip(shown, true, strict=True))


# From a shell


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_command_says_what_the_gate_says(
    form: str, server: Server, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.path)
    project.policy("load_smoke.warmup_s = 0")
    options = ["--rps", "300", "--duration", "1", "--p95-threshold", str(ROOMY_MS), "--url", f"{server.url}/x?y=1"]
    status = main(["load-smoke", *options, "--format", form])
    out = capsys.readouterr().out

    assert status == 0, out
    if form == "text":
        assert "Total Requests  300 planned = 300 sent + 0 unsent" in out
        assert re.search(r"p95 Latency     p95 [\d.]+ ms <= 5000 ms, n=300; 95 % interval .*; proven", out)
        assert out.endswith("\nPASSED\n")
        return
    told = json.loads(out)
    assert (told["state"], told["planned"], told["sent"], told["succeeded"], told["failed"]) == ("GO", 300, 300, 300, 0)
    assert told["p95_interval_ms"][0] <= told["p95_ms"] <= told["p95_interval_ms"][1]
    assert told["p50_ms"] <= told["p95_ms"] <= told["p99_ms"]
    assert told["rate"] == pytest.approx(300, rel=0.01)
    assert [endpoint["name"] for endpoint in told["endpoints"]] == ["GET /x?y=1"]


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--url", "http://example.invalid"], 2, "example.invalid is not among"),
        (["--url", "ftp://127.0.0.1"], 2, "'ftp://127.0.0.1' is no http or https address"),
        (["--url", "http://127.0.0.1:99999/"], 2, "is no http or https address"),
        (["--rps", "0"], 2, "rps: expected float > 0"),
        (["--rps", "1e15"], 2, "more than 10,000,000 requests"),
        (["--rps", "1e308"], 2, "more than 10,000,000 requests"),
        (["--duration", "20"], 2, "rps x duration sends 200 requests, too few"),
        (["--duration", "soon"], 2, "'soon' is no duration"),
        (["--locustfile", "nowhere.py"], 2, "locustfile 'nowhere.py' does not exist"),
        ([], 2, "neither a locustfile nor an address"),
        (["--url", "http://127.0.0.1:9"], 1, "NO-GO contract: GET /: ConnectionRefusedError"),
        (["--url", "http://127.0.0.1:9", "--regression"], 2, "no baseline for dev"),
        (["--locustfile", "pyproject.toml", "--env", "prod"], 2, "prod: a locustfile may write"),
    ],
)
def test_what_the_command_can_not_do_is_told_in_one_line(
    options: list[str],
    status: int,
    said: str,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project.path)

    assert main(["load-smoke", *options]) == status
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
    assert status == 1 or len(printed.err.splitlines()) == 1


def test_ctrl_c_prints_what_is_known(server: Server, project: Project) -> None:
    project.policy("load_smoke.warmup_s = 0")
    command = [sys.executable, "-m", "pytest_artisan", "load-smoke", "--rps", "100", "--duration", "60"]
    before = server.seen
    process = subprocess.Popen(
        [*command, "--url", server.url, "--format", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while server.seen < before + 50 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert err.decode().splitlines()[-1] == "artisan: interrupted"
    told = json.loads(out)
    assert told["state"] == "INCONCLUSIVE"
    assert 0 < told["sent"] < told["planned"] == 6000


# In a session


def test_a_session_has_the_gate_where_a_locustfile_is_named(project: Project, server: Server) -> None:
    project.write("mix.py", MIX)
    project.policy(f"""
        required = ["load_smoke"]
        load_smoke = {{ locustfile = "mix.py", rps = 300, duration = "1s", warmup_s = 0, p95_ms = {ROOMY_MS} }}
        environments.dev.base_url = "{server.url}"
    """)
    run = project.run("--artisan-report=verdict.md")

    assert run.last_line == "GO", run.out
    assert run.verdict is not None
    [gate] = run.verdict.gates
    p95 = gate.measurements[0]
    assert (p95.name, p95.proven, p95.n) == ("p95", True, len(p95.samples.at) if p95.samples else 0)
    assert p95.samples is not None
    assert "verdict-load_smoke.svg" in (project.path / "verdict.md").read_text()
    assert (project.path / "verdict-load_smoke.svg").exists()
    assert "withheld in stg" in project.run("--artisan-env=stg").out


def test_a_marker_and_a_baseline_do_the_same_for_a_test(project: Project, server: Server) -> None:
    project.policy('required = ["load_smoke"]')
    project.tests(f"""
        from pytest_artisan.gates.loading.evidence import of_load

        @pytest.mark.load_smoke(rps=300, duration="1s", warmup_s=0, p95_ms={ROOMY_MS})
        def test_it(gate):
            shown = of_load(gate.project, gate.policy, "{server.url}")
            gate.record(shown.measurements, shown.findings)
    """)
    first = project.run()
    assert first.last_line == "GO", first.out
    assert main(["baseline", "save", str(project.report)]) == 0
    baseline = json.loads((project.path / ".artisan/baseline-dev.json").read_text())
    for entry in baseline["measurements"]:
        entry["samples"] = [value / 100 for value in entry["samples"]] if entry["samples"] else None
        entry["interval"] = None if entry["interval"] is None else [0, 1e9]
        entry["value"] = 1e9 if "lateness" in entry["name"] else entry["value"]
    (project.path / ".artisan/baseline-dev.json").write_text(json.dumps(baseline))
    run = project.run("--artisan-regression")

    assert run.last_line == "NO-GO"
    assert "load_smoke|regression|test_it.py::test_it|p95 " in run.told
