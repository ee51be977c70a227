"""The reader of Prometheus: what a real one answers, and that nothing but a proper answer is ever a number."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_house import matrix, scripted, vector

from pytest_artisan.loopback import HOST, bound
from pytest_artisan.release.prometheus import Prometheus
from pytest_artisan.verdict.evidence import NoEvidence

AT = 1_700_000_000.0
ONE = vector(({"a": "b"}, 1), at=AT)


class Fake:
    """A server whose next answer is `body`; `asked` are the parameters of all questions."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, ONE, dict[str, str]()
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.url = ""

    def __call__(self, api: str, asked: Mapping[str, str]) -> tuple[int, Any, Mapping[str, str]]:
        self.asked.append((api, asked))
        return self.status, self.body, self.headers

    def says(self, body: Any, status: int = 200, **headers: str) -> Prometheus:
        self.body, self.status, self.headers = body, status, headers
        return Prometheus(self.url, 5)


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    fake = Fake()
    with scripted(fake) as fake.url:
        yield fake


def test_an_instant_has_labels_times_and_values(fake: Fake) -> None:
    server = fake.says(vector(({}, "NaN"), ({"le": "+Inf"}, "-Inf"), ({"le": "1"}, "1.5e-3"), at=AT))
    first, second, third = server.query('up{a="b & c"}', AT)
    assert fake.asked[-1] == ("query", {"query": 'up{a="b & c"}', "time": "1700000000.000"})
    assert math.isnan(first.value)
    assert second.value == -math.inf
    assert (third.labels, third.at, third.value) == ({"le": "1"}, AT, 0.0015)
    assert fake.says(vector(at=AT)).query("up") == ()
    assert "time" not in fake.asked[-1][1]


def test_a_range_has_points_in_order(fake: Fake) -> None:
    [series] = fake.says(matrix(({"a": "b"}, [(AT, 1), (AT + 5, "+Inf")]))).query_range("up", AT, AT + 10, 5)
    assert series.points == ((AT, 1.0), (AT + 5, math.inf))
    start, end = "1700000000.000", "1700000010.000"
    assert fake.asked[-1] == ("query_range", {"query": "up", "start": start, "end": end, "step": "5.000"})
    assert fake.says(matrix()).query_range("up", AT, AT + 10, 5) == ()


@settings(max_examples=25)
@given(value=st.floats())
def test_every_float_comes_back_as_go_writes_it(fake: Fake, value: float) -> None:
    told = "NaN" if math.isnan(value) else f"{value:+}".replace("inf", "Inf")
    [sample] = fake.says(vector(({}, told), at=AT)).query("up", AT)
    assert sample.value == value or math.isnan(value) == math.isnan(sample.value) is True


def _changed(**values: Any) -> dict[str, Any]:
    return {**ONE, **values}


def _result(result: Any, kind: str = "vector") -> dict[str, Any]:
    return _changed(data={"resultType": kind, "result": result})


def _value(value: Any, at: Any = AT) -> dict[str, Any]:
    return _result([{"metric": {}, "value": [at, value]}])


TEXT = json.dumps(ONE).encode()
FAULTS: dict[str, tuple[Any, int, dict[str, str], str]] = {
    "not found": (b"404 page not found", 404, {}, "status 404"),
    "bad gateway": (b"<html>Bad Gateway</html>", 502, {}, "status 502"),
    "html of a proxy": (b"<!doctype html><title>Sign in</title>", 200, {}, "no answer of Prometheus"),
    "empty": (b"", 200, {}, "no answer of Prometheus"),
    "truncated": (TEXT[:-5], 200, {}, "no answer of Prometheus"),
    "not UTF-8": (TEXT.replace(b"vector", b"\xff\xfe"), 200, {}, "no"),
    "too deep": (b"[" * 100_000, 200, {}, "no answer of Prometheus"),
    "a bad query": (
        {"status": "error", "errorType": "bad_data", "error": "parse error"},
        400,
        {},
        "status 400: 'bad_data: parse error'",
    ),
    "an error with status 200": (
        {"status": "error", "errorType": "timeout", "error": "late"},
        200,
        {},
        "timeout: late",
    ),
    "a success with status 503": (ONE, 503, {}, "status 503"),
    "a status that is none": (_changed(status="fine"), 200, {}, "no answer of Prometheus"),
    "no status": ({"data": ONE["data"]}, 200, {}, "no answer of Prometheus"),
    "a part": (_changed(warnings=["store 2 is down"]), 200, {}, "a part only: 'store 2 is down'"),
    "a part, as VictoriaMetrics says it": (_changed(isPartial=True), 200, {}, "a part only"),
    "no data": ({"status": "success"}, 200, {}, "no result that can be read"),
    "null data": (_changed(data=None), 200, {}, "no result that can be read"),
    "a scalar": (_result([AT, "1"], "scalar"), 200, {}, "no result that can be read"),
    "a matrix": (matrix(({}, [(AT, 1)])), 200, {}, "no result that can be read"),
    "a native histogram": (_result([{"metric": {}, "histogram": [AT, {}]}]), 200, {}, "no result that can be read"),
    "no time": (_result([{"metric": {}, "value": ["1"]}]), 200, {}, "no result that can be read"),
    "a label that is no text": (_result([{"metric": {"a": 1}, "value": [AT, "1"]}]), 200, {}, "no result"),
    "a bare number": (_value(1), 200, {}, "no result that can be read"),
    "a time that is text": (_value("1", "now"), 200, {}, "no result that can be read"),
    "another time": (_value("1", AT - 60), 200, {}, "it answers for 1699999940.000"),
    "no number": (_value("high"), 200, {}, "'high' is no number"),
    "a number in Python's way": (_value("1_000"), 200, {}, "'1_000' is no number"),
    "digits of another script": (_value("١٢"), 200, {}, "is no number"),
    "a padded number": (_value(" 1"), 200, {}, "is no number"),
    "an empty number": (_value(""), 200, {}, "'' is no number"),
    "infinity in Python's way": (_value("infinity"), 200, {}, "is no number"),
    "the same series twice": (vector(({"a": "b"}, 1), ({"a": "b"}, 2), at=AT), 200, {}, "the same series comes twice"),
    "a redirect": (b"", 302, {"location": "http://127.0.0.1:1/"}, "no redirect is followed"),
    "packed": (gzip.compress(TEXT), 200, {"content-encoding": "gzip"}, "is packed"),
    "too much": (b" " * (8 * 1024 * 1024 + 1), 200, {}, "more than 8,388,608 bytes"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_is_no_proper_answer_names_the_query_and_the_cause(fake: Fake, fault: str) -> None:
    body, status, headers, told = FAULTS[fault]
    with pytest.raises(NoEvidence) as caught:
        fake.says(body, status, **headers).query("sum(up)", AT)
    assert str(caught.value).startswith(f"{fake.url}: sum(up): ")
    assert told in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (ONE, "no result that can be read"),
        (matrix(({}, [])), "no result that can be read"),
        (matrix(({}, [(AT, 1), (AT, 2)])), "its times are not in order"),
        (matrix(({}, [(AT - 1, 1)])), "for another time"),
        (matrix(({}, [(AT + 11, 1)])), "for another time"),
        (matrix(({}, [(AT, 1)]), ({}, [(AT, 2)])), "twice"),
        (matrix(({}, [(AT, "x")])), "no number"),
    ],
)
def test_a_range_that_is_none(fake: Fake, body: Any, told: str) -> None:
    with pytest.raises(NoEvidence, match=told):
        fake.says(body).query_range("up", AT, AT + 10, 5)


@contextmanager
def _listening(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server for one connection, by hand."""
    with bound() as listener:

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://{HOST}:{listener.getsockname()[1]}"
        thread.join(5)
        assert not thread.is_alive(), "the reader keeps its connection"


def _drip(connection: socket.socket) -> None:
    """Bytes without end, each in time for a client that waits for the next one only."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    connection.settimeout(0.02)
    connection.recv(65536)
    while True:
        try:
            connection.sendall(b" ")
            if not connection.recv(1):
                return
        except TimeoutError:
            continue
        except OSError:
            return


@pytest.mark.parametrize(
    ("serve", "told"),
    [
        (lambda connection: connection.recv(65536) and connection.recv(1), "no whole answer within 0.3 s"),
        (_drip, "no whole answer within 0.3 s"),
        (lambda connection: connection.recv(65536), "no answer: RemoteProtocolError"),
        (
            lambda connection: connection.recv(65536) and connection.sendall(b"SSH-2.0\r\n"),
            "no answer: RemoteProtocolError",
        ),
    ],
    ids=["silent", "dripping", "gone", "another protocol"],
)
def test_who_does_not_answer_in_time_or_in_http(serve: Callable[[socket.socket], object], told: str) -> None:
    with _listening(serve) as url, pytest.raises(NoEvidence, match=told):
        Prometheus(url, 0.3).query("up")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://prometheus.invalid:9090"])
def test_nobody_there(url: str) -> None:
    with pytest.raises(NoEvidence, match="up: no answer"):
        Prometheus(url, 5).query("up")


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:hunter22@127.0.0.1:1")
    assert len(fake.says(ONE).query("up", AT)) == 1
    with pytest.raises(NoEvidence) as caught:
        Prometheus("http://prometheus.invalid", 5).query("up")
    assert "hunter22" not in str(caught.value)


def test_it_can_be_asked_where_an_event_loop_runs(fake: Fake) -> None:
    async def ask() -> int:
        return len(fake.says(ONE).query("up", AT))

    assert asyncio.run(ask()) == 1
