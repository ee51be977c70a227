"""What is asked about each indicator, in the names of the Artisan service: of Prometheus, or of an exposition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_artisan.gates.tables import Questions
from pytest_artisan.settings import seconds

WINDOW = "$window"


def filled(query: str, window: str) -> str:
    """The query for a window such as `5min`, which PromQL writes in another way."""
    length_s = seconds(window)
    return query.replace(WINDOW, f"{length_s:.0f}s" if length_s.is_integer() else f"{1000 * length_s:.0f}ms")


@dataclass(frozen=True, slots=True)
class Selector:
    """The series of a metric whose labels match: label, `=~` or `!~`, and an expression for all of the value."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...] = ()

    def __str__(self) -> str:
        told = ",".join(f'{label}{sign}"{pattern}"' for label, sign, pattern in self.matchers)
        return f"{self.metric}{{{told}}}" if told else self.metric

    def holds(self, name: str, labels: Mapping[str, str]) -> bool:
        """As Prometheus has it: a label that is not there is empty."""
        return name == self.metric and all(
            (re.fullmatch(pattern, labels.get(label, "")) is not None) == (sign == "=~")
            for label, sign, pattern in self.matchers
        )


@dataclass(frozen=True, slots=True)
class Durations:
    """A histogram in seconds: what it gained in the window, by bucket."""

    buckets: Selector

    @property
    def questions(self) -> Questions:
        return Questions(query=f"sum by (le) (increase({self.buckets}[{WINDOW}]))", newest=_newest(self.buckets))


@dataclass(frozen=True, slots=True)
class Events:
    """Counters: how many `events` the window had `of` so many things. Where they `may_lack`, there is none before the first."""

    events: Selector
    of: Selector
    may_lack: bool = False

    @property
    def questions(self) -> Questions:
        # increase() does not see the first event of a series that the event itself has brought about; and what counts
        # is its highest value, as its process may have ended since, or begun anew.
        new = f"max_over_time({self.events}[{WINDOW}]) unless {self.events} offset {WINDOW}"
        query = f"sum(({new}) or increase({self.events}[{WINDOW}]))"
        query = f"({query} or vector(0))" if self.may_lack else query
        return Questions(query=query, newest=_newest(self.of), samples=_gained(self.of))


@dataclass(frozen=True, slots=True)
class Level:
    """A gauge for each algorithm: the `worst`, "min" or "max", of all; `set_by` counts how often it was set."""

    gauge: Selector
    worst: str
    set_by: Selector

    @property
    def questions(self) -> Questions:
        over = "avg_over_time" if self.worst == "min" else "max_over_time"
        # min() and max() pass over NaN, and a sum does not.
        unsound = f"0 * sum(sum_over_time({self.gauge}[{WINDOW}]))"
        query = f"{self.worst}({over}({self.gauge}[{WINDOW}])) + {unsound}"
        return Questions(query=query, newest=_newest(self.gauge), samples=_gained(self.set_by))


Indicator = Durations | Events | Level


def _gained(counter: Selector) -> str:
    return f"sum(increase({counter}[{WINDOW}]))"


def _newest(read: Selector) -> str:
    return f"min(timestamp({read}))"


# Probes and scrapes always do well, and would hide how people fare.
_PEOPLE = ("route", "!~", "/metrics|/health.*")
_UPDATES = Selector("artisan_rl_updates_total")
INDICATORS: Mapping[str, Indicator] = {
    "llm_fast": Durations(Selector("artisan_brief_duration_seconds_bucket", (("mode", "=~", "fast"),))),
    "llm_balanced": Durations(Selector("artisan_brief_duration_seconds_bucket", (("mode", "=~", "balanced"),))),
    "llm_creative": Durations(Selector("artisan_brief_duration_seconds_bucket", (("mode", "=~", "creative"),))),
    "api": Durations(Selector("http_request_duration_seconds_bucket", (_PEOPLE,))),
    # Of requests whose status is no number, such as 5xx, nobody knows that one which fails would be seen.
    "errors": Events(
        Selector("http_requests_total", (_PEOPLE, ("status", "=~", "5.."))),
        Selector("http_requests_total", (_PEOPLE, ("status", "=~", "[1-5][0-9][0-9]"))),
        may_lack=True,
    ),
    "schema_failures": Events(
        Selector("artisan_brief_schema_failures_total"), Selector("artisan_member_requests_total")
    ),
    "episode_return": Level(Selector("artisan_rl_episode_return"), "min", _UPDATES),
    "kl": Level(Selector("artisan_rl_kl"), "max", _UPDATES),
}
