"""Visitors on kept connections who send nothing twice, and two slots that say who they are."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from pytest_artisan.loopback import App, served

_TIMEOUT_S = 10.0


class Visits:
    """How often each body came, and what became of every request that had no 200; nothing of it is lost."""

    def __init__(self, url: str, path: str) -> None:
        self.answered: Counter[str] = Counter()
        self.failed: list[str] = []
        self.going = True
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), parts.port
        self._request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()

    @property
    def sent(self) -> int:
        return self.answered.total() + len(self.failed)

    def wait(self, requests: int) -> None:
        """Until so many more requests have got an answer, or none."""
        goal, deadline = self.sent + requests, time.monotonic() + _TIMEOUT_S
        while self.sent < goal:
            assert time.monotonic() < deadline, f"{self.sent} of {goal} requests, {self.failed[-3:]}"
            time.sleep(0.001)

    def share(self, requests: int, connections: int = 1) -> Counter[str]:
        """The bodies of so many requests, one after the other on each connection."""
        before = self.answered.copy()
        asyncio.run(self.visit(connections, requests // connections))
        assert not self.failed
        return self.answered - before

    async def visit(self, connections: int, requests: int | None = None) -> None:
        """Visit until told to stop, or so many times on each connection."""
        await asyncio.gather(*(self._visitor(requests) for _ in range(connections)))

    async def _visitor(self, requests: int | None) -> None:
        left = requests
        while self.going and left != 0:
            try:
                left = await self._connection(left)
            except (OSError, EOFError, ValueError, TimeoutError) as error:
                self.failed.append(f"{type(error).__name__}: {error}")
                left = left and left - 1

    async def _connection(self, left: int | None) -> int | None:
        """Visits on one connection, until the server says that it closes it; what is left to do."""
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            while self.going and left != 0:
                async with asyncio.timeout(_TIMEOUT_S):
                    head, body = await self._ask(reader, writer)
                if " 200 " in head.partition("\r\n")[0]:
                    self.answered[body] += 1
                else:
                    self.failed.append(head.partition("\r\n")[0])
                left = left and left - 1
                if "connection: close" in head.lower():
                    break
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        return left

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, str]:
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        [length] = [int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        return head, (await reader.readexactly(length)).decode()


@contextmanager
def visiting(url: str, path: str = "/", connections: int = 8) -> Iterator[Visits]:
    """Visitors in a thread, who ask again as soon as they have an answer; all have one when this ends."""
    visits = Visits(url, path)
    thread = threading.Thread(target=lambda: asyncio.run(visits.visit(connections)), daemon=True)
    thread.start()
    try:
        yield visits
    finally:
        visits.going = False
        thread.join(2 * _TIMEOUT_S)
        assert not thread.is_alive()


def slot_app(name: str, held: threading.Event) -> App:
    """An app that answers with its name, to `/slow` once nobody holds it any more."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": (await receive())["type"] + ".complete"})
            return
        while scope["path"] == "/slow" and not held.is_set():
            await asyncio.sleep(0.005)
        length = str(len(name)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": name.encode()})

    return app


@contextmanager
def slots(held: threading.Event | None = None) -> Iterator[tuple[str, str]]:
    """The URLs of blue and green, which answer with their names; to `/slow` from when `held` is set."""
    event = held or threading.Event()
    with served(slot_app("blue", event)) as blue, served(slot_app("green", event)) as green:
        yield blue, green
