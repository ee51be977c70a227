"""The service's ensemble with a planted fault each, for drills and tests: the gate has to say NO-GO to every one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tenacity import RetryCallState

from pytest_artisan.ensemble.alike import Alike, Vector
from pytest_artisan.ensemble.answers import ROLES, WHOLE, Answer, Conduct, Mode, Role
from pytest_artisan.ensemble.breaker import Breaker
from pytest_artisan.ensemble.caches import Cache, MemoryCache
from pytest_artisan.ensemble.calls import Caller
from pytest_artisan.ensemble.ensemble import Ensemble, Question
from pytest_artisan.ensemble.members import Member
from pytest_artisan.ensemble.settings import Endpoint, EnsembleSettings
from pytest_artisan.gates.briefing.rig import Factory, ManualClock, Members, Say, told_settings
from pytest_artisan.loopback import served

__all__ = ["BY_SCENARIO", "Ensemble", "ManualClock", "Slow", "members"]


class Hurried(Ensemble):
    """It asks the primary member alone, whatever the wish."""

    async def answer(self, wish: str, mode: Mode | None = None, conduct: Conduct = WHOLE) -> Answer:
        return await super().answer(wish, "fast", conduct)


class Unchecked(Ensemble):
    """It believes whoever wrote the brief."""

    async def _checked(self, asked: Question, answer: Answer, deadline: float) -> Answer:
        return answer


class _Once(Member):
    def _pause(self, state: RetryCallState) -> float:
        return math.inf


class Discouraged(Ensemble):
    """It asks nobody twice."""

    def _member(self, role: Role, endpoint: Endpoint) -> Member:
        return _Once(self._caller(role, endpoint), "json_schema", self._clock, self._rng)


class Lonely(Ensemble):
    """It knows nobody but the primary member."""

    def _turns(self, roles: Sequence[Role], deadline: float) -> Iterator[tuple[Role, float]]:
        yield "primary", deadline


class _NeverOpen(Breaker):
    @contextmanager
    def guarding(self) -> Iterator[None]:
        yield


class Fearless(Ensemble):
    """Its breakers never open."""

    def _caller(self, member: str, endpoint: Endpoint) -> Caller:
        caller = super()._caller(member, endpoint)
        caller._breaker = _NeverOpen(self._clock)
        return caller


class Helpless(Ensemble):
    """It raises where no member answers."""

    async def _without_members(self, asked: Question) -> Answer:
        raise ConnectionError("no member answered")


class _Eternal(MemoryCache):
    async def get(self, key: str) -> tuple[bytes, bool] | None:
        found = await super().get(key)
        return None if found is None else (found[0], True)


class Nostalgic(Ensemble):
    """Its cache ignores how old an answer is."""

    def _make_cache(self) -> Cache:
        return _Eternal(self._settings.ttl, self._clock)


class _Unseen(dict[Question, asyncio.Task[Answer]]):
    def get(self, key: Question, default: Any = None) -> Any:
        return default


class Crowded(Ensemble):
    """Everybody who asks makes a call, also for what somebody else just asked."""

    def __init__(self, settings: EnsembleSettings, **options: Any) -> None:
        super().__init__(settings, **options)
        self._flights = _Unseen()


class _Anything(Alike):
    def nearest(self, kind: str, vector: Vector) -> str | None:
        return next(iter(self._known.get(kind, ())), None)


class Vague(Ensemble):
    """All wishes are alike to it."""

    def __init__(self, settings: EnsembleSettings, **options: Any) -> None:
        super().__init__(settings, **options)
        if settings.embedding is not None:
            self._alike = _Anything(self._caller("embedding", settings.embedding), self._clock)


class Echoing(Ensemble):
    """It hands on what a stranger wrote."""

    async def answer(self, wish: str, mode: Mode | None = None, conduct: Conduct = WHOLE) -> Answer:
        answer = await super().answer(wish, mode, conduct)
        return replace(answer, brief=answer.brief.model_copy(update={"hints": (wish,)}))


class Slow(Ensemble):
    """It takes its time, more than any mode has."""

    async def answer(self, wish: str, mode: Mode | None = None, conduct: Conduct = WHOLE) -> Answer:
        await self._clock.sleep(7)
        return await super().answer(wish, mode, conduct)


@contextmanager
def members(*, wrong: bool) -> Iterator[EnsembleSettings]:
    """Settings of members that always say the same, or something `wrong`."""
    said = Members()
    if wrong:
        said.always.update(dict.fromkeys(ROLES, Say(content='{"mood": 1}')))
    with served(said) as url:
        yield told_settings(url)


BY_SCENARIO: dict[str, Factory] = {
    "routing": Hurried,
    "pipeline": Unchecked,
    "retries": Discouraged,
    "fallbacks": Lonely,
    "breaker": Fearless,
    "all down": Helpless,
    "cache": Nostalgic,
    "herd": Crowded,
    "alike": Vague,
    "hostile wishes": Echoing,
}
