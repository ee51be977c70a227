"""Bytes from an HTTP service that may fail: asked again where that may help, all of it within a time and a size."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urlsplit

from pytest_artisan import waiting
from pytest_artisan.audit.budget import Budget
from pytest_artisan.audit.inventory import NoAudit
from pytest_artisan.clock import asked_pause
from pytest_artisan.loopback import is_here

if TYPE_CHECKING:
    import httpx2
    from tenacity import RetryCallState

CONNECTIONS = 8
# What is packed in another way, or twice, may grow beyond all bounds before anybody can count it.
_PACKINGS = frozenset({"", "identity", "gzip"})
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": "pytest-artisan",
}
_TRIES = 3
_PASSING = frozenset({429, 500, 502, 503, 504})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0

_Answer = TypeVar("_Answer")


class _Passing(Exception):
    """A fault that may be over soon; the service asked for a pause of so many seconds."""

    def __init__(self, text: str, pause_s: float = 0.0) -> None:
        super().__init__(text)
        self.pause_s = pause_s


class Service:
    """Posts to one address, which its `base` names for people. It has to be used as an async context manager."""

    def __init__(self, base: str, path: str, budget: Budget) -> None:
        import httpx2

        self._base, self._url, self._budget = base, base + path, budget
        try:
            self._client = httpx2.AsyncClient(
                # A proxy from the environment is for the world outside; what runs on this machine is asked directly.
                trust_env=not is_here(base),
                timeout=None,  # the budget is the time limit: one a step would let a slow drip go on for ever
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=CONNECTIONS),
                headers=_HEADERS,
            )
        except (ValueError, ImportError, OSError, httpx2.InvalidURL) as error:
            # Without its text, which quotes the proxy's address and its password.
            why = f"the environment's proxy or certificates can not be used ({type(error).__name__})"
            raise NoAudit(f"{base}: {why}") from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def post(self, body: bytes, most: int) -> bytes:
        """What it answers with status 200, at most so many bytes; a second and a third try where the fault may pass.

        Raises NoAudit for anything else, except for the end of the budget, which the caller has to keep.
        """
        from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

        jitter = wait_random_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Passing),
            wait=lambda state: max(_asked_pause(state), jitter(state)),
            stop=lambda state: state.attempt_number >= _TRIES or state.upcoming_sleep > self._budget.left(),
            sleep=self._budget.clock.sleep,
            reraise=True,
        )
        try:
            return await retrying(self._once, body, most)
        except _Passing as error:
            raise NoAudit(f"{self._base}: {error}") from None

    async def _once(self, body: bytes, most: int) -> bytes:
        import httpx2

        try:
            async with self._client.stream("POST", self._url, content=body) as response:
                self._check(response)
                content = bytearray()
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > most:
                        raise NoAudit(f"{self._base}: answers with too much, more than {most:,} bytes")
                return bytes(content)
        except httpx2.ConnectError as error:
            raise _Passing(f"can not be reached: {_cause(error)}") from None
        except httpx2.TransportError as error:
            raise _Passing(f"breaks off: {_cause(error)}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise NoAudit(f"{self._base}: gives no answer that can be read: {error}") from None

    def _check(self, response: httpx2.Response) -> None:
        """Raises _Passing or NoAudit where it is no answer."""
        status = response.status_code
        if status in _PASSING:
            pause = asked_pause(response.headers)
            asks = f", and asks to wait for {pause:g} s" if pause else ""
            raise _Passing(f"answers with status {status}{asks}", pause)
        if 300 <= status < 400:
            raise NoAudit(f"{self._base}: sends to {self._target(response)}, and no redirect is followed")
        if status != 200:
            raise NoAudit(f"{self._base}: answers with status {status}")
        packing = response.headers.get("Content-Encoding", "").lower()
        if packing not in _PACKINGS:
            raise NoAudit(f"{self._base}: answers with a content of {packing!r}, and was asked for gzip")

    def _target(self, response: httpx2.Response) -> str:
        """The host that a redirect names, alone: the rest of the address may hold what nobody should read."""
        try:
            target = urlsplit(response.headers.get("Location", "")).hostname
        except ValueError:
            return "a place that is none"
        return "itself" if target in (None, urlsplit(self._base).hostname) else f"another host, {target}"


def within(budget: Budget, base: str, ask: Callable[[], Coroutine[None, None, _Answer]]) -> _Answer:
    """What a coroutine gives within what is left of a budget. Raises NoAudit, which names the `base`, where it is late."""
    try:
        return waiting.within(budget.left(), ask)
    except TimeoutError:
        raise NoAudit(f"{base}: gives no whole answer within {budget.seconds:g} s") from None
    except BaseExceptionGroup as group:
        # Whoever came first says why; the others were cancelled, or met the same.
        error = group.exceptions[0]
        raise error from None


def _asked_pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    return error.pause_s if isinstance(error, _Passing) else 0.0


def _cause(error: BaseException) -> str:
    """What the system said, below all that libraries made of it."""
    seen, at = str(error) or type(error).__name__, error.__cause__ or error.__context__
    while at is not None:
        if isinstance(at, BaseExceptionGroup):
            at = at.exceptions[0]
            continue
        if isinstance(at, ssl.SSLError):
            return at.reason or str(at)
        if isinstance(at, OSError) and at.errno is not None:
            return (at.strerror if at.errno < 0 else os.strerror(at.errno)) or str(at)
        at = at.__cause__ or at.__context__
    return seen
