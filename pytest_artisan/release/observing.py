"""What is seen of those who have got a change, and of those who have not."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What has been counted up to `at`, of those who have got the change; none ever goes down while a process lives."""

    at: datetime
    requests: float = 0.0
    errors: float = 0.0
    timed: float = 0.0
    slow: float = 0.0
    ratings: float = 0.0
    rating_sum: float = 0.0
    schema_failures: float = 0.0


class Yardstick(msgspec.Struct, frozen=True):
    """The baseline's p95 in seconds, the time from which a request counts as slow, and where they come from."""

    p95_s: float
    slow_s: float
    origin: str


class Source(Protocol):
    """Where the numbers come from. Both raise NoEvidence where there are none, with the question and the cause."""

    def yardstick(self, now: datetime) -> Yardstick:
        """What is slow; to be asked once, before anybody gets the change."""
        ...

    def counters(self, yardstick: Yardstick, now: datetime) -> Counters:
        """What has been counted so far."""
        ...
