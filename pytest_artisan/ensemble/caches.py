"""Where answers are kept: this process's memory, or Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import redis.asyncio as redis
from cachetools import TTLCache
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from pytest_artisan.clock import Clock
from pytest_artisan.ensemble.breaker import Breaker, Unavailable
from pytest_artisan.settings import SettingsError

# How many times as long as an answer is fresh it is kept, for when nobody else answers.
KEPT = 24
_ENTRIES = 10_000
_PATIENCE_S = 0.25
_PREFIX = "artisan:brief:"


class Cache(Protocol):
    """Contents by key; nothing here is trusted, and a cache that fails is one that has nothing."""

    async def get(self, key: str) -> tuple[bytes, bool] | None:
        """What was kept, and whether it is fresh."""
        ...

    async def put(self, key: str, content: bytes) -> None: ...

    async def aclose(self) -> None: ...


class MemoryCache:
    """The last 10,000 contents, fresh for `ttl` seconds of the clock."""

    def __init__(self, ttl: float, clock: Clock) -> None:
        self._ttl, self._clock = ttl, clock
        self._kept: TTLCache[str, tuple[bytes, float]] = TTLCache(_ENTRIES, ttl * KEPT, timer=clock.now)

    async def get(self, key: str) -> tuple[bytes, bool] | None:
        found = self._kept.get(key)
        return None if found is None else (found[0], self._clock.now() < found[1])

    async def put(self, key: str, content: bytes) -> None:
        self._kept[key] = content, self._clock.now() + self._ttl

    async def aclose(self) -> None:
        self._kept.clear()


class RedisCache:
    """A Redis server that several processes share; its own clock says what is fresh. Raises SettingsError."""

    def __init__(self, url: str, ttl: float, breaker: Breaker) -> None:
        self._ttl_ms, self._breaker = round(ttl * 1000), breaker
        try:
            self._client = redis.Redis.from_url(
                url,
                socket_timeout=_PATIENCE_S,
                socket_connect_timeout=_PATIENCE_S,
                retry=Retry(NoBackoff(), 0),
            )
            # An option that there is not would else show with the first wish.
            self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError) as error:
            raise SettingsError(f"llm.cache_url: {error}") from None

    async def get(self, key: str) -> tuple[bytes, bool] | None:
        with suppress(Unavailable), self._guarding():
            both = self._client.pipeline()
            both.get(_PREFIX + key)
            both.pttl(_PREFIX + key)
            content, left = await both.execute()
            return None if not isinstance(content, bytes) else (content, left > self._ttl_ms * (KEPT - 1))
        return None

    async def put(self, key: str, content: bytes) -> None:
        with suppress(Unavailable), self._guarding():
            await self._client.set(_PREFIX + key, content, px=self._ttl_ms * KEPT)

    async def aclose(self) -> None:
        await self._client.aclose()

    @contextmanager
    def _guarding(self) -> Iterator[None]:
        with self._breaker.guarding():
            try:
                yield
            # The last two come from the client where what answers is no Redis.
            except (RedisError, OSError, ValueError, TypeError) as error:
                raise Unavailable(str(error)) from None
