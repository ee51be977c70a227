"""ASGI apps behind real sockets on this machine, which end with whoever started them."""

from __future__ import annotations

import _thread
import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
_START_S, _STOP_S, _TICK_S = 10.0, 5.0, 0.01


# Starlette and uvicorn have names of their own for one thing.
App = Callable[[Any, Any, Any], Awaitable[None]]


def server_of(app: App) -> uvicorn.Server:
    """A quiet server that has not started."""
    import uvicorn

    config = uvicorn.Config(
        app,
        lifespan="on",
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    server.main_loop = partial(_run_until_told, server)  # type: ignore[method-assign]
    server.shutdown = partial(_end, server)  # type: ignore[method-assign]
    return server


def is_here(url: str) -> bool:
    """Whether an address is this machine's own, which no proxy is asked for."""
    return urlsplit(url).hostname in (HOST, "localhost", "::1")


def bound(port: int = 0, host: str = HOST) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError where the port is taken."""
    # The protocol has to be named: asyncio turns Nagle's delay off only where it stands, and 40 ms an answer are lost.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


@contextmanager
def served(app: App) -> Iterator[str]:
    """The URL of an app that a thread of this process serves on a free port; it ends with the block."""
    server, listener = server_of(app), bound()
    ready = threading.Event()
    # In a thread, uvicorn takes no signals; this one shows when it listens.
    thread = threading.Thread(target=_serve, args=(server, listener, ready), daemon=True)
    thread.start()
    try:
        if not ready.wait(_START_S) or not server.started:
            raise RuntimeError("the server on loopback did not start")
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_STOP_S)
        listener.close()


async def _run_until_told(server: uvicorn.Server) -> None:
    """As uvicorn does it, but for what goes by the second; whoever ends the server does not wait for it, either."""
    while not server.should_exit:
        await asyncio.sleep(_TICK_S)


async def _end(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
    """As uvicorn does it, but for its rests of a tenth of a second: answers are finished, then the app is told."""
    state = server.server_state
    for listening in server.servers:
        listening.close()
    for taken in sockets or ():
        taken.close()
    for connection in list(state.connections):
        connection.shutdown()
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(server.config.timeout_graceful_shutdown):
            while state.connections or state.tasks:
                await asyncio.sleep(_TICK_S)
    except TimeoutError:
        for task in state.tasks:
            task.cancel()
    await server.lifespan.shutdown()


def _serve(server: uvicorn.Server, listener: socket.socket, ready: threading.Event) -> None:
    started = server.startup

    async def startup(sockets: list[socket.socket] | None = None) -> None:
        await started(sockets)
        ready.set()

    server.startup = startup  # type: ignore[method-assign]
    try:
        server.run(sockets=[listener])
    finally:
        ready.set()


def end_with_parent(hear: Callable[[bytes], None] | None = None, *, gently: bool = False) -> None:
    """End this process when standard input ends: whoever started it holds the other end of that pipe.

    At once, or `gently`, by SIGTERM, where there is something to tidy up. Until then `hear` is called, in a thread, with
    what comes in.
    """

    def watch() -> None:
        while text := os.read(sys.stdin.fileno(), 1 << 16):
            if hear is not None:
                hear(text)
        if not gently:
            os._exit(0)
        os.kill(os.getpid(), signal.SIGTERM)

    # Not one that `threading` knows of: gevent, which Locust brings, takes over only where there is a single one.
    _thread.start_new_thread(watch, ())
