"""What is counted apart for users to whom a flag in a rollout says on, and for those to whom it says off."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, Summary

# What a request's user was told, by flag: of those in a rollout, the ones that the request asked.
Asked = dict[str, bool]
# Whatever is begun for a request, such as a call to a member, finds it here.
ASKED: ContextVar[Asked] = ContextVar("asked")
# Each a tenth above the one before it, so that 1.2 times a p95 can be told from it; up to 1.2 times 20 s.
SECONDS: Final = tuple(float(f"{0.005 * 1.1**step:.3g}") for step in range(90))


def begun() -> Asked:
    """What this request, which begins, will ask."""
    asked: Asked = {}
    ASKED.set(asked)
    return asked


class _Cohort(NamedTuple):
    requests: Counter
    errors: Counter
    seconds: Histogram
    rating: Summary
    schema_failures: Counter


class Cohorts:
    """Two cohorts for each flag in a rollout, and none for any other."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("flag", "on")

        def counter(name: str, told: str) -> Counter:
            return Counter(f"artisan_cohort_{name}_total", told, labels, registry=registry)

        self._all = _Cohort(
            counter("requests", "Requests that asked a flag in a rollout, by what they were told."),
            counter("errors", "Of these, those answered with a 5xx."),
            Histogram(
                "artisan_cohort_duration_seconds",
                "Seconds from a request that asked a flag in a rollout to the end of its answer.",
                labels,
                registry=registry,
                buckets=SECONDS,
            ),
            Summary("artisan_cohort_rating", "Ratings by users of a flag in a rollout.", labels, registry=registry),
            counter(
                "schema_failures", "Schema failures of members, by what the request for which they failed was told."
            ),
        )
        self._known: dict[tuple[str, bool], _Cohort] = {}

    def begin(self, flags: Iterable[str]) -> None:
        """Be there with 0 before anything happens, so that the first failure is an increase."""
        for flag in flags:
            for on in (True, False):
                self._of(flag, on)

    def answered(self, asked: Asked, status: int, seconds: float) -> None:
        for cohort in self._each(asked):
            cohort.requests.inc()
            cohort.errors.inc(status >= 500)
            cohort.seconds.observe(seconds)

    def rated(self, cohorts: Asked, rating: float) -> None:
        for cohort in self._each(cohorts):
            cohort.rating.observe(rating)

    def failed_schema(self) -> None:
        """Of the request that it happens for; where others wait for the same answer, of the first."""
        for cohort in self._each(ASKED.get({})):
            cohort.schema_failures.inc()

    def _each(self, asked: Asked) -> Iterable[_Cohort]:
        return [self._of(flag, on) for flag, on in asked.items()]

    def _of(self, flag: str, on: bool) -> _Cohort:
        found = self._known.get((flag, on))
        if found is None:
            flag_on, each = (flag, str(on).lower()), self._all
            found = self._known[flag, on] = _Cohort(
                each.requests.labels(*flag_on),
                each.errors.labels(*flag_on),
                each.seconds.labels(*flag_on),
                each.rating.labels(*flag_on),
                each.schema_failures.labels(*flag_on),
            )
        return found
