"""A service that answers everything with 200, and nothing as it should: for drills."""

from __future__ import annotations

from typing import Any

_HEALTHY = b'{"status": "ok", "version": "0.0.0", "model_snapshot": "000000000000"}'


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI app that is healthy, and has nothing else to say."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": f"{(await receive())['type']}.complete"})
        return
    body = _HEALTHY if scope["path"].startswith("/health") else b'{"id": 1, "composition": []}'
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
