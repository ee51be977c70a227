"""What Prometheus has counted of the users of a flag, or of a slot: all of one moment, or no evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pytest_artisan.release.baselines import load
from pytest_artisan.release.environments import Environment, Name
from pytest_artisan.release.flags.definitions import flags_of
from pytest_artisan.release.observing import Counters, Yardstick
from pytest_artisan.release.observing.histograms import Buckets, sound
from pytest_artisan.release.observing.queries import Queries, SlotQueries
from pytest_artisan.release.prometheus import Prometheus, Sample
from pytest_artisan.release.traffic.router import SLOTS, Slot
from pytest_artisan.settings import SettingsError, one_line, unknown_key
from pytest_artisan.verdict.evidence import NoEvidence

# The item and the name under which the gate load_smoke records its p95, in milliseconds.
RECORDED = ("artisan::load_smoke::p95 at a fixed rate", "p95")
STALE_S = 60.0
# Of requests: the fewest that bound a p95 from above.
FEWEST = 72
_TIMEOUT_S = 5.0
_P95 = 0.95
# The label by which the parts of one question are told apart, and the one part that is asked for by itself.
_OF, _RECENT = "artisan_of", "recent"
_ONE_SERIES = ("errors", "ratings", "rating_sum", "schema_failures")


def flag_source(
    root: Path, environment: Environment, flag: str, *, on: bool, ratio: float, queries: Queries
) -> PrometheusSource:
    """Of the users to whom `flag` says `on`; slow is `ratio` times the p95 of those to whom it does not.

    Raises SettingsError for an unknown flag, and where the environment has no Prometheus server.
    """
    # What stands in a query is a name that somebody has declared, and letters, digits, _ and - alone.
    flags = flags_of(root)
    if flag not in flags:
        raise unknown_key(flag, flags, "the list of flags")
    told, untold = (queries.filled({"flag": flag, "on": str(value).lower()}) for value in (on, not on))
    return _source(root, environment, ratio, told, untold)


def slot_source(
    root: Path, environment: Environment, slot: Slot, *, ratio: float, queries: SlotQueries
) -> PrometheusSource:
    """Of the service in `slot`; slow is `ratio` times the p95 of the other slot. Raises SettingsError as above."""
    [other] = {*SLOTS} - {slot}
    here, there = (queries.filled({"slot": value}) for value in (slot, other))
    return _source(root, environment, ratio, here, there)


def _source(
    root: Path, environment: Environment, ratio: float, queries: Mapping[str, str], baseline: Mapping[str, str]
) -> PrometheusSource:
    if environment.prometheus_url is None:
        where = f"[tool.artisan.environments.{environment.env}]"
        raise SettingsError(f"{where} has no prometheus_url, so that nobody can see how users fare")
    server = Prometheus(environment.prometheus_url, _TIMEOUT_S)
    recorded = partial(_recorded_s, root, environment.env)
    return PrometheusSource(server, {**queries, _RECENT: baseline[_RECENT]}, ratio, recorded)


class PrometheusSource:
    """See `observing.Source`; `queries` as in `observing.queries.Queries`, with nothing left to fill in.

    `recorded` is the p95 to fall back on, in seconds; it raises NoEvidence where there is none.
    """

    def __init__(
        self, server: Prometheus, queries: Mapping[str, str], ratio: float, recorded: Callable[[], float]
    ) -> None:
        self._server, self._queries, self._ratio, self._recorded = server, queries, ratio, recorded
        # One question: no scrape comes in between its parts, so that none has more errors than requests.
        self._all = " or ".join(
            f'label_replace({query}, "{_OF}", "{name}", "", "")' for name, query in queries.items() if name != _RECENT
        )

    def yardstick(self, now: datetime) -> Yardstick:
        """By those who were without the change in the last half hour; where they tell none, by what was recorded."""
        query = self._queries[_RECENT]
        try:
            recent = Buckets(self._asked(query, now))
            if recent.total < FEWEST:
                raise NoEvidence(f"{recent.total:.0f} requests are too few, it takes {FEWEST}")
            p95_s = recent.quantile(_P95)
            origin = f"those without the change, {recent.total:.0f} requests in 30 minutes"
        except NoEvidence as error:
            try:
                p95_s = self._recorded()
            except NoEvidence as other:
                raise NoEvidence(one_line(f"no baseline for the p95: {query}: {error}; {other}")) from None
            origin = f"the recorded baseline; of those without the change: {error}"
        return Yardstick(p95_s, self._ratio * p95_s, origin)

    def counters(self, yardstick: Yardstick, now: datetime) -> Counters:
        """Slow are those beyond the first bound of the histogram that is not below the yardstick's time."""
        answers: dict[str, list[Sample]] = {name: [] for name in self._queries}
        for sample in self._asked(self._all, now):
            answers.get(sample.labels.get(_OF, ""), []).append(sample)
        with self._naming("scraped"):
            scraped = _only(answers["scraped"])
            age_s = answers["scraped"][0].at - scraped
            if not 0 <= age_s <= STALE_S:
                raise NoEvidence(f"{age_s:.0f} s ago, and {STALE_S:.0f} are allowed")
        with self._naming("requests"):
            instances = {_labels(sample): sound(sample) for sample in answers["requests"]}
            if not instances:
                raise NoEvidence("no such series")
        counted = {"requests": sum(instances.values())}
        # Who was never asked for has none of the others yet.
        for name in _ONE_SERIES if counted["requests"] else filter(answers.get, _ONE_SERIES):
            with self._naming(name):
                counted[name] = _only(answers[name])
        if counted["requests"] or answers["durations"]:
            with self._naming("durations"):
                buckets = Buckets(answers["durations"])
                counted |= {"timed": buckets.total, "slow": buckets.longer_than(yardstick.slow_s)}
        return Counters(at=datetime.fromtimestamp(scraped, UTC), instances=instances, **counted)

    def _asked(self, query: str, now: datetime) -> tuple[Sample, ...]:
        """As it is now, by the server's clock: one here that is late would be told how it was before a change."""
        answer = self._server.query(query)
        for sample in answer:
            apart_s = sample.at - now.timestamp()
            if abs(apart_s) > STALE_S:
                raise NoEvidence(f"{self._server.url}: its clock and the one here are {apart_s:+.0f} s apart")
        return answer

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Say of which query there is no evidence."""
        try:
            yield
        except NoEvidence as error:
            raise NoEvidence(one_line(f"{self._server.url}: {self._queries[name]}: {error}")) from None


def _only(samples: Sequence[Sample]) -> float:
    if len(samples) != 1:
        raise NoEvidence(f"{len(samples)} series, and it takes exactly one")
    return sound(samples[0])


def _labels(sample: Sample) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(sample.labels.items()) if name != _OF)


def _recorded_s(root: Path, environment: Name) -> float:
    """The p95 of the environment's recorded baseline; raises NoEvidence."""
    try:
        entry = load(root, environment).entries.get(RECORDED)
    except SettingsError as error:
        raise NoEvidence(str(error)) from None
    if entry is None or entry.unit != "ms" or not 0 < entry.value < math.inf:
        raise NoEvidence(f"the recorded baseline of {environment} holds no p95 of the gate load_smoke, in ms")
    return entry.value / 1000
