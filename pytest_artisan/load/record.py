"""Every request of a run, exactly as it was."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pytest_artisan.load import planned
from pytest_artisan.load.arrivals import Floats, Kind
from pytest_artisan.load.messages import Batch, Outcome, Samples

_UNHEARD = "(no answer was heard of)"
DECIDED, INTERRUPTED = "decided", "interrupted"


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: `rps` requests a second to `url`, or what the `locustfile` makes of this base URL.

    A request that is not answered `deadline_s` after it was due has failed, and so has one in the check of the contract
    before the load where it takes longer than `limit_ms`, or 2.5 s if that is more. With `workers`, as many processes send.
    """

    url: str
    rps: float
    duration_s: float
    locustfile: Path | None = None
    warmup_s: float = 3.0
    arrivals: Kind = "jitter"
    limit_ms: float = 2500.0
    deadline_s: float = 10.0
    workers: int = 0

    @property
    def planned(self) -> int:
        """How many requests count."""
        return planned(self.rps, self.duration_s)

    @property
    def warmup(self) -> int:
        """How many requests are sent before, and not counted."""
        return planned(self.rps, self.warmup_s)


def nearest_rank(values: Iterable[float], quantile: float) -> float | None:
    """The quantile: a value that was really seen. None where there is none."""
    ordered = sorted(values)
    return ordered[max(math.ceil(quantile * len(ordered) - 1e-9), 1) - 1] if ordered else None


class Request(NamedTuple):
    """One request: when it was due, in seconds from the first one that counts, and the milliseconds of what followed."""

    at: float
    late_ms: float
    service_ms: float
    outcome: Outcome
    endpoint: str

    @property
    def failed(self) -> bool:
        return self.outcome not in (Outcome.OK, Outcome.WAITING)


@dataclass(slots=True)
class Record:
    """What is known of a run: `requests` are those that count and are over, in the order in which they ended.

    `broken` says why there was no load at all, `faults` what went wrong with the generators, `causes` why requests
    failed, by endpoint and text, `stopped` why the run ended before its time. `now` are seconds from the first request that counts.
    """

    load: Load
    due: Floats
    requests: list[Request] = field(default_factory=list)
    causes: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: str = ""
    faults: list[str] = field(default_factory=list)
    warmed: int = 0
    warmup_failed: int = 0
    now: float = -math.inf
    stopped: str = ""
    _sent: dict[int, int] = field(default_factory=dict)
    _open: dict[int, float] = field(default_factory=dict)
    _names: dict[int, list[str]] = field(default_factory=dict)

    @property
    def planned(self) -> int:
        return self.load.planned

    @property
    def sent(self) -> int:
        """How many that count have left."""
        return sum(self._sent.values()) - self.warmed

    @property
    def failed(self) -> int:
        return sum(request.failed for request in self.requests)

    def latency_ms(self, request: Request) -> float:
        """From when it was due to its answer."""
        return self._at_least_deadline(request, request.late_ms + request.service_ms)

    def _at_least_deadline(self, request: Request, ms: float) -> float:
        """Without a right answer, a request lasted the whole deadline: nobody was served before."""
        return max(ms, self.load.deadline_s * 1000) if request.failed else ms

    def by_endpoint(self) -> dict[str, list[Request]]:
        """The requests of each endpoint, by name; of one without an answer it is not known."""
        found: dict[str, list[Request]] = {}
        for request in self.requests:
            if request.endpoint != _UNHEARD:
                found.setdefault(request.endpoint, []).append(request)
        return dict(sorted(found.items()))

    def latencies_ms(self) -> list[float]:
        return [self.latency_ms(request) for request in self.requests]

    def service_ms(self) -> list[float]:
        """From when each was sent to its answer."""
        return [self._at_least_deadline(request, request.service_ms) for request in self.requests]

    def late_ms(self) -> list[float]:
        """How much later than due each was sent."""
        return [request.late_ms for request in self.requests]

    def waiting(self, longer_than_s: float) -> int:
        """How many are without an answer for that long, counted from when they were due."""
        return sum(self.now - due > longer_than_s for due in self._open.values())

    def add(self, batch: Batch) -> None:
        """Take in what a generator has told."""
        step, first = max(self.load.workers, 1), self.load.warmup
        before = self._sent.get(batch.generator, 0)
        for number in range(before, batch.sent):
            place = batch.generator + number * step
            if place >= first:
                self._open[place] = float(self.due[place]) - self.load.warmup_s
            else:
                self.warmed += 1
        self._sent[batch.generator] = batch.sent
        self.now = max(self.now, batch.now - self.load.warmup_s)
        names = self._names.setdefault(batch.generator, [])
        names += batch.endpoints
        for number, late, took, outcome, name in zip(*Samples.unpacked(batch.columns).columns, strict=True):
            place = batch.generator + int(number) * step
            if place < first:
                self.warmup_failed += outcome != Outcome.OK
                continue
            self._open.pop(place, None)
            at = float(self.due[place]) - self.load.warmup_s
            self.requests.append(Request(at, late * 1000, took * 1000, Outcome(outcome), names[int(name)]))
        for endpoint, cause, times in batch.causes:
            self.causes[endpoint, cause] += times

    def close(self) -> None:
        """Nothing more will be told: what has no answer has failed; the requests are put in order of time.

        Where the run ended as its outcome was decided, what has no answer was not waited for: only what is over the
        limit already is known.
        """
        for at in self._open.values():
            waited_ms = (self.now - at) * 1000
            if self.stopped != DECIDED:
                self.requests.append(Request(at, 0.0, 0.0, Outcome.UNHEARD, _UNHEARD))
            elif waited_ms > self.load.limit_ms:
                self.requests.append(Request(at, 0.0, waited_ms, Outcome.WAITING, _UNHEARD))
        if self._open and self.stopped != DECIDED:
            self.causes[_UNHEARD, "the run ended before its answer or its deadline came"] += len(self._open)
        self._open.clear()
        self.requests.sort()
