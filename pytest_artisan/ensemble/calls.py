"""Calls to an endpoint that a breaker guards and an observer hears of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from pytest_artisan.clock import Clock
from pytest_artisan.ensemble.answers import CallOutcome, Observer
from pytest_artisan.ensemble.breaker import Breaker, Unavailable
from pytest_artisan.ensemble.connection import Connection, Late, Refused

Content = TypeVar("Content")
_Envelope = TypeVar("_Envelope", bound=msgspec.Struct)


class SchemaFailure(Exception):
    """The endpoint answered something else than what it was asked for."""


# Why nobody answered: what a caller can go on from.
NO_ANSWER = (Unavailable, Refused, SchemaFailure)
_ENDS = {Late: CallOutcome.TIMEOUT, Refused: CallOutcome.REFUSED, SchemaFailure: CallOutcome.SCHEMA_FAILURE}


@dataclass(frozen=True, slots=True)
class Reply(Generic[Content]):
    """What was said, and whether something had to be taken off around it."""

    content: Content
    repaired: bool = False


class Caller:
    """One call at a time or many; `member` is its name for the observer."""

    def __init__(self, member: str, connection: Connection, clock: Clock, observer: Observer) -> None:
        self._member, self._connection, self._clock, self._observer = member, connection, clock, observer
        self._breaker = Breaker(clock, lambda state: observer.breaker(member, state))

    @property
    def model(self) -> str:
        return self._connection.model

    async def call(
        self,
        path: str,
        body: dict[str, Any],
        kind: type[_Envelope],
        read: Callable[[_Envelope], Reply[Content]],
        deadline: float,
        *,
        guarded: bool = True,
    ) -> Reply[Content]:
        """What `read` makes of the answer, by `deadline` of the clock; raises one of NO_ANSWER.

        Where it is not `guarded`, the breaker neither stops the call nor hears how it ended.
        """
        started = self._clock.now()
        if started >= deadline:
            # Nobody is asked, so nobody has failed.
            raise Late("no time is left")
        guard: AbstractContextManager[None] = self._breaker.guarding() if guarded else nullcontext()
        with guard:
            try:
                reply = read(await self._connection.post(path, body, kind, deadline - started))
            except NO_ANSWER as error:
                self._heard(_ENDS.get(type(error), CallOutcome.FAILED), started)
                raise
            self._heard(CallOutcome.REPAIRED if reply.repaired else CallOutcome.ANSWERED, started)
            return reply

    def _heard(self, outcome: CallOutcome, started: float) -> None:
        self._observer.called(self._member, outcome, self._clock.now() - started)

    async def aclose(self) -> None:
        await self._connection.aclose()
