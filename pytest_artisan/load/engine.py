"""One generator's walk along its part of the plan: each arrival in time, whatever became of those before it."""

from __future__ import annotations

import gc
import time
from array import array
from collections import Counter
from collections.abc import Callable

import gevent
from gevent.event import Event

from pytest_artisan.load.messages import Batch, Order, Samples
from pytest_artisan.load.users import Answered, Cast

_NAMES = 200
_PIECE_S, _TICK_S = 0.1, 0.005
_MANY = "(further endpoints)"


class Engine:
    """Sends one part of the plan; `stopped` says whether the run has been called off."""

    def __init__(self, cast: Cast, order: Order, generator: int, stopped: Callable[[], bool]) -> None:
        self._cast, self._order, self._generator, self._stopped = cast, order, generator, stopped
        self._start = time.monotonic()
        self._sent = self._open = 0
        self._names: dict[str, int] = {}
        self._told_names = 0
        self._samples = Samples()
        self._causes: Counter[tuple[str, str]] = Counter()
        self.over = Event()

    def broken(self) -> str:
        """Do each part of the mix once, and in order: what breaks the contract, or nothing."""
        for part in self._cast.parts:
            for answered in self._cast.perform(part, time.monotonic(), self._order.patience_s):
                if answered.cause:
                    return f"{answered.endpoint}: {answered.cause}"
        return ""

    def walk(self, start: float) -> None:
        """Send everything from `start`, of the monotonic clock, and wait for every answer or its deadline."""
        self._start = start
        # A collection of garbage would be taken for latency.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            self._send_all()
            while self._open and not self._stopped():
                gevent.sleep(_TICK_S)
            if not self._stopped():
                self._cast.leave(self._order.deadline_s)
        finally:
            self.over.set()

    def _send_all(self) -> None:
        plan = zip(array("d", self._order.due), array("d", self._order.shares), strict=True)
        for number, (due, share) in enumerate(plan):
            self._sleep_until(self._start + due)
            if self._stopped():
                return
            self._sent = number + 1
            self._open += 1
            gevent.spawn(self._arrive, number, self._start + due, share)

    def _sleep_until(self, moment: float) -> None:
        """In pieces, to hear in between that the run is called off; behind time, it still lets the others work."""
        left = moment - time.monotonic()
        while left > _PIECE_S and not self._stopped():
            gevent.sleep(_PIECE_S)
            left = moment - time.monotonic()
        gevent.sleep(max(min(left, _PIECE_S), 0))

    def _arrive(self, number: int, due: float, share: float) -> None:
        left = due + self._order.deadline_s - time.monotonic()
        try:
            for answered in self._cast.perform(self._cast.part(share), due, max(left, 0.001)):
                self._keep(number, answered)
        finally:
            self._open -= 1

    def _keep(self, number: int, answered: Answered) -> None:
        name = answered.endpoint if answered.endpoint in self._names or len(self._names) < _NAMES else _MANY
        place = self._names.setdefault(name, len(self._names))
        self._samples.add(number, answered.late, answered.took, answered.outcome, place)
        if answered.cause and number >= self._order.warmup:
            self._causes[name, answered.cause[:300]] += 1

    def batch(self) -> Batch:
        """What happened since the last one."""
        over = self.over.is_set()
        samples, self._samples = self._samples, Samples()
        causes, self._causes = self._causes, Counter()
        names = tuple(self._names)[self._told_names :]
        self._told_names += len(names)
        told = tuple((name, cause, count) for (name, cause), count in causes.items())
        now = time.monotonic() - self._start
        return Batch(self._generator, self._sent, now, samples.packed(), names, told, over)
