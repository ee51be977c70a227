"""What a locustfile does itself must not hide what became of its requests."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import unsound

from pytest_artisan.gates.gate import Project, state_of
from pytest_artisan.gates.loading.evidence import of_record, record_of
from pytest_artisan.gates.tables import LoadSmoke
from pytest_artisan.load.messages import Batch, Outcome, Samples
from pytest_artisan.load.record import DECIDED, Load, Record
from pytest_artisan.load.run import run
from pytest_artisan.verdict.judge import State

HEAD = "import gevent\nfrom locust import *\nfrom locust.exception import StopUser\n"
CAUGHT = "with self.client.get('/', catch_response=True) as response:\n            "
GIVES_UP = "gevent.spawn(self.client.get, '/a'); gevent.sleep(0.05); self.client.get('/b')"


def a_scenario(folder: Path, does: str, kind: str = "FastHttpUser", starts: str = "pass") -> Path:
    path = folder / "scenario.py"
    path.write_text(
        f"{HEAD}class A({kind}):\n    def on_start(self):\n        {starts}\n    @task\n    def a(self):\n        {does}\n"
    )
    return path


def first_hangs() -> unsound.Server:
    numbers = itertools.count()
    return unsound.Server(lambda asked: None if next(numbers) else unsound.Reply())


HIDDEN: dict[str, tuple[dict[str, str], Callable[[], unsound.Server], str]] = {
    "redirected": (
        {"does": "self.client.get('/')", "kind": "HttpUser"},
        lambda: unsound.redirects("/elsewhere"),
        "GET /: status 302, a redirect",
    ),
    "no answer is right": ({"does": f"{CAUGHT}response.success()"}, unsound.drops, "GET /: HTTPConnectionClosed"),
    "of HttpUser": (
        {"does": f"{CAUGHT}response.success()", "kind": "HttpUser"},
        unsound.drops,
        "GET /: ConnectionError",
    ),
    "half an answer is right": ({"does": f"{CAUGHT}response.success()"}, unsound.truncates, "GET /: HTTPParseError"),
    "a server's error is right": ({"does": f"{CAUGHT}response.success()"}, unsound.errors, "GET /: status 500"),
    "given up": ({"does": GIVES_UP}, first_hangs, "GET /a: its answer was never judged"),
    "never started": (
        {"does": "self.client.get('/')", "starts": "raise StopUser"},
        unsound.sound,
        "A.a: ScenarioError: A.on_start",
    ),
    "moved away": (
        {"does": "self.client.get('/')", "starts": "self.client.base_url = 'http://b.invalid'"},
        unsound.sound,
        "A.a: ScenarioError: GET /: is not at http://127.0.0.1",
    ),
    "timeout": ({"does": "self.client.get('/'); raise gevent.Timeout"}, unsound.sound, "GET /: Timeout"),
}


@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_request_that_a_task_hides_breaks_the_contract(hidden: str, tmp_path: Path) -> None:
    changes, made, cause = HIDDEN[hidden]
    with made() as server:
        record = run(Load(server.url, 100, 1, a_scenario(tmp_path, **changes), warmup_s=0))

    assert record.broken.startswith(cause), (record.broken, record.faults)
    assert record.sent == 0


def test_a_locustfile_can_not_say_how_long_an_answer_took(tmp_path: Path) -> None:
    scenario = a_scenario(tmp_path, f"{CAUGHT}response.request_meta['response_time'] = 1")
    with unsound.sound(0.05) as server:
        record = run(Load(server.url, 100, 0.5, scenario, warmup_s=0))

    assert len(record.requests) == 50
    assert min(record.service_ms()) >= 49


def every_third_of_a_hangs() -> unsound.Server:
    numbers = itertools.count()

    def fault(asked: unsound.Asked) -> unsound.Reply | None:
        return unsound.Reply() if asked.sound == unsound.answer(b"a") and next(numbers) % 3 == 2 else None

    return unsound.Server(fault)


def test_a_request_that_a_task_gave_up_is_not_forgotten_for_its_next(tmp_path: Path) -> None:
    gives_up = "try: self.client.post('/a', data='a')\n        except BaseException: self.client.get('/b')"
    scenario = a_scenario(tmp_path, gives_up)
    with every_third_of_a_hangs() as server:
        record = run(Load(server.url, 100, 0.5, scenario, warmup_s=0, deadline_s=0.3))

    assert len(record.requests) == server.seen - 1
    assert record.failed == len(record.by_endpoint()["GET /b"]) > 10


def fails_now_and_then_and_dies() -> unsound.Server:
    numbers = itertools.count(1)
    error = unsound.Reply(unsound.answer(b"", 500))

    def fault(asked: unsound.Asked) -> unsound.Reply | None:
        number = next(numbers)
        return error if number in (160, 210, 310, 405, 410) or number > 800 else None

    return unsound.Server(fault)


def test_a_run_of_tasks_with_many_requests_is_not_cut_short_and_passed(tmp_path: Path) -> None:
    """Five of 400 are more than 1 % of its 300 tasks, and fewer than 1 % of their 3000 requests."""
    a_scenario(tmp_path, "for _ in range(10): self.client.get('/')")
    table = LoadSmoke(locustfile="scenario.py", rps=300, duration="1s", warmup_s=0, p95_ms=1000, deadline_s=2)
    with fails_now_and_then_and_dies() as server:
        record = record_of(Project(tmp_path), table, server.url)

    assert record.sent == 300
    assert state_of(of_record(record, table)) is State.NO_GO


def test_a_run_that_was_ended_as_lost_and_was_not_is_no_pass() -> None:
    table = LoadSmoke(rps=10, duration="30s", warmup_s=0)
    record = Record(Load("http://a", 10, 30, warmup_s=0), np.arange(300) / 10)
    samples = Samples()
    for number in range(100):
        for _ in range(10):
            samples.add(number, 0, 0.01, Outcome.OK, 0)
    record.add(Batch(0, 100, 10, samples.packed(), ("GET /",)))
    record.stopped = DECIDED
    record.close()

    assert state_of(of_record(record, table)) is State.INCONCLUSIVE
