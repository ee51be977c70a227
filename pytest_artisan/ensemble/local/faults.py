"""What can go wrong with a model's server, as a script that a seed repeats."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

_Z95 = 1.6448536269514722


class Fault(StrEnum):
    """How one call goes wrong.

    `STATUS`: an HTTP error; `MALFORMED_CONTENT`: the message is no JSON; `MALFORMED_BODY`: the reply is none;
    `TRUNCATED`: the connection closes before all of the promised bytes; `HANG`: no answer until the client goes away;
    `WRONG_SCHEMA`: other fields; `FENCED`: the answer within prose and a markdown fence; `INJECTED`: no answer, but an
    instruction with HTML and SQL.
    """

    STATUS = "status"
    MALFORMED_CONTENT = "malformed-content"
    MALFORMED_BODY = "malformed-body"
    TRUNCATED = "truncated"
    HANG = "hang"
    WRONG_SCHEMA = "wrong-schema"
    FENCED = "fenced"
    INJECTED = "injected"


@dataclass(frozen=True, slots=True)
class Latency:
    """Added milliseconds: lognormal with this median and 95th percentile, constant where there is none."""

    median_ms: float
    p95_ms: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.median_ms < math.inf or not self.median_ms <= (self.p95_ms or self.median_ms) < math.inf:
            raise ValueError(f"latency {self.median_ms}, p95 {self.p95_ms}: not finite, below 0 or out of order")

    def seconds(self, rng: np.random.Generator) -> float:
        """One draw."""
        spread = math.log(self.p95_ms / self.median_ms) / _Z95 if self.p95_ms and self.median_ms else 0.0
        return self.median_ms / 1000 * math.exp(spread * rng.standard_normal())


@dataclass
class Faults:
    """What happens to the calls of one model: first the `script`, a fault or None a call; then `fault` by chance.

    `status` and `retry_after` (seconds) are those of Fault.STATUS; `latency` adds to every call, one that fails too.
    """

    script: Iterable[Fault | None] = ()
    fault: Fault | None = None
    probability: float = 1.0
    status: int = 503
    retry_after: int | None = None
    latency: Latency | None = None
    seed: int = 0
    _pending: deque[Fault | None] = field(init=False, repr=False)
    _rng: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability {self.probability} is not from 0 to 1")
        if not 400 <= self.status <= 599:
            raise ValueError(f"status {self.status} is no HTTP error")
        self._pending, self._rng = deque(self.script), np.random.default_rng(self.seed)

    def draw(self) -> tuple[Fault | None, float]:
        """The next call's fault, and by how many seconds it is late."""
        delay = self.latency.seconds(self._rng) if self.latency else 0.0
        if self._pending:
            return self._pending.popleft(), delay
        happens = self.fault is not None and self._rng.random() < self.probability
        return self.fault if happens else None, delay
