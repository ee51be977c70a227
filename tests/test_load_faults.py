"""What a service or the generator can do wrong under load: each is NO-GO or INCONCLUSIVE, and the cause is told."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import unsound

from pytest_artisan.gates.gate import CheckEvidence, Project, state_of
from pytest_artisan.gates.loading.evidence import NotAllowed, of_load, of_record, record_of
from pytest_artisan.gates.tables import LoadSmoke
from pytest_artisan.load.record import Load
from pytest_artisan.load.run import Interrupted, run
from pytest_artisan.release.environments import Environment, EnvironmentTable
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State, judge

VISITOR = """
from locust import FastHttpUser, task

class Visitor(FastHttpUser):
    @task
    def status(self):
        with self.client.get("/", catch_response=True) as response:
            if response.status_code == 200 and response.json()["status"] != "ok":
                response.failure("status: is not ok")
"""
TABLE = LoadSmoke(
    locustfile="visitor.py", rps=300, duration="1s", warmup_s=0.1, p95_ms=1000, deadline_s=2, errors_pct=1
)


@pytest.fixture
def visited(tmp_path: Path) -> Project:
    (tmp_path / "visitor.py").write_text(VISITOR)
    return Project(tmp_path)


def told(evidence: CheckEvidence) -> str:
    reasons = [text for measurement in evidence.measurements for _, _, text in judge(measurement)]
    return "\n".join([*reasons, *(f"{finding.rule}: {finding.message}" for finding in evidence.findings)])


def ours() -> list[psutil.Process]:
    """The generators that this process has started, and that still live."""
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "pytest_artisan.load.generator" in child.cmdline()]


def test_a_sound_service_passes_and_every_request_is_accounted_for(visited: Project) -> None:
    # Others use the processor at the same time, and the generator may be late by a share of the limit.
    table = replace_table(p95_ms=5000, deadline_s=10)
    with unsound.sound(0.005) as server:
        record = record_of(visited, table, server.url)

    evidence = of_record(record, table)
    assert state_of(evidence) is State.GO, told(evidence)
    assert (record.planned, record.sent, len(record.requests), record.failed) == (300, 300, 300, 0)
    assert (record.warmed, record.warmup_failed, server.seen) == (30, 0, 331)
    assert [m.name for m in evidence.measurements][:2] == ["p95", "errors"]
    assert evidence.measurements[0].proven
    assert not ours()


SLOW = "p95 .* ms > 1000 ms"
FAULTS: dict[str, tuple[Callable[[], unsound.Server], str]] = {
    "slow": (lambda: unsound.sound(1.2), SLOW),
    "stalls": (lambda: unsound.stalls(2.0, 2.5, after=60), SLOW),
    "hangs": (lambda: unsound.hangs(150), SLOW),
    "drops": (lambda: unsound.drops(0.1, after=60), "GET /: HTTPConnectionClosed"),
    "errors": (lambda: unsound.errors(after=60), "GET /: status 500"),
    "wrong body": (lambda: unsound.errors(status=200, after=60), "GET /: status: is not ok"),
    "no JSON": (lambda: unsound.wrong_body(after=60), "GET /: JSONDecodeError"),
    "truncates": (lambda: unsound.truncates(after=60), "GET /: "),
    "closes what it keeps": (unsound.closes_keep_alive, "GET /: HTTPConnectionClosed"),
    "dies": (lambda: unsound.absent(60), "GET /: ConnectionRefusedError"),
    "no HTTP": (lambda: unsound.not_http(60), "GET /: HTTPParseError"),
    "broken from the start": (unsound.errors, "contract: GET /: status 500"),
    "wrong from the start": (lambda: unsound.errors(status=200), "contract: GET /: status: is not ok"),
    "not there": (unsound.absent, "contract: GET /: ConnectionRefusedError"),
    "redirects": (lambda: unsound.redirects("http://b.invalid/"), "contract: GET /: status 302, a redirect"),
    "full queue": (unsound.full_queue, "contract: GET /: no answer within the deadline"),
    "hangs from the start": (lambda: unsound.hangs(0), "contract: GET /: no answer within the deadline"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_service_does_wrong_is_no_go_with_its_cause(fault: str, visited: Project) -> None:
    made, cause = FAULTS[fault]
    with made() as server:
        evidence = of_load(visited, TABLE, server.url)

    assert state_of(evidence) is State.NO_GO
    assert not ours()
    assert re.search(cause, told(evidence)), told(evidence)


def test_what_fails_in_the_warm_up_is_told_there_alone(visited: Project) -> None:
    table = replace_table(p95_ms=5000, deadline_s=10)
    numbers = itertools.count()
    broken = unsound.Reply(unsound.answer(b"", 404))
    with unsound.Server(lambda asked: broken if next(numbers) in (5, 10) else None) as server:
        record = record_of(visited, table, server.url)

    assert (record.warmup_failed, record.failed, record.causes.total()) == (2, 0, 0)
    assert state_of(of_record(record, table)) is State.GO


def test_a_service_that_dies_ends_the_run_long_before_its_time(visited: Project) -> None:
    table = replace_table(rps=100, duration="60s")
    with unsound.hangs(50) as server:
        begun = time.monotonic()
        record = record_of(visited, table, server.url)

    assert time.monotonic() - begun < 20
    assert record.stopped == "decided"
    assert state_of(of_record(record, table)) is State.NO_GO


def replace_table(**changes: Any) -> LoadSmoke:
    return msgspec.structs.replace(TABLE, **changes)


class At:
    """Does something once, when so many of a run's requests are sent."""

    def __init__(self, sent: int, do: Callable[[], None]) -> None:
        self._sent, self._do, self._done = sent, do, False

    def __call__(self, line: str) -> None:
        words = line.split()
        if not self._done and not line.startswith("warm-up") and int(words[0].replace(",", "")) >= self._sent:
            self._done = True
            self._do()


def starve() -> None:
    for generator in ours():
        generator.suspend()
        threading.Timer(0.4, generator.resume).start()


def kill() -> None:
    ours()[-1].kill()


@pytest.mark.parametrize(
    ("do", "workers", "cause"),
    [
        (starve, 0, "the generator was late: p99"),
        (kill, 0, "the generator was killed by SIGKILL"),
        (kill, 2, "was killed by SIGKILL"),
    ],
    ids=["starved", "killed", "worker killed"],
)
def test_what_the_generator_does_wrong_is_inconclusive_with_its_cause(
    do: Callable[[], None], workers: int, cause: str, visited: Project
) -> None:
    table = replace_table(workers=workers)
    with unsound.sound() as server:
        evidence = of_load(replace(visited, watched=At(60, do)), table, server.url)

    assert state_of(evidence) is State.INCONCLUSIVE, told(evidence)
    assert cause in told(evidence)
    assert not ours()


def test_ctrl_c_ends_a_run_with_what_is_known_and_no_pass(visited: Project) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with unsound.sound() as server, pytest.raises(Interrupted) as caught:
        record_of(replace(visited, watched=At(60, interrupt)), TABLE, server.url)

    record = caught.value.record
    evidence = of_record(record, TABLE)
    assert 60 <= record.sent < 300
    assert state_of(evidence) is State.INCONCLUSIVE
    assert "the run was interrupted" in told(evidence)
    assert not ours()


@pytest.mark.parametrize("workers", [0, 2])
def test_no_generator_outlives_whoever_started_it(workers: int, tmp_path: Path) -> None:
    script = f"""
from pytest_artisan.load.record import Load
from pytest_artisan.load.run import run
run(Load({{url!r}}, 100, 60, warmup_s=0, workers={workers}), lambda record: print(record.sent, flush=True) or True)
"""
    with unsound.sound() as server:
        process = subprocess.Popen(
            [sys.executable, "-c", script.replace("{url!r}", repr(server.url))], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        generators = psutil.Process(process.pid).children(recursive=True)
        assert len(generators) == 1 + workers
        process.kill()
        gone, alive = psutil.wait_procs(generators, timeout=2)
        process.communicate()

    assert not alive
    assert len(gone) == 1 + workers


def test_two_runs_at_once_do_not_meet() -> None:
    records = []

    def send(url: str) -> None:
        records.append(run(Load(url, 100, 1, warmup_s=0, workers=2)))

    with unsound.sound() as one, unsound.sound() as other:
        threads = [threading.Thread(target=send, args=(server.url,)) for server in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    # Each of two workers checks the contract for itself.
    assert [one.seen, other.seen] == [102, 102]
    assert [(len(record.requests), record.failed, record.faults) for record in records] == [(100, 0, [])] * 2


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("import nowhere", "can not be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("", "it has no user with a task"),
        ("from locust import User, task\nclass A(User):\n    @task\n    def a(self): ...", "A is no HttpUser"),
        (
            "from locust import *\nclass A(FastHttpUser):\n    @task\n    class B(TaskSet): ...",
            "A: B is a TaskSet; its tasks have to be functions",
        ),
        (
            "from locust import *\nclass A(FastHttpUser):\n    @task\n    def a(self): ...",
            "A.a: the task sent no request",
        ),
        (
            "from locust import *\nclass A(FastHttpUser):\n    fixed_count = 1\n    @task\n    def a(self): ...",
            "A: fixed_count has no meaning",
        ),
        (
            "from locust import *\nclass A(FastHttpUser):\n    @task\n    def a(self): self.client.get('http://b.invalid/')",
            "A.a: ScenarioError: GET http://b.invalid/: is not at http://127.0.0.1",
        ),
    ],
    ids=["no import", "nobody", "no client", "a task set", "no request", "a count", "another host"],
)
def test_a_locustfile_that_can_not_be_used_is_told_in_one_line(text: str, cause: str, visited: Project) -> None:
    (visited.root / "visitor.py").write_text(text)
    with unsound.sound() as server:
        evidence = of_load(visited, TABLE, server.url)

    assert state_of(evidence) is State.NO_GO
    assert cause in told(evidence)


def test_a_locustfile_that_ends_the_generator_is_no_evidence(visited: Project) -> None:
    (visited.root / "visitor.py").write_text("import sys\nsys.exit('a word at the end')")

    with unsound.sound() as server, pytest.raises(NoEvidence, match="ended with status 1: a word at the end"):
        of_load(visited, TABLE, server.url)


@pytest.mark.parametrize(
    ("url", "table", "cause"),
    [
        ("http://example.invalid/", {}, "example.invalid is not among"),
        ("http://127.0.0.1@example.invalid/", {}, "example.invalid is not among"),
        (None, {"locustfile": "nowhere.py"}, "locustfile 'nowhere.py' does not exist"),
        (None, {"locustfile": None}, "neither a locustfile nor an address"),
    ],
)
def test_a_load_that_must_not_be_is_not_sent(
    url: str | None, table: dict[str, Any], cause: str, visited: Project
) -> None:
    with pytest.raises(NotAllowed, match=cause):
        of_load(visited, replace_table(**table), url)


def test_an_environment_is_asked_where_the_policy_names_its_host(visited: Project) -> None:
    stg = Environment("stg", EnvironmentTable(base_url="http://stg.invalid"))
    project = replace(visited, environment=stg)

    with pytest.raises(NotAllowed, match=r"stg.invalid is not among"):
        of_load(project, TABLE)
    evidence = of_load(project, replace_table(hosts=("stg.invalid",)))
    assert "contract: GET /: " in told(evidence)


def test_nothing_of_locust_comes_into_this_process() -> None:
    assert not {"locust", "gevent"} & sys.modules.keys()
