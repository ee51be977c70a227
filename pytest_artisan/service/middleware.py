"""What stands around every request: its measurement, the limit of its body, and the answer where the app fails."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pytest_artisan.service.cohorts import begun
from pytest_artisan.service.errors import error_response
from pytest_artisan.service.metrics import Metrics

MOST_BYTES: Final = 64 * 1024
# Anything else that a client sends would be one label value each.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_WITHOUT_BODY = frozenset({"GET", "HEAD"})
_LOG = logging.getLogger(__name__)


class Around:
    """Plain ASGI: a request costs a few microseconds more."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, gone, method = perf_counter(), 0, False, scope["method"]
        limited, asked = _limited(receive), begun()

        async def receiving() -> Message:
            nonlocal gone
            message = await limited()
            gone = message["type"] == "http.disconnect"
            return message

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive if method in _WITHOUT_BODY else receiving, sending)
        except Exception:
            if status:
                # The answer has begun; the server has to break it off.
                raise
            _LOG.exception("%s %s", method, _route(scope))
            await error_response(500)(scope, receive, sending)
        finally:
            known = method if method in _METHODS else "other"
            # 499: the client was gone before there was an answer, whatever the app says to half a body.
            told = 499 if gone or not status else status
            seconds = perf_counter() - started
            self._metrics.request(known, _route(scope), told, seconds)
            self._metrics.cohorts.answered(asked, told, seconds)


def _route(scope: Scope) -> str:
    """The template of the address, such as /dna/{id}; all unknown addresses are one."""
    route = scope.get("route")
    return "unknown" if route is None else str(route.path)


def _limited(receive: Receive) -> Receive:
    """`receive` for bodies of at most MOST_BYTES."""
    received = 0

    async def receiving() -> Message:
        nonlocal received
        message = await receive()
        body = message.get("body", b"")
        received += len(body)
        if received > MOST_BYTES:
            raise HTTPException(413)
        # JSON in UTF-16 or UTF-32, which Python would take, has them; in UTF-8 it never does.
        if b"\0" in body:
            raise HTTPException(400)
        return message

    return receiving
