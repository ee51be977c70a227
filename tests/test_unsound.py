"""The servers that misbehave: each does what its name says, and nothing of it is left after its block."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.client import BadStatusLine, HTTPConnection, HTTPException, IncompleteRead, RemoteDisconnected
from urllib.parse import urlsplit

import pytest
import unsound
from unsound import Server

OK = (200, b'{"status": "ok"}')


def connection(server: Server, seconds: float = 2.0) -> HTTPConnection:
    parts = urlsplit(server.url)
    assert parts.hostname
    return HTTPConnection(parts.hostname, parts.port, timeout=seconds)


def ask(to: HTTPConnection, body: bytes | None = None) -> tuple[int, bytes]:
    to.request("GET" if body is None else "POST", "/", body)
    answer = to.getresponse()
    return answer.status, answer.read()


def fresh(server: Server, seconds: float = 2.0) -> tuple[int, bytes]:
    """What it answers on a connection of its own."""
    to = connection(server, seconds)
    try:
        return ask(to)
    finally:
        to.close()


def outcome(server: Server) -> str:
    try:
        return str(fresh(server)[0])
    except (OSError, HTTPException) as error:
        return type(error).__name__


def test_a_sound_server_keeps_connections_echoes_and_takes_its_time() -> None:
    with unsound.sound(0.02) as server:
        to = connection(server)
        assert ask(to) == OK
        assert ask(to, b'{"wish": "lemon"}') == (200, b'{"wish": "lemon"}')
        assert ask(to, b"x" * 300_000) == (200, b"x" * 300_000)
        to.close()
    assert server.seen == 3
    assert all(20 <= took < 200 for took in server.true_ms)


def test_an_answer_does_not_wait_for_nagle() -> None:
    with unsound.sound() as server:
        to = connection(server)
        started = time.monotonic()
        for _ in range(20):
            ask(to, b"{}")
        assert time.monotonic() - started < 0.4
        to.close()


def test_a_stall_holds_what_arrives_in_it_until_its_end() -> None:
    with unsound.stalls(0.1, 0.2, delay_s=0.001) as server:
        started = time.monotonic()
        while time.monotonic() - started < 0.5:
            assert fresh(server) == OK
    slow = [took for took in server.true_ms if took > 50]
    assert len(slow) in (2, 3)
    assert max(server.true_ms) < 200
    assert server.seen == len(server.true_ms)


def test_drawn_delays_are_the_same_for_a_seed() -> None:
    with unsound.drawn(0.01, sigma=0.5, seed=3) as one, unsound.drawn(0.01, sigma=0.5, seed=3) as other:
        for _ in range(5):
            assert fresh(one) == fresh(other) == OK
    assert all(abs(a - b) < 20 for a, b in zip(one.true_ms, other.true_ms, strict=True))


def test_after_some_requests_it_hangs() -> None:
    with unsound.hangs(after=2) as server:
        assert [fresh(server), fresh(server)] == [OK, OK]
        with pytest.raises(TimeoutError):
            fresh(server, 0.05)
    assert (server.seen, server.faulty, len(server.true_ms)) == (3, 1, 2)


@pytest.mark.parametrize(
    ("made", "bad"),
    [(unsound.drops, "RemoteDisconnected"), (unsound.errors, "500"), (unsound.truncates, "IncompleteRead")],
)
def test_a_share_of_the_requests_goes_wrong(made: Callable[..., Server], bad: str) -> None:
    with made(share=0.3, after=10, seed=1) as server:
        assert {outcome(server) for _ in range(10)} == {"200"}
        found = Counter(outcome(server) for _ in range(60))
    assert found == {"200": 60 - server.faulty, bad: server.faulty}
    assert 8 <= server.faulty <= 30


def test_it_answers_wrongly() -> None:
    with unsound.wrong_body() as server, pytest.raises(json.JSONDecodeError):
        json.loads(fresh(server)[1])
    with unsound.errors(status=503) as server:
        assert fresh(server)[0] == 503
    with unsound.redirects("http://elsewhere.example/") as server:
        to = connection(server)
        to.request("GET", "/")
        assert to.getresponse().headers["Location"] == "http://elsewhere.example/"
        to.close()
    with unsound.not_http() as server, pytest.raises(BadStatusLine):
        fresh(server)
    with unsound.truncates() as server, pytest.raises(IncompleteRead):
        fresh(server)


def test_a_kept_connection_closes_under_the_next_request() -> None:
    with unsound.closes_keep_alive(after=1) as server:
        to = connection(server)
        assert ask(to) == OK
        with pytest.raises(RemoteDisconnected):
            ask(to)
        assert ask(to) == OK
        to.close()
    assert (server.seen, server.faulty) == (3, 1)


@pytest.mark.parametrize("after", [0, 2])
def test_a_full_queue_lets_nobody_connect(after: int) -> None:
    with unsound.full_queue(after) as server:
        assert [fresh(server) for _ in range(after)] == [OK] * after
        with pytest.raises(TimeoutError):
            connection(server, 0.05).connect()


@pytest.mark.parametrize("after", [0, 2])
def test_an_absent_server_refuses_and_keeps_its_port(after: int) -> None:
    with unsound.absent(after) as server:
        assert [fresh(server) for _ in range(after)] == [OK] * after
        with pytest.raises(ConnectionRefusedError):
            fresh(server)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", urlsplit(server.url).port))


def test_nothing_is_left_after_the_block() -> None:
    with unsound.hangs(after=0) as server:
        to = connection(server)
        to.request("GET", "/")
        while not server.seen:
            time.sleep(0.001)
    with pytest.raises(OSError, match=r"reset|closed"):
        to.getresponse()
    to.close()
    assert "unsound" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(ConnectionRefusedError):
        fresh(server)


def test_it_serves_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-W", "error", unsound.__file__, "hangs", '{"after": 1}']
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        parts = urlsplit(process.stdout.readline().split()[-1])
        assert parts.hostname
        to = HTTPConnection(parts.hostname, parts.port, timeout=2)
        assert ask(to) == OK
        to.close()
        process.stdin.write("\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
        process.stdin.close()
        assert (told["seen"], told["faulty"], len(told["true_ms"])) == (1, 0, 1)
    assert process.returncode == 0
