"""The indicators as a service's own `/metrics` has them, before and after some traffic: the window is what lies between."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from pytest_artisan.gates.indicating.indicators import INDICATORS, Durations, Events, Level, Selector
from pytest_artisan.gates.indicating.judging import Answer, Told
from pytest_artisan.loopback import is_here
from pytest_artisan.release.prometheus import Sample
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import NoEvidence

_PATH, _TIMEOUT_S = "/metrics", 10.0
# One of its labels says since when it runs: one that took its place may have counted further by now.
_PROCESS = Selector("artisan_build_info")
# Values by name and labels.
_Exposed = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def exposed(url: str) -> _Exposed:
    """What a service shows now; raises NoEvidence."""
    import httpx2
    from prometheus_client.parser import text_string_to_metric_families

    try:
        response = httpx2.get(f"{url}{_PATH}", timeout=_TIMEOUT_S, trust_env=not is_here(url)).raise_for_status()
        samples = [one for family in text_string_to_metric_families(response.text) for one in family.samples]
        found = {(one.name, frozenset(one.labels.items())): float(one.value) for one in samples}
    except (httpx2.HTTPError, ValueError, OverflowError) as error:
        raise NoEvidence(one_line(f"{url}{_PATH}: {type(error).__name__}: {error}")) from None
    if len(found) < len(samples):
        raise NoEvidence(f"{url}{_PATH}: the same series comes twice")
    return found


class Window:
    """What an exposition gained since an earlier one. Raises NoEvidence for one of another process."""

    def __init__(self, before: _Exposed, after: _Exposed) -> None:
        self._before, self._after = before, after
        list(self._gained(_PROCESS))

    def answer(self, indicator: str) -> Answer:
        """As Prometheus would answer for a window of this length; raises NoEvidence."""
        match INDICATORS[indicator]:
            case Durations(buckets):
                counts: dict[str, float] = {}
                for labels, gained in self._gained(buckets):
                    counts[labels.get("le", "")] = counts.get(labels.get("le", ""), 0.0) + gained
                return Answer(Told(f"{buckets}", tuple(Sample({"le": le}, 0.0, count) for le, count in counts.items())))
            case Events(events, of, may_lack):
                told = self._sum(events)
                return Answer(told if told.series or not may_lack else _told(events, 0.0), self._sum(of))
            case Level(gauge, worst, set_by):
                return Answer(self._level(gauge, worst), self._sum(set_by))

    def _gained(self, selector: Selector) -> Iterator[tuple[Mapping[str, str], float]]:
        for key in self._before.keys() | self._after.keys():
            name, labels = key[0], dict(key[1])
            if selector.holds(name, labels):
                gained = self._after.get(key, 0.0) - self._before.get(key, 0.0)
                if gained < 0 or key not in self._after:
                    raise NoEvidence(f"{selector}: went down by {-gained:g}, so it is not of one process")
                yield labels, gained

    def _sum(self, selector: Selector) -> Told:
        gained = [value for _, value in self._gained(selector)]
        return _told(selector, *([math.fsum(gained)] if gained else ()))

    def _level(self, gauge: Selector, worst: str) -> Told:
        values = [value for (name, labels), value in self._after.items() if gauge.holds(name, dict(labels))]
        if not all(map(math.isfinite, values)):
            # min() and max() may pass over it.
            values = [math.nan]
        return _told(gauge, *([(min if worst == "min" else max)(values)] if values else ()))


def _told(selector: Selector, *values: float) -> Told:
    return Told(f"{selector} of {_PATH}", tuple(Sample({}, 0.0, value) for value in values))
