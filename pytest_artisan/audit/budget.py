"""A time within which everything has to be asked."""

from __future__ import annotations

from pytest_artisan.clock import Clock, SystemClock


class Budget:
    """So many seconds for all that is asked, however often; they begin to run with the first look at what is left."""

    def __init__(self, seconds: float, clock: Clock | None = None) -> None:
        self.seconds = seconds
        self.clock: Clock = clock or SystemClock()
        self._end: float | None = None

    def left(self) -> float:
        """Seconds, and 0 where there are none."""
        now = self.clock.now()
        if self._end is None:
            self._end = now + self.seconds
        return max(self._end - now, 0.0)
