"""HTTP servers on loopback that misbehave on purpose, each for the length of a block, and know what really happened.

As a process of its own, `python tests/unsound.py stalls '{"freeze_s": 1, "every_s": 10}'` says where it is, answers
each line of its standard input with a line of JSON, `{"seen": ..., "faulty": ..., "true_ms": [...]}`, and ends with it.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from pytest_artisan.loopback import HOST, bound

_HEAD_ENDS = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_WAIT_S = 10.0


class Asked(NamedTuple):
    """One request: seconds since the server's start, how many its connection sent before, and its sound answer."""

    at: float
    before: int
    sound: bytes


class Reply(NamedTuple):
    """What is sent after `delay_s`, if anything, and whether the connection is closed with it."""

    data: bytes = b""
    delay_s: float = 0.0
    closes: bool = False


Fault = Callable[[Asked], Reply | None]
End = Callable[[socket.socket], Sequence[socket.socket]]


def answer(body: bytes, status: int = 200, extra: str = "", length: int | None = None) -> bytes:
    """A whole answer; a `length` that is not the body's is a lie."""
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n{extra}\r\n"
    return head.encode() + body


_OK = answer(b'{"status": "ok"}')
_NO_JSON = answer(b"<html>Please log in</html>")


class Server:
    """One behaviour: `fault` says how it answers a request, or None to be sound; the first `after` ones are sound.

    With `end`, after the last of these nobody accepts another connection, and those there are close: `end` is given the
    listening socket, and answers with sockets that have to stay open as long as the server.

    `seen` counts the requests, `faulty` those that a fault befell. `true_ms` has the time from the arrival of each
    request that was answered to its answer.
    """

    def __init__(self, fault: Fault = lambda asked: None, after: int = 0, end: End | None = None) -> None:
        self.seen = self.faulty = 0
        self.true_ms: list[float] = []
        self._fault, self._after, self._end = fault, after, end
        self._connections: set[_Connection] = set()
        self._ended = False
        self._kept: Sequence[socket.socket] = ()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="unsound")

    def __enter__(self) -> Self:
        self._listener = bound()
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self._thread.start()
        assert self._ready.wait(_WAIT_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(_WAIT_S)
        for kept in (self._listener, *self._kept):
            kept.close()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._start = self._loop.time()
        self._accepting = await self._loop.create_server(lambda: _Connection(self), sock=self._listener.dup())
        if self._end is not None and self._after == 0:
            self._stop_accepting()
        self._ready.set()
        await self._over.wait()
        self._accepting.close()
        for connection in self._connections:
            connection.transport.abort()
        while self._connections:
            await asyncio.sleep(0)

    def asked(self, connection: _Connection, body: bytes, before: int) -> None:
        """Answer one request as this server does."""
        now = self._loop.time()
        sound = answer(body) if body else _OK
        self.seen += 1
        reply = self._fault(Asked(now - self._start, before, sound)) if self.seen > self._after else None
        self.faulty += reply is not None
        reply = reply or Reply(sound)
        if last := self.seen == self._after and self._end is not None:
            # Whoever has the answer finds the door closed.
            self._stop_accepting()
        if reply.delay_s:
            self._loop.call_later(reply.delay_s, self._send, connection, reply, now)
        else:
            self._send(connection, reply, now)
        if last:
            for other in self._connections:
                other.transport.close()

    def _send(self, connection: _Connection, reply: Reply, arrived: float) -> None:
        if connection.transport.is_closing():
            return
        if reply.data:
            # First, so that whoever has an answer finds it here.
            self.true_ms.append((self._loop.time() - arrived) * 1000)
            connection.transport.write(reply.data)
        if reply.closes:
            connection.transport.close()

    def _stop_accepting(self) -> None:
        assert self._end is not None
        self._ended = True
        self._accepting.close()
        self._kept = self._end(self._listener)

    def opened(self, connection: _Connection) -> None:
        self._connections.add(connection)
        if self._ended:
            connection.transport.close()

    def closed(self, connection: _Connection) -> None:
        self._connections.discard(connection)


class _Connection(asyncio.Protocol):
    """Just enough HTTP to know where a request ends."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._server, self._unread, self._before = server, b"", 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.closed(self)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (ends := self._unread.find(_HEAD_ENDS)) >= 0:
            start = ends + len(_HEAD_ENDS)
            told = _LENGTH.search(self._unread, 0, ends)
            until = start + (int(told[1]) if told else 0)
            if len(self._unread) < until:
                return
            body, self._unread = self._unread[start:until], self._unread[until:]
            self._server.asked(self, body, self._before)
            self._before += 1


def _some(share: float, seed: int, reply: Reply) -> Fault:
    rng = np.random.default_rng(seed)
    return lambda asked: reply if rng.random() < share else None


def sound(delay_s: float = 0.0) -> Server:
    """Nothing is wrong with it."""
    return Server(lambda asked: Reply(asked.sound, delay_s))


def drawn(median_s: float, sigma: float = 0.5, seed: int = 0, after: int = 0) -> Server:
    """It takes as long as a lognormal distribution says."""
    rng = np.random.default_rng(seed)
    return Server(lambda asked: Reply(asked.sound, median_s * float(rng.lognormal(0.0, sigma))), after)


def stalls(freeze_s: float, every_s: float, delay_s: float = 0.005, after: int = 0) -> Server:
    """Frozen in the last `freeze_s` of every `every_s` since its start; whatever came in them is answered after them."""

    def thawed(asked: Asked) -> Reply:
        left = every_s - asked.at % every_s
        return Reply(asked.sound, delay_s + (left if left <= freeze_s else 0.0))

    return Server(thawed, after)


def hangs(after: int) -> Server:
    """From some request on it accepts, and never answers."""
    return Server(lambda asked: Reply(), after)


def drops(share: float = 1.0, after: int = 0, seed: int = 0) -> Server:
    """It closes the connection instead of an answer."""
    return Server(_some(share, seed, Reply(closes=True)), after)


def errors(share: float = 1.0, status: int = 500, after: int = 0, seed: int = 0) -> Server:
    return Server(_some(share, seed, Reply(answer(b'{"status": "error"}', status))), after)


def wrong_body(share: float = 1.0, after: int = 0, seed: int = 0) -> Server:
    """Status 200, and no JSON."""
    return Server(_some(share, seed, Reply(_NO_JSON)), after)


def closes_keep_alive(after: int = 0) -> Server:
    """It keeps a connection, until the next request comes on it."""
    return Server(lambda asked: Reply(closes=True) if asked.before else None, after)


def full_queue(after: int = 0) -> Server:
    """Nobody accepts, and there is no room to wait: to connect is to hang."""

    def fill(listener: socket.socket) -> list[socket.socket]:
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        return waiting

    return Server(after=after, end=fill)


def absent(after: int = 0) -> Server:
    """Nobody listens, and nobody else can take the port."""

    def refuse(listener: socket.socket) -> list[socket.socket]:
        address = listener.getsockname()
        listener.close()
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(address)
        return [held]

    return Server(after=after, end=refuse)


def not_http(after: int = 0) -> Server:
    return Server(_some(1.0, 0, Reply(b"220 mail.example ESMTP\r\n", closes=True)), after)


def truncates(share: float = 1.0, after: int = 0, seed: int = 0) -> Server:
    """It closes the connection in the middle of the body."""
    half = answer(b'{"status": ', length=100)
    return Server(_some(share, seed, Reply(half, closes=True)), after)


def redirects(to: str, after: int = 0) -> Server:
    return Server(_some(1.0, 0, Reply(answer(b"", 302, f"Location: {to}\r\n"))), after)


_BY_NAME: dict[str, Callable[..., Server]] = {
    made.__name__: made
    for made in (
        *(sound, drawn, stalls, hangs, drops, errors, wrong_body),
        *(closes_keep_alive, full_queue, absent, not_http, truncates, redirects),
    )
}


def main(name: str, settings: str) -> None:
    with _BY_NAME[name](**json.loads(settings)) as server:
        print(f"server at {server.url}", flush=True)
        for _ in sys.stdin:
            told = {"seen": server.seen, "faulty": server.faulty, "true_ms": server.true_ms}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
