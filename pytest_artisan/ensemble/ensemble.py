"""The ensemble: it routes a wish, asks its members, and always answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from pytest_artisan.clock import Clock, SystemClock
from pytest_artisan.ensemble.alike import Alike
from pytest_artisan.ensemble.answers import (
    MODES,
    ROLES,
    WHOLE,
    Answer,
    CallOutcome,
    Conduct,
    Mode,
    Observer,
    Outcome,
    Role,
    Source,
)
from pytest_artisan.ensemble.breaker import Breaker
from pytest_artisan.ensemble.briefs import DEFAULT_BRIEF, Hints, WishBrief
from pytest_artisan.ensemble.caches import Cache, MemoryCache, RedisCache
from pytest_artisan.ensemble.calls import NO_ANSWER, Caller, Reply
from pytest_artisan.ensemble.connection import Connection
from pytest_artisan.ensemble.members import Member
from pytest_artisan.ensemble.prompts import brief_task, check_task, hints_task
from pytest_artisan.ensemble.settings import Endpoint, EnsembleSettings
from pytest_artisan.ensemble.wishes import Keys, language_of, may_be_alike, mode_of, normalised


class Unobserved:
    """An observer that lets all pass."""

    def called(self, member: str, outcome: CallOutcome, seconds: float) -> None: ...

    def answered(self, mode: str, outcome: Outcome, seconds: float) -> None: ...

    def breaker(self, member: str, state: str) -> None: ...


class Question(NamedTuple):
    """A normalised wish, and how it is to be answered."""

    text: str
    mode: Mode
    key: str
    conduct: Conduct


class Ensemble:
    """See `answers.Answering`. One event loop owns it; close it when done. Raises SettingsError."""

    def __init__(
        self,
        settings: EnsembleSettings,
        *,
        clock: Clock | None = None,
        observer: Observer | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        self._settings, self._clock = settings, clock or SystemClock()
        self._observer, self._rng = observer or Unobserved(), rng or np.random.default_rng()
        self._keys = Keys(settings.members)
        self._members = {role: self._member(role, settings.members[role]) for role in ROLES}
        self._cache = self._make_cache()
        self._alike = None
        if settings.embedding is not None:
            self._alike = Alike(self._caller("embedding", settings.embedding), self._clock)
        self._flights: dict[Question, asyncio.Task[Answer]] = {}

    def _make_cache(self) -> Cache:
        url, ttl = self._settings.cache_url, self._settings.ttl
        if url is None:
            return MemoryCache(ttl, self._clock)
        return RedisCache(url, ttl, Breaker(self._clock, lambda state: self._observer.breaker("cache", state)))

    def _caller(self, member: str, endpoint: Endpoint) -> Caller:
        return Caller(member, Connection(endpoint), self._clock, self._observer)

    def _member(self, role: Role, endpoint: Endpoint) -> Member:
        return Member(self._caller(role, endpoint), self._settings.response_format, self._clock, self._rng)

    async def answer(self, wish: str, mode: Mode | None = None, conduct: Conduct = WHOLE) -> Answer:
        """A brief for the wish, in the mode that is asked for or that suits its length. Raises WishError."""
        started, text = self._clock.now(), normalised(wish)
        chosen = mode_of(text, mode)
        if not conduct.ensemble:
            # All that a single member can do.
            chosen = "fast"
        asked = Question(text, chosen, self._keys.of(text, chosen), conduct)
        brief = await self._kept(asked)
        if brief is None:
            flight = self._flights.get(asked)
            if flight is None:
                # A task of its own: whoever asked first may go away, the others still wait for it.
                flight = self._flights[asked] = asyncio.create_task(self._look_up(asked))
                flight.add_done_callback(lambda _: self._flights.pop(asked, None))
            answer = await asyncio.shield(flight)
        else:
            answer = Answer(brief, chosen, Source.CACHE, Outcome.CACHED, asked.key)
        self._observer.answered(chosen, answer.outcome, self._clock.now() - started)
        return answer

    async def _look_up(self, asked: Question) -> Answer:
        text, mode, key, conduct = asked
        # What is looked up first takes of the same time.
        deadline = self._clock.now() + self._settings.timeouts[mode]
        # Again: another flight for this wish may have landed since.
        brief = await self._kept(asked)
        vector, kind = None, f"{mode} {language_of(text)}"
        if brief is None and conduct.cache and self._alike is not None and may_be_alike(text):
            vector = await self._alike.embed(text)
            near = None if vector is None else self._alike.nearest(kind, vector)
            brief = None if near is None else await self._kept(asked._replace(key=near))
        if brief is not None:
            return Answer(brief, mode, Source.CACHE, Outcome.CACHED, key)
        answer = await self._ask(asked, deadline)
        # What stood in, or lacks something, must not stay when the members are back.
        if conduct.cache and answer.outcome in (Outcome.RAW, Outcome.REPAIRED) and not answer.remarks:
            await self._cache.put(key, answer.brief.model_dump_json().encode())
            if self._alike is not None and vector is not None:
                self._alike.remember(kind, key, vector)
        return answer

    async def _kept(self, asked: Question, *, outdated: bool = False) -> WishBrief | None:
        found = await self._cache.get(asked.key) if asked.conduct.cache else None
        if found is None or not (found[1] or outdated):
            return None
        try:
            return _parsed(found[0])
        except ValidationError:
            return None

    async def _ask(self, asked: Question, deadline: float) -> Answer:
        if asked.mode != "creative":
            return await self._brief(asked, deadline)
        # The hints need the wish alone, so nobody waits for the brief to ask for them.
        answer, (hints, remarks) = await asyncio.gather(self._brief(asked, deadline), self._hints(asked, deadline))
        brief = answer.brief.model_copy(update={"hints": hints})
        return replace(answer, brief=brief, remarks=(*answer.remarks, *remarks))

    async def _brief(self, asked: Question, deadline: float) -> Answer:
        written = await self._written(asked, deadline)
        if written is None:
            return await self._without_members(asked)
        role, reply = written
        brief = reply.content.model_copy(update={"hints": ()})
        outcome = Outcome.FALLBACK if role != ROLES[0] else _outcome(reply)
        answer = Answer(brief, asked.mode, Source(role), outcome, asked.key)
        return answer if asked.mode == "fast" else await self._checked(asked, answer, deadline)

    async def _written(self, asked: Question, deadline: float) -> tuple[Role, Reply[WishBrief]] | None:
        """The first brief that comes: the next member is asked when one fails or, where hedging is on, takes long."""
        writing: dict[asyncio.Task[Reply[WishBrief]], Role] = {}
        roles = ROLES if asked.conduct.ensemble else ROLES[:1]
        try:
            for role, until in self._turns(roles, deadline):
                reply = self._members[role].ask(brief_task(asked.text), WishBrief, until, guarded=asked.conduct.breaker)
                writing[asyncio.create_task(reply)] = role
                patience = self._patience(role == roles[-1])
                try:
                    answered = await _first_of(writing, patience)
                finally:
                    patience.cancel()
                if answered is not None:
                    return answered
            return None
        finally:
            for task in writing:
                task.cancel()

    def _patience(self, last: bool) -> asyncio.Future[None]:
        """Done when it is time to ask the next member, too; never where that is not wanted, or nobody is left."""
        if self._settings.hedge_after is None or last:
            return asyncio.get_running_loop().create_future()
        return asyncio.create_task(self._clock.sleep(self._settings.hedge_after))

    def _turns(self, roles: Sequence[Role], deadline: float) -> Iterator[tuple[Role, float]]:
        """Who may answer until when: each has half of what is left, so that the next one has time, and the last all."""
        for role in roles:
            now = self._clock.now()
            yield role, deadline if role == roles[-1] else now + (deadline - now) / 2

    async def _checked(self, asked: Question, answer: Answer, deadline: float) -> Answer:
        if answer.source is Source.VALIDATOR:
            return replace(answer, remarks=("the validator's model wrote it, so nobody checked it",))
        try:
            reply = await self._members["validator"].ask(
                check_task(asked.text, answer.brief), WishBrief, deadline, guarded=asked.conduct.breaker
            )
        except NO_ANSWER as error:
            return replace(answer, remarks=(f"validator: {error}",))
        outcome = _outcome(reply) if answer.outcome is Outcome.RAW else answer.outcome
        return replace(answer, brief=_corrected(answer.brief, reply.content), outcome=outcome)

    async def _hints(self, asked: Question, deadline: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The hints, or a remark that says why there are none."""
        try:
            reply = await self._members["creative"].ask(
                hints_task(asked.text), Hints, deadline, guarded=asked.conduct.breaker
            )
        except NO_ANSWER as error:
            return (), (f"creative: {error}",)
        return reply.content.hints, ()

    async def _without_members(self, asked: Question) -> Answer:
        text, mode, key, _ = asked
        for kept in dict.fromkeys((mode, *MODES)):
            brief = await self._kept(asked._replace(key=self._keys.of(text, kept)), outdated=True)
            if brief is not None:
                return Answer(
                    brief, mode, Source.CACHE, Outcome.FALLBACK, key, ("no member answered: an earlier brief",)
                )
        brief = DEFAULT_BRIEF.model_copy(update={"language": language_of(text)})
        remark = "no member answered: a brief for nobody in particular, which knows nothing of what the wish forbids"
        return Answer(brief, mode, Source.DEFAULT, Outcome.DEFAULT, key, (remark,))

    async def aclose(self) -> None:
        for flight in self._flights.values():
            flight.cancel()
        await asyncio.gather(*self._flights.values(), return_exceptions=True)
        for member in self._members.values():
            await member.aclose()
        await self._cache.aclose()
        if self._alike is not None:
            await self._alike.aclose()


async def _first_of(
    asked: dict[asyncio.Task[Reply[WishBrief]], Role], patience: asyncio.Future[None]
) -> tuple[Role, Reply[WishBrief]] | None:
    """Who answers first; None when all have failed, or patience has ended. Whoever is done is no longer among `asked`."""
    while asked and not patience.done():
        waited: set[asyncio.Future[Any]] = {*asked, patience}
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        for task in [task for task in asked if task in done]:
            role = asked.pop(task)
            try:
                return role, task.result()
            except NO_ANSWER:
                continue
    return None


# What was kept, read once: most answers come from few contents.
_parsed = lru_cache(1_000)(WishBrief.model_validate_json)


def _outcome(reply: Reply[WishBrief]) -> Outcome:
    return Outcome.REPAIRED if reply.repaired else Outcome.RAW


def _corrected(written: WishBrief, checked: WishBrief) -> WishBrief:
    """The checked brief; it may forbid more than the one that was written, never less."""
    forbidden = dict.fromkeys((*written.forbidden_ingredients, *checked.forbidden_ingredients))
    ceiling = min(written.allergen_ceiling, checked.allergen_ceiling)
    return checked.model_copy(
        update={"forbidden_ingredients": tuple(forbidden), "allergen_ceiling": ceiling, "hints": ()}
    )
