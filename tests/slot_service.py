"""A service of one file for a slot: `python slot_service.py PORT VERSION [FAULT]` says what version it is, to everybody.

FAULT: `unready` answers 503 to /health/ready, `deaf` ignores SIGTERM. On SIGTERM it finishes what it was asked within a quarter of a second.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys


def free_urls() -> tuple[str, str]:
    """Where two services may listen: on free ports of this machine, which nobody holds until they do."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        first, second = (f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in (one, two))
    return first, second


class Service:
    """HTTP/1.1 on kept connections; a path that begins with /slow takes a tenth of a second."""

    def __init__(self, version: str, fault: str) -> None:
        self.version, self.fault = version, fault
        self.ending = asyncio.Event()
        self.open: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            while not self.ending.is_set():
                asked = await reader.readuntil(b"\r\n\r\n")
                status, body = await self.answer(asked.split(b" ")[1].decode())
                writer.write(f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                await writer.drain()
        except (EOFError, OSError):
            pass
        finally:
            self.open.discard(task)
            writer.close()

    async def answer(self, path: str) -> tuple[int, str]:
        if path == "/health":
            return 200, json.dumps({"status": "ok", "version": self.version, "pid": os.getpid()})
        if path == "/health/ready":
            return (503 if self.fault == "unready" else 200), ""
        if path.startswith("/slow"):
            await asyncio.sleep(0.1)
        return 200, self.version

    async def serve(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: None if self.fault == "deaf" else self.ending.set())
        server = await asyncio.start_server(self.connected, "127.0.0.1", port)
        await self.ending.wait()
        server.close()
        # Whoever has not asked by now will ask elsewhere.
        await asyncio.sleep(0.25)
        for task in self.open:
            task.cancel()


if __name__ == "__main__":
    port, version, *fault = sys.argv[1:]
    asyncio.run(Service(version, "".join(fault)).serve(int(port)))
