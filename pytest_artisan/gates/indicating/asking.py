"""The indicators as Prometheus has them: in each of some windows in a row, fresh, and of the unit that they claim."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from pytest_artisan.gates.indicating.indicators import INDICATORS, filled
from pytest_artisan.gates.indicating.judging import Answer, Told
from pytest_artisan.gates.tables import DURATIONS, Kpi, Questions
from pytest_artisan.release.prometheus import CLOSE_S, Prometheus, Sample
from pytest_artisan.settings import seconds
from pytest_artisan.verdict.evidence import NoEvidence

# A server tells with every answer what time it is for.
_CLOCK, _SKEW_S = "vector(1)", 30.0


class Asked:
    """All that is asked of one server ends at one time, which is the server's own. Raises NoEvidence."""

    def __init__(self, url: str, table: Kpi) -> None:
        self._server, self._table = Prometheus(url, table.timeout_s), table
        told = self._server.query(_CLOCK)
        if len(told) != 1:
            raise NoEvidence(f"{url}: {_CLOCK}: {len(told)} samples")
        self._now, here = told[0].at, time.time()
        if abs(self._now - here) > _SKEW_S:
            # Whatever is fresh by its clock may be old.
            raise NoEvidence(f"{url}: its clock is {self._now - here:+.0f} s from the one here")

    def answers(self, indicator: str) -> Sequence[Answer]:
        """One for each window, the latest last. Raises NoEvidence, which names the query."""
        asked: Questions = getattr(self._table.queries, indicator) or INDICATORS[indicator].questions
        if indicator in DURATIONS:
            _check_unit(asked.query)
        self._check_fresh(filled(asked.newest, self._table.window))
        told = self._windows(asked.query)
        return list(map(Answer, told, [None] * len(told) if asked.samples is None else self._windows(asked.samples)))

    def _check_fresh(self, query: str) -> None:
        age_s = self._now - Told(query, self._server.query(query, self._now)).value
        if not -_SKEW_S <= age_s <= self._table.stale_s:
            raise NoEvidence(
                f"{query}: the newest sample is {age_s:.0f} s old, and {self._table.stale_s:g} are allowed"
            )

    def _windows(self, question: str) -> list[Told]:
        """The answer at the end of each window; nothing where there is no series at that time."""
        query, step_s, count = filled(question, self._table.window), seconds(self._table.step), self._table.samples
        ends = [self._now - step_s * back for back in reversed(range(count))]
        series = self._server.query_range(query, ends[0], ends[-1], step_s)
        return [
            Told(
                f"{query}, {self._now - end:.0f} s ago",
                tuple(
                    Sample(one.labels, at, value)
                    for one in series
                    for at, value in one.points
                    if abs(at - end) < CLOSE_S
                ),
            )
            for end in ends
        ]


def _check_unit(query: str) -> None:
    """By Prometheus' conventions a metric's name ends in its unit; no answer has another sign of it."""
    named = re.findall(r"[a-zA-Z_:][\w:]*_bucket\b", query)
    if not named or not all(name.endswith("_seconds_bucket") for name in named):
        raise NoEvidence(f"{query}: its name does not say that it is in seconds (…_seconds_bucket)")
