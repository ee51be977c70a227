"""Time as something that is handed in, so that nothing has to wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Protocol


class Clock(Protocol):
    """Seconds since some moment, never fewer than before, and a way to let some pass."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


def asked_pause(headers: Mapping[str, str]) -> float:
    """The seconds of an answer's Retry-After; 0 where nobody asks for a pause, or in a form that nobody uses."""
    asked = headers.get("Retry-After", "")
    if asked.isascii() and asked.isdigit():
        return float(asked)
    try:
        return max((parsedate_to_datetime(asked) - parsedate_to_datetime(headers["Date"])).total_seconds(), 0.0)
    except (ValueError, TypeError, KeyError, OverflowError):
        return 0.0


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
