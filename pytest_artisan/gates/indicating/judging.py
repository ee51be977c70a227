"""The indicators' answers against their limits, wherever the answers come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from pytest_artisan.gates.tables import Kpi
from pytest_artisan.release.observing.histograms import Buckets
from pytest_artisan.release.prometheus import Sample
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import Bound, Limit, Measurement, NoEvidence, measured
from pytest_artisan.verdict.statistics import normal_quantile, score_interval, wilson_interval

# Sums of floats may differ by as much, as a share, from what they would be in another order.
_ROUNDED = 1e-9
# From here on a float is no longer a count.
_MOST = 2**53
_TWO_SIDED, _ONE_SIDED = normal_quantile(0.975), normal_quantile(0.95)


@dataclass(frozen=True, slots=True)
class Told:
    """What was asked, and the series that came back."""

    asked: str
    series: tuple[Sample, ...]

    @property
    def value(self) -> float:
        """Of the one series there has to be; raises NoEvidence."""
        if len(self.series) != 1:
            raise self.unsound(f"{len(self.series)} series, and it has to be one" if self.series else "no such series")
        [sample] = self.series
        if not math.isfinite(sample.value):
            raise self.unsound(f"the value is {sample.value}")
        return sample.value

    def unsound(self, cause: object) -> NoEvidence:
        return NoEvidence(one_line(f"{self.asked}: {cause}"))


class Answer(NamedTuple):
    """What one window shows of an indicator, and of how many things it does; durations say that themselves."""

    told: Told
    of: Told | None = None


# Raises NoEvidence where there is none in a window.
_Judged = Callable[[Answer], Measurement]


@dataclass(frozen=True, slots=True)
class Indicated:
    """One line of the table: its name, the indicator that it is read from, its limit, and how one window is judged."""

    name: str
    indicator: str
    unit: str
    limit: Limit
    judged: _Judged

    def of(self, answers: Sequence[Answer]) -> Measurement:
        """The window that keeps the limit least, of all windows; no data where one has none and no other is over it."""
        judged, unsound = [], ""
        for answer in answers:
            try:
                judged.append(self.judged(answer))
            except NoEvidence as error:
                unsound = unsound or str(error)
        worst = min(judged, key=self._room, default=self.without(unsound))
        is_over = worst.value is not None and not self.limit.holds(worst.value)
        return worst if is_over or not unsound else self.without(unsound)

    def without(self, cause: str) -> Measurement:
        """Where nothing can be measured."""
        return Measurement(self.name, None, self.unit, self.limit, no_data=cause)

    def _room(self, measurement: Measurement) -> float:
        if measurement.value is None:
            return -math.inf
        room = self.limit.value - measurement.value
        return -room if self.limit.bound in (Bound.ABOVE, Bound.AT_LEAST) else room


def indicated(table: Kpi) -> Iterator[Indicated]:
    """All of the table, in the order of a report."""
    for name, key in (("fast", "llm_fast"), ("balanced", "llm_balanced"), ("creative", "llm_creative")):
        yield _quantile(f"llm {name} p95", key, 0.95, getattr(table, f"{key}_p95_s"), table)
    yield _quantile("api p95", "api", 0.95, table.api_p95_s, table)
    yield _quantile("api p99", "api", 0.99, table.api_p99_s, table)
    for key, unit, limit, judge, least in (
        ("errors", "%", Limit(Bound.BELOW, table.errors_pct), _share, table.min_requests),
        ("schema_failures", "count", Limit(Bound.AT_MOST, table.schema_failures), _value, table.min_requests),
        ("episode_return", "points", Limit(Bound.ABOVE, table.episode_return), _value, table.min_updates),
        ("kl", "nat", Limit(Bound.BELOW, table.kl), _value, table.min_updates),
    ):
        name = key.replace("_", " ")
        yield Indicated(name, key, unit, limit, partial(judge, name, unit, limit, least))


def _quantile(name: str, key: str, share: float, limit_s: float, table: Kpi) -> Indicated:
    judged = partial(_duration, name, share, limit_s, table.min_requests)
    return Indicated(name, key, "s", Limit(Bound.AT_MOST, limit_s), judged)


def _duration(name: str, share: float, limit_s: float, least: int, answer: Answer) -> Measurement:
    """A quantile of a histogram, which is over a limit exactly where too many are beyond the bound of that size."""
    told = answer.told
    try:
        buckets = Buckets(told.series)
        counts = {float(sample.labels["le"]): sample.value for sample in told.series}
        largest = max((bound for bound in counts if bound < math.inf), default=0.0)
        if limit_s not in counts or largest <= limit_s:
            # From the largest bound on, every duration would be read as that bound.
            raise NoEvidence(f"the histogram needs a bound at the limit of {limit_s:g} s, and a finite one above it")
        n = _enough(buckets.total, least)
        longer = 1 - counts[limit_s] / buckets.total
        if longer < -_ROUNDED:
            raise NoEvidence(f"the histogram counts more up to {limit_s:g} s than in all")
    except NoEvidence as error:
        raise told.unsound(error) from None

    def quantile(of: float) -> float:
        try:
            return buckets.quantile(of)
        except NoEvidence:
            return largest

    # Between two bounds the value is a guess, and it may not say otherwise than they do.
    keeps = longer <= 1 - share + _ROUNDED
    value = min(quantile(share), limit_s) if keeps else max(quantile(share), math.nextafter(limit_s, math.inf))
    # Of that many, as many more or fewer may have been below what is the quantile of all that there ever will be.
    off = _TWO_SIDED * math.sqrt(share * (1 - share) / n)
    span = (min(quantile(share - off), value), max(quantile(min(share + off, 1.0)), value))
    proven = wilson_interval(max(math.ceil(longer * n - _ROUNDED), 0), n, 0.9)[1] <= 1 - share
    return replace(measured(name, value, unit="s", at_most=limit_s, n=n, interval=span), proven=proven)


def _share(name: str, unit: str, limit: Limit, least: int, answer: Answer) -> Measurement:
    """Events of things, in per cent."""
    n, events = _of(answer, least), answer.told.value
    if events < 0:
        raise answer.told.unsound(f"{events:g} was never counted")
    # Both are extrapolated to the ends of the window, one perhaps further than the other.
    share = min(events / n, 1.0)
    low, high = score_interval(share, _TWO_SIDED**2 / n)
    surely = score_interval(share, _ONE_SIDED**2 / n)[1]
    percent = measured(name, 100 * share, unit=unit, below=limit.value, n=n, interval=(100 * low, 100 * high))
    return replace(percent, proven=100 * surely < limit.value)


def _value(name: str, unit: str, limit: Limit, least: int, answer: Answer) -> Measurement:
    n, value = _of(answer, least), answer.told.value
    if value < 0 and limit.bound is not Bound.ABOVE:
        raise answer.told.unsound(f"{value:g} was never counted")
    return Measurement(name, value, unit, limit, n)


def _of(answer: Answer, least: int) -> int:
    assert answer.of is not None
    of = answer.of.value
    try:
        return _enough(of, least)
    except NoEvidence as error:
        raise answer.of.unsound(error) from None


def _enough(of: float, least: int) -> int:
    # Where increase() extrapolates, 100 may be 99.99.
    n = round(of)
    if n < least:
        raise NoEvidence(f"the window has {n}, and {least} are needed")
    if n > _MOST:
        raise NoEvidence(f"{of:g} was never counted")
    return n
