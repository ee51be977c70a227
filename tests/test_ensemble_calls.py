"""What an observer hears of a call, and that nobody waits for long for a cache."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_artisan.ensemble.answers import CallOutcome
from pytest_artisan.ensemble.breaker import Breaker
from pytest_artisan.ensemble.briefs import WishBrief
from pytest_artisan.ensemble.caches import RedisCache
from pytest_artisan.ensemble.calls import NO_ANSWER, Caller
from pytest_artisan.ensemble.connection import Completion, Connection
from pytest_artisan.ensemble.members import Member, read
from pytest_artisan.ensemble.prompts import brief_task
from pytest_artisan.ensemble.settings import Endpoint
from pytest_artisan.gates.briefing.rig import BRIEF, Heard, ManualClock, Members, Say
from pytest_artisan.loopback import served


class _Ticking(ManualClock):
    """Half a second passes whenever somebody looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self._ticks = count()

    def now(self) -> float:
        return next(self._ticks) / 2


class _Timed(Heard):
    def __init__(self) -> None:
        super().__init__()
        self.seconds = list[float]()

    def called(self, member: str, outcome: CallOutcome, seconds: float) -> None:
        super().called(member, outcome, seconds)
        self.seconds.append(seconds)


@pytest.mark.parametrize(
    ("say", "outcome"),
    [
        (Say(), CallOutcome.ANSWERED),
        (Say(content=f"Gladly: {json.dumps(BRIEF)}"), CallOutcome.REPAIRED),
        (Say(content="{}"), CallOutcome.SCHEMA_FAILURE),
        (Say(422), CallOutcome.REFUSED),
        (Say(503), CallOutcome.FAILED),
        (Say(hang=True), CallOutcome.TIMEOUT),
    ],
)
def test_an_observer_hears_how_a_call_ended_and_how_long_it_took(say: Say, outcome: CallOutcome) -> None:
    heard, clock = _Timed(), _Ticking()

    async def ask(url: str) -> None:
        caller = Caller("primary", Connection(Endpoint(f"{url}/v1", "primary")), clock, heard)
        body = brief_task("a wish").body("primary", "json_schema")
        deadline = 0.2 if say.hang else 30.0
        try:
            await caller.call("chat/completions", body, Completion, partial(read, WishBrief), deadline)
        except NO_ANSWER:
            pass
        finally:
            await caller.aclose()

    with served(Members(always={"primary": say})) as url:
        asyncio.run(ask(url))
    assert heard.calls == [("primary", outcome)]
    assert heard.seconds == [0.5]


def test_pauses_begin_at_half_a_second_and_stray_by_half_of_it() -> None:
    connection = Connection(Endpoint("http://127.0.0.1:1", "primary"))
    caller = Caller("primary", connection, ManualClock(), Heard())
    member = Member(caller, "json_schema", ManualClock(), np.random.default_rng(0))
    first: Any = SimpleNamespace(attempt_number=1, outcome=None)
    pauses = sorted(member._pause(first) for _ in range(1_000))
    assert 0.5 <= pauses[0] < 0.51
    assert 0.74 < pauses[-1] <= 0.75


def test_a_cache_that_hangs_is_not_waited_for() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def live() -> None:
        async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
            cache = RedisCache(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", 300, Breaker(ManualClock()))
            async with asyncio.timeout(10):
                assert await cache.get("a") is None
                await cache.put("a", b"1")
            await cache.aclose()

    asyncio.run(live())
