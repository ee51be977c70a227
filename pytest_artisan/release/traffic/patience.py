"""Waiting for what becomes right by itself, or does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pytest_artisan.verdict.evidence import NoEvidence

_PAUSE_S = 0.05
Seen = TypeVar("Seen")


class NotYet(NoEvidence):
    """What a router says is not what it was told; a moment later it may be."""


def patiently(look: Callable[[], Seen], seconds: float) -> Seen:
    """What `look` returns as soon as it does not raise NotYet; its last NotYet where that lasts so long."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return look()
        except NotYet:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE_S)
