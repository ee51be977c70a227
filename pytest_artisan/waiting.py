"""What has to answer within a time, whatever it waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")
_GRACE_S = 0.5


def within(seconds: float, ask: Callable[[], Coroutine[Any, Any, _Answer]]) -> _Answer:
    """What a coroutine gives within so many seconds for all of it; raises TimeoutError where it is late.

    It runs in a thread of its own: this one may have an event loop, and a name server that hangs can not be cancelled.
    """
    done: Future[_Answer] = Future()

    async def bounded() -> _Answer:
        # A client's own timeout begins again with each byte.
        async with asyncio.timeout(seconds):
            return await ask()

    def work() -> None:
        try:
            done.set_result(asyncio.run(bounded()))
        except BaseException as error:  # noqa: BLE001  # raised again where the answer is asked for
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return done.result(seconds + _GRACE_S)
