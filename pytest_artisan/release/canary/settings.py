"""`[tool.artisan.canary]`: its stages, how long each has to be watched, and the limits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any

from msgspec import Meta

from pytest_artisan.release.canary.machine import Plan, Soak
from pytest_artisan.release.flags.bucketing import buckets_of
from pytest_artisan.release.health import Limits
from pytest_artisan.release.observing.queries import Queries
from pytest_artisan.settings import SettingsError, Table, as_table, convert, seconds

_TOO_MANY = 1_000_000


class Stage(Table, frozen=True):
    """A share of users, in per cent, and how long it is watched before the next one."""

    percent: Annotated[float, Meta(gt=0, le=100)]
    soak: str = "30min"

    def lint(self) -> Iterator[str]:
        try:
            buckets_of(self.percent)
        except SettingsError:
            yield f"percent: {self.percent} is finer than 0.01"
        yield from _duration("soak", self.soak)


class Canary(Table, frozen=True):
    """`extensions`: how often a soak may be repeated while nothing is shown; then it goes back. `look`: between two looks."""

    stages: tuple[Stage, ...] = (
        Stage(percent=1, soak="10min"),
        Stage(percent=5, soak="20min"),
        Stage(percent=25, soak="30min"),
        Stage(percent=100),
    )
    extensions: Annotated[int, Meta(ge=0)] = 2
    look: str = "15s"
    limits: Limits = Limits()
    queries: Queries = Queries()

    def lint(self) -> Iterator[str]:
        if not self.stages:
            yield "stages is empty"
        for first, second in pairwise(self.stages):
            if first.percent >= second.percent:
                yield f"stages: {second.percent:g} does not come after {first.percent:g}"
        wrong = [
            *(f"stages {complaint}" for one in self.stages for complaint in one.lint()),
            *_duration("look", self.look),
        ]
        yield from wrong
        for one in () if wrong else self.stages:
            if not 0 < self._looks(one) < _TOO_MANY:
                yield f"stages soak: {one.soak} by looks of {self.look}; allowed are 1 to {_TOO_MANY - 1:,} looks"
        yield from (f"limits {complaint}" for complaint in self.limits.lint())
        yield from self.queries.lint()

    def plan(self, percent: float | None, reached: float) -> Plan:
        """The stages of a canary in looks: one alone, or, for None, all; `reached` per cent have the change already.

        A stage that the policy does not know soaks as long as the one before it. Raises SettingsError where it would take
        the change from anybody, or nobody is left to get it.
        """
        if reached >= 100:
            raise SettingsError(
                "everybody has been moved already; artisan flags enable or disable sets a new beginning"
            )
        if percent is None:
            stages = [one for one in self.stages if one.percent >= reached]
        elif percent < reached:
            raise SettingsError(
                f"{percent:g} %: {reached:g} % have the change already, and no stage takes it from them"
            )
        else:
            before = [one for one in self.stages if one.percent <= percent] or self.stages[:1]
            stages = [Stage(percent=percent, soak=before[-1].soak)]
            for complaint in stages[0].lint():
                raise SettingsError(complaint)
        if not stages:
            raise SettingsError(f"{reached:g} % have the change already, and no stage is above that")
        return Plan(tuple(Soak(one.percent, self._looks(one)) for one in stages), self.extensions)

    def _looks(self, stage: Stage) -> int:
        return math.ceil(min(_TOO_MANY, seconds(stage.soak) / seconds(self.look)))


def canary_of(artisan: Mapping[str, Any], where: str) -> Canary:
    """The table of [tool.artisan]; raises SettingsError, which `where` begins."""
    return convert(as_table(artisan.get("canary", {}), f"{where} canary"), Canary, f"{where} canary")


def _duration(key: str, text: str) -> Iterator[str]:
    try:
        seconds(text)
    except ValueError as error:
        yield f"{key}: {error}"
