"""The service's rate beside a bare app's, and how soon it is ready: `python benchmarks/service.py`.

The peer is FastAPI itself: an app with the same models on the same server, which answers with what it was given at its
start. Both are asked in turn, over the same number of kept connections.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx2
from fastapi import FastAPI
from moga import spread, table

from pytest_artisan.loopback import HOST, bound, end_with_parent, server_of
from pytest_artisan.service.contract import CreateRequest, Dna, Health
from pytest_artisan.service.launcher import launched

ROUNDS, REQUESTS, CONNECTIONS = 15, 2_000, 8
STARTS = 5
WISH = {"wish": "fresh citrus and warm wood"}
ROUTES = {"GET /health": b"", "POST /dna/create, again": json.dumps(WISH).encode()}


def bare(dna: str) -> None:
    """Serve what was made elsewhere, with the models alone; end with standard input."""
    app, made, healthy = FastAPI(), Dna.model_validate_json(dna), Health(version="0", model_snapshot="0")

    @app.get("/health", response_model=Health)
    async def health() -> Health:
        return healthy

    @app.post("/dna/create", response_model=Dna)
    async def create(body: CreateRequest) -> Dna:
        return made

    listener = bound()
    print(f"http://{HOST}:{listener.getsockname()[1]}", flush=True)
    end_with_parent()
    server_of(app).run(sockets=[listener])


@contextmanager
def bare_url(dna: str) -> Iterator[str]:
    command = [sys.executable, __file__, dna]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


async def rate(url: str, route: str, body: bytes) -> float:
    """Answers a second."""
    parts, (method, path) = urlsplit(url), route.removesuffix(", again").split(" ")
    asked = (
        f"{method} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body

    async def ask(times: int) -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for _ in range(times):
            writer.write(asked)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head, head
            [length] = [int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
            await reader.readexactly(length)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(ask(REQUESTS // CONNECTIONS) for _ in range(CONNECTIONS)))
    return REQUESTS / (time.perf_counter() - started)


def main() -> None:
    starts = []
    for _ in range(STARTS):
        started = time.perf_counter()
        with launched():
            starts.append(time.perf_counter() - started)
    with ExitStack() as running:
        service = running.enter_context(launched()).url
        dna = httpx2.post(f"{service}/dna/create", json=WISH, trust_env=False, timeout=30).raise_for_status().text
        peer = running.enter_context(bare_url(dna))
        rows = []
        for route, body in ROUTES.items():
            ours, theirs = [], []
            for number in range(ROUNDS + 1):
                mine, other = asyncio.run(rate(service, route, body)), asyncio.run(rate(peer, route, body))
                if number:  # the first round warms up
                    ours.append(mine)
                    theirs.append(other)
            ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
            rows.append((route, spread(ours), spread(theirs), spread(ratios)))
    table(f"Answers a second, {ROUNDS} rounds; goal: 0.9", ("route", "service", "bare FastAPI", "ratio"), rows)
    table(f"Seconds until it is ready, {STARTS} starts; goal: 2", ("start",), [(spread(starts),)])


if __name__ == "__main__":
    bare(sys.argv[1]) if sys.argv[1:] else main()
