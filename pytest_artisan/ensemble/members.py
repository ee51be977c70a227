"""One member of the ensemble: a model that is asked again where that may help, and not believed before it is read."""

from __future__ import annotations

from functools import partial
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from pytest_artisan.clock import Clock
from pytest_artisan.ensemble.breaker import Unavailable
from pytest_artisan.ensemble.calls import Caller, Reply, SchemaFailure
from pytest_artisan.ensemble.connection import Completion
from pytest_artisan.ensemble.prompts import Task
from pytest_artisan.settings import one_line

ATTEMPTS = 3
BACKOFF_S = 0.5

Asked = TypeVar("Asked", bound=BaseModel)


class Member:
    """Asks up to 3 times, with pauses from 0.5 s that double and stray by half."""

    def __init__(self, caller: Caller, response_format: str, clock: Clock, rng: np.random.Generator) -> None:
        self._caller, self._format, self._clock, self._rng = caller, response_format, clock, rng

    async def ask(self, task: Task, kind: type[Asked], deadline: float, *, guarded: bool = True) -> Reply[Asked]:
        """The member's answer by `deadline`, of the clock; raises one of NO_ANSWER. `guarded`: by its breaker.

        A schema failure is not asked for again: at temperature 0 it would be the same.
        """

        def enough(state: RetryCallState) -> bool:
            return state.attempt_number >= ATTEMPTS or self._clock.now() + state.upcoming_sleep >= deadline

        attempts = AsyncRetrying(
            stop=enough,
            wait=self._pause,
            sleep=self._clock.sleep,
            retry=retry_if_exception(lambda error: isinstance(error, Unavailable) and error.passing),
            reraise=True,
        )
        body = task.body(self._caller.model, self._format)
        call = partial(self._caller.call, guarded=guarded)
        return await attempts(call, "chat/completions", body, Completion, partial(read, kind), deadline)

    def _pause(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_for = error.wait if isinstance(error, Unavailable) else 0.0
        return max(BACKOFF_S * 2.0 ** (state.attempt_number - 1) * self._rng.uniform(1, 1.5), asked_for)

    async def aclose(self) -> None:
        await self._caller.aclose()


def read(kind: type[Asked], completion: Completion) -> Reply[Asked]:
    """The answer, which has to be exactly one object that keeps the schema; raises SchemaFailure.

    What surrounds such an object, a fence or a sentence, can be taken off; the object itself is never mended.
    """
    text = (completion.choices[0].message.content if completion.choices else None) or ""
    try:
        return Reply(kind.model_validate_json(text))
    except ValidationError:
        pass
    try:
        return Reply(kind.model_validate_json(text[text.find("{") : text.rfind("}") + 1]), repaired=True)
    except ValidationError as error:
        [first, *_] = error.errors(include_input=False, include_url=False)
        # Only names of ours: a remark carries this to whoever asked, and a member can name a key as it likes.
        known = {"answer", *kind.model_fields}
        place = ".".join(str(part) for part in ("answer", *first["loc"]) if part in known or isinstance(part, int))
        raise SchemaFailure(one_line(f"{place}: {first['msg']}")) from None
