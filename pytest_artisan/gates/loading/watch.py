"""A run while it lasts: a line for who waits for it, and its end where its outcome is decided."""

from __future__ import annotations

import math
from collections.abc import Callable

from pytest_artisan.gates.tables import LoadSmoke
from pytest_artisan.load.record import Record, nearest_rank
from pytest_artisan.verdict.series import decided

P95 = 0.95


def is_lost(over: int, n: int) -> bool:
    """Whether the p95 by nearest rank of `n` is over the limit, where so many are."""
    return over > n - math.ceil(P95 * n - 1e-9)


class Watch:
    """Called with the record after each news; whether the run goes on.

    It ends where nothing that is still to come could keep the limits, and with `early_stop` also where a sequential test
    has decided both of them; `show` gets a line each time.
    """

    def __init__(self, table: LoadSmoke, show: Callable[[str], None]) -> None:
        self._table, self._show = table, show
        self._read = self._over = self._failed = 0
        self._ordered: list[float] = []
        self._late: list[float] = []

    def __call__(self, record: Record) -> bool:
        fresh = record.requests[self._read :]
        self._read += len(fresh)
        latencies = [record.latency_ms(request) for request in fresh]
        self._over += sum(latency > self._table.p95_ms for latency in latencies)
        self._failed += sum(request.failed for request in fresh)
        self._ordered += latencies
        self._ordered.sort()
        self._late = sorted([*self._late, *(request.late_ms for request in fresh)])
        self._show(self._line(record))
        return not self._is_decided(record)

    def _line(self, record: Record) -> str:
        if not record.sent:
            return f"warm-up: {record.warmed} of {record.load.warmup} sent, {record.warmup_failed} failed"
        p95, late = nearest_rank(self._ordered, P95), nearest_rank(self._late, 0.99)
        known = "" if p95 is None or late is None else f", p95 so far {p95:.1f} ms, lateness p99 {late:.1f} ms"
        return f"{record.sent:,} of {record.planned:,} sent, {self._failed:,} failed{known}"

    def _is_decided(self, record: Record) -> bool:
        n = record.planned
        over = self._over + record.waiting(self._table.p95_ms / 1000)
        # Where tasks send several requests each, nobody knows how many are still to come to outweigh these.
        is_counted = self._read <= n
        if is_counted and (is_lost(over, n) or 100 * self._failed > self._table.errors_pct * n):
            return True
        if not self._table.early_stop:
            return False
        known = self._read + over - self._over
        answers = decided(over, known, 1 - P95), decided(self._failed, self._read, self._table.errors_pct / 100)
        return True in answers or answers == (False, False)
