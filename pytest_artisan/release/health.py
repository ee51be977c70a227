"""Whether what was deployed is well: what was seen, block of time by block of time, against the limits of a canary."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from pytest_artisan.settings import Table

_Percent = Annotated[float, Meta(gt=0, lt=100)]


class Limits(Table, frozen=True):
    """When to go back, and what has to be shown to go on: errors in per cent, ratings from 1 to 5."""

    errors_pct: _Percent = 2
    healthy_errors_pct: _Percent = 1
    p95_ratio: Annotated[float, Meta(gt=1)] = 1.2
    rating: Annotated[float, Meta(gt=1, lt=5)] = 3
    error_rate: Annotated[float, Meta(gt=0, lt=0.5)] = 0.01


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """What happened between two looks.

    Of `timed` requests, `slow` took longer than the limit, which is a multiple of the baseline's p95.
    """

    requests: int = 0
    errors: int = 0
    timed: int = 0
    slow: int = 0
    ratings: int = 0
    rating_sum: float = 0.0
    schema_failures: int = 0


class Ruling(StrEnum):
    """What follows: back, on waiting, or on to the next stage."""

    ROLL_BACK = "roll_back"
    HOLD = "hold"
    HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class Opinion:
    """A ruling with a line for all that led to it; none of them is empty."""

    ruling: Ruling
    reasons: tuple[str, ...]
