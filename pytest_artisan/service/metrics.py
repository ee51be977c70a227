"""What Prometheus is told: names by its conventions, units in the help, and 0 where nothing has happened yet."""

from __future__ import annotations

import os
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from pytest_artisan.clock import Clock, SystemClock
from pytest_artisan.ensemble.answers import MODES, ROLES, CallOutcome, Outcome
from pytest_artisan.ensemble.breaker import PAUSE_S
from pytest_artisan.service.cohorts import SECONDS, Cohorts

# When a series began is what Prometheus finds out by itself.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations

MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"
# 2.5, 3.2, 4.5 and 5 s are limits of the gates load_smoke and kpi; 8, 12 and 20 s are what the modes may take.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 3.2, 4.5, 5.0, 8.0, 12.0, 20.0)
# A slot is judged by these: with a fifth from one to the next, 1.2 times a p95 is told from 1.46 times. What is quick
# costs no more by them, as bounds are tried from the least on.
ROUTE_SECONDS: Final = tuple(sorted({*_SECONDS, *SECONDS[::2]}))
_STATES = {"closed": 0, "half-open": 1, "open": 2}


class Metrics:
    """The instruments of one app, in a registry of its own; of all workers where they share a folder."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        route = ("method", "route", "status")
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Seconds from a request to the end of its answer.",
            route,
            registry=registry,
            buckets=ROUTE_SECONDS,
        )
        self._requests = Counter("http_requests_total", "Requests answered.", route, registry=registry)
        self._children: dict[tuple[str, str, int], tuple[Histogram, Counter]] = {}
        self.brief_seconds = Histogram(
            "artisan_brief_duration_seconds",
            "Seconds from a wish to its brief.",
            ("mode",),
            registry=registry,
            buckets=_SECONDS,
        )
        self.briefs = Counter(
            "artisan_briefs_total", "Briefs, by how they came about.", ("mode", "outcome"), registry=registry
        )
        self.schema_failures = Counter(
            "artisan_brief_schema_failures_total",
            "A member's answers that did not keep the schema at first, whether or not they were repaired; KPI: 0.",
            ("member",),
            registry=registry,
        )
        self.member_requests = Counter(
            "artisan_member_requests_total", "Requests to members.", ("member", "outcome"), registry=registry
        )
        self.member_seconds = Histogram(
            "artisan_member_duration_seconds",
            "Seconds of a request to a member.",
            ("member",),
            registry=registry,
            buckets=_SECONDS,
        )
        self.breaker = self._gauge(
            "artisan_breaker_state", "A member's breaker: 0 closed, 1 half-open, 2 open.", "member"
        )
        self.episode_return = self._gauge(
            "artisan_rl_episode_return", "Mean return of the last update's episodes, in points; KPI: > 10.", "algorithm"
        )
        self.kl = self._gauge("artisan_rl_kl", "Divergence of the last update, in nats; KPI: < 0.03.", "algorithm")
        self.updates = Counter("artisan_rl_updates_total", "Updates of a policy.", registry=registry)
        self.rating = Histogram(
            "artisan_user_rating", "Ratings, from 1 to 5.", registry=registry, buckets=(1, 2, 3, 4, 5)
        )
        self.cohorts = Cohorts(registry)
        self._info = self._gauge(
            "artisan_build_info",
            "1; what runs is in the labels, and since when: who counts anew has another.",
            "version",
            "model_snapshot",
            "started",
        )
        self._at_zero()

    def runs(self, version: str, snapshot: str, started: str) -> None:
        """Tell what runs; `started` is the same for workers that count together."""
        self._info.labels(version, snapshot, started).set(1)

    def _gauge(self, name: str, told: str, *labels: str) -> Gauge:
        # Of several workers, the one that knows best is the one that was told last.
        return Gauge(name, told, labels, registry=self.registry, multiprocess_mode="mostrecent")

    def _at_zero(self) -> None:
        """What a KPI divides by or compares with is there before anything happens."""
        for member in ROLES:
            self.schema_failures.labels(member)
            self.member_seconds.labels(member)
            self.breaker.labels(member).set(0)
            for outcome in CallOutcome:
                self.member_requests.labels(member, outcome.value)
        for mode in MODES:
            self.brief_seconds.labels(mode)
            for brief in Outcome:
                self.briefs.labels(mode, brief.value)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        found = self._children.get(key)
        if found is None:
            labels = (method, route, str(status))
            found = self._children[key] = (self._seconds.labels(*labels), self._requests.labels(*labels))
        found[0].observe(seconds)
        found[1].inc()

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        if MULTIPROCESS not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # it has no annotations
        return generate_latest(together)


class MetricsObserver:
    """An `ensemble.answers.Observer` that counts; `breakers`: the last state of each member's breaker."""

    def __init__(self, metrics: Metrics, clock: Clock | None = None) -> None:
        self._metrics, self._clock = metrics, clock or SystemClock()
        self.breakers: dict[str, str] = dict.fromkeys(ROLES, "closed")
        self._opened: dict[str, float] = {}

    def reached(self) -> bool:
        """Whether a request reaches a member.

        Also where only the next one can tell: a service that is sent none until it is ready would never be so again.
        """
        now = self._clock.now()
        return any(self.breakers[role] != "open" or now >= self._opened[role] + PAUSE_S for role in ROLES)

    def called(self, member: str, outcome: CallOutcome, seconds: float) -> None:
        self._metrics.member_requests.labels(member, outcome.value).inc()
        self._metrics.member_seconds.labels(member).observe(seconds)
        if outcome.fails_schema:
            self._metrics.schema_failures.labels(member).inc()
            self._metrics.cohorts.failed_schema()

    def answered(self, mode: str, outcome: Outcome, seconds: float) -> None:
        self._metrics.briefs.labels(mode, outcome.value).inc()
        self._metrics.brief_seconds.labels(mode).observe(seconds)

    def breaker(self, member: str, state: str) -> None:
        self.breakers[member] = state
        if state == "open":
            self._opened[member] = self._clock.now()
        self._metrics.breaker.labels(member).set(_STATES[state])
