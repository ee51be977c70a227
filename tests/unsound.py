"""Servers on loopback that misbehave on purpose."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from pytest_artisan.loopback import HOST, bound

_OK = b'{"status": "ok"}'
Answer = Callable[["Server", "_Connection", bytes], None]


@dataclass
class Server:
    """What a server does with a request, from the one with number `after` on; before, it is sound."""

    answer: Answer
    after: int = 0
    seen: int = 0
    true_ms: list[float] = field(default_factory=list)
    url: str = ""
    started: float = 0.0
    random: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - a seeded choice


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, and as much of it as a test needs."""

    def __init__(self, server: Server) -> None:
        self._server, self._read = server, b""
        self.requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, rest = self._read.partition(b"\r\n\r\n")
            lengths = [
                line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
            ]
            length = int(lengths[0]) if lengths else 0
            if len(rest) < length:
                return
            self._read = rest[length:]
            server = self._server
            server.seen += 1
            self.requests += 1
            body = rest[:length] or _OK
            (server.answer if server.seen > server.after else sound())(server, self, body)

    def send(self, body: bytes = _OK, status: str = "200 OK", headers: str = "", length: int | None = None) -> None:
        size = len(body) if length is None else length
        if not self.transport.is_closing():
            self.transport.write(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + body)

    def send_in(self, seconds: float, body: bytes) -> None:
        self._server.true_ms.append(seconds * 1000)
        asyncio.get_running_loop().call_later(seconds, self.send, body) if seconds else self.send(body)


def sound(delay_s: float = 0.0) -> Answer:
    return lambda server, connection, body: connection.send_in(delay_s, body)


def stalls(freeze_s: float, every_s: float, delay_s: float = 0.005) -> Answer:
    """Frozen at the start of each `every_s`; whoever comes then is answered when the freeze is over."""

    def answer(server: Server, connection: _Connection, body: bytes) -> None:
        left = freeze_s - (time.perf_counter() - server.started) % every_s
        connection.send_in(max(left, 0.0) + delay_s, body)

    return answer


def hangs(server: Server, connection: _Connection, body: bytes) -> None:
    """Nothing comes any more."""


def closes(server: Server, connection: _Connection, body: bytes) -> None:
    connection.transport.abort()


def closes_what_is_kept(server: Server, connection: _Connection, body: bytes) -> None:
    """Its answers promise that the connection stays, and the next request on it finds that it does not."""
    connection.send(
        body, headers="Connection: keep-alive\r\n"
    ) if connection.requests == 1 else connection.transport.close()


def errors(server: Server, connection: _Connection, body: bytes) -> None:
    connection.send(b"broken", "500 Internal Server Error")


def wrong_body(server: Server, connection: _Connection, body: bytes) -> None:
    connection.send(b'{"status": "on fire"}')


def no_http(server: Server, connection: _Connection, body: bytes) -> None:
    connection.transport.write(b"\x00\x01 this is no HTTP\r\n\r\n")


def truncates(server: Server, connection: _Connection, body: bytes) -> None:
    connection.send(body, length=len(body) + 10)
    connection.transport.close()


def redirects(server: Server, connection: _Connection, body: bytes) -> None:
    connection.send(b"", "302 Found", "Location: http://example.invalid/\r\n")


def sometimes(share: float, answer: Answer) -> Answer:
    """A share of the requests, and the others are answered."""

    def either(server: Server, connection: _Connection, body: bytes) -> None:
        (answer if server.random.random() < share else sound())(server, connection, body)

    return either


@contextmanager
def unsound(answer: Answer, after: int = 0) -> Iterator[Server]:
    """A server in a thread of its own, which ends with the block."""
    server, listener, ready = Server(answer, after), bound(), threading.Event()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        connections: list[_Connection] = []

        def connect() -> _Connection:
            connections.append(_Connection(server))
            return connections[-1]

        serving = await loop.create_server(connect, sock=listener)
        server.url, server.started = f"http://{HOST}:{listener.getsockname()[1]}", time.perf_counter()
        ready.set()
        await ended.wait()
        serving.close()
        for connection in connections:
            connection.transport.abort()
        await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: (loop.run_until_complete(serve()), loop.close()))
    thread.start()
    try:
        assert ready.wait(5)
        yield server
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(5)
        assert not thread.is_alive()


@contextmanager
def full_queue() -> Iterator[str]:
    """A port that is listened on and never looked after: whoever connects waits."""
    waiting: list[socket.socket] = []
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(0)
        try:
            for _ in range(8):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                with suppress(BlockingIOError):
                    waiting[-1].connect(listener.getsockname())
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            for one in waiting:
                one.close()


def absent() -> str:
    """The address of nobody."""
    with bound() as listener:
        return f"http://{HOST}:{listener.getsockname()[1]}"
