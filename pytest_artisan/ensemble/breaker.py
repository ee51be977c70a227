"""A circuit breaker: who keeps failing is left in peace for a while, then asked once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from pytest_artisan.clock import Clock

FAILURES = 3
PAUSE_S = 60.0


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Unavailable(Exception):
    """Somebody who was asked did not answer; `passing` where asking again may help, after `wait` seconds or more."""

    def __init__(self, text: str, *, passing: bool = True, wait: float = 0.0) -> None:
        super().__init__(text)
        self.passing, self.wait = passing, wait


class BreakerOpen(Unavailable):
    """Nobody was asked."""

    def __init__(self) -> None:
        super().__init__("its breaker is open", passing=False)


class Breaker:
    """Opens after 3 failures in a row; 60 s later lets one call through, whose end closes or opens it again."""

    def __init__(self, clock: Clock, changed: Callable[[State], None] = lambda state: None) -> None:
        self._clock, self._changed = clock, changed
        self._state, self._failures, self._opened = State.CLOSED, 0, 0.0

    @property
    def state(self) -> State:
        return self._state

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """One call: Unavailable is a failure, any other error an answer; raises BreakerOpen in its place."""
        trial = self._state is State.OPEN and self._clock.now() >= self._opened + PAUSE_S
        if trial:
            self._turn(State.HALF_OPEN)
        elif self._state is not State.CLOSED:
            raise BreakerOpen
        try:
            yield
        except Unavailable:
            self._failures += 1
            if trial or (self._state is State.CLOSED and self._failures >= FAILURES):
                self._open()
            raise
        except Exception:
            self._answered(trial)
            raise
        except BaseException:
            if trial:
                # The caller went away, so nothing was learnt, and the next call has to be a trial again.
                self._turn(State.OPEN)
            raise
        self._answered(trial)

    def _answered(self, trial: bool) -> None:
        # What was asked before it opened says nothing about now.
        if trial or self._state is State.CLOSED:
            self._failures = 0
            self._turn(State.CLOSED)

    def _open(self) -> None:
        self._opened = self._clock.now()
        self._turn(State.OPEN)

    def _turn(self, state: State) -> None:
        if state is not self._state:
            self._state = state
            self._changed(state)
