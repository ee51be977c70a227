"""A service that is healthy, and slower than it may be: for drills."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytest_artisan.gates.tables import LoadSmoke
from pytest_artisan.loopback import served

_DELAY_S = 0.1
_PLANTED = LoadSmoke(rps=100, duration="3s", warmup_s=0.2, p95_ms=50, deadline_s=5)


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": f"{(await receive())['type']}.complete"})
        return
    await asyncio.sleep(_DELAY_S)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def laggard() -> Iterator[tuple[str, LoadSmoke]]:
    """Its address, and a table whose limit it does not keep."""
    with served(_app) as url:
        yield f"{url}/", _PLANTED
