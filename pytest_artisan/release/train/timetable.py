"""`[tool.artisan.train]`: when the trains run, and when they do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from pytest_artisan.release.train.times import DAYS, WEEK, days_between, moment, since_monday, zone_complaint
from pytest_artisan.settings import Table, artisan_of, convert, seconds

Stop = Literal["stg", "prod"]
STOPS: tuple[Stop, ...] = ("stg", "prod")
WHERE = "pyproject.toml [tool.artisan]"
_LONGEST_OPEN_S = 86_400.0
_YEARS = (2000, 2100)


class Freeze(Table, frozen=True):
    """No deployment from `from` to `to`, to one environment or to both.

    Local date-times, `to` itself is no longer frozen; or dates, of which both are frozen as a whole.
    """

    from_: Any = msgspec.field(name="from")
    to: Any
    why: Annotated[str, Meta(pattern=r"\S")]
    only: Stop | None = None

    def lint(self) -> Iterator[str]:
        for key, given in (("from", self.from_), ("to", self.to)):
            if not isinstance(given, date) or (isinstance(given, datetime) and given.tzinfo):
                yield f"{key}: expected a date, or a date and a time without an offset"
                return
            if not _YEARS[0] <= given.year <= _YEARS[1]:
                yield f"{key}: {given} is not within the years {_YEARS[0]} to {_YEARS[1]}"
                return
        if self.begin >= self.end:
            yield f"to: {self.to} is not after from: {self.from_}"

    @property
    def begin(self) -> datetime:
        """The first local time that is frozen."""
        return _midnight(self.from_)

    @property
    def end(self) -> datetime:
        """The first local time that is no longer frozen."""
        return self.to if isinstance(self.to, datetime) else _midnight(self.to + timedelta(days=1))


def _midnight(given: date) -> datetime:
    return given if isinstance(given, datetime) else datetime.combine(given, time())


@dataclass(frozen=True, slots=True)
class Run:
    """One week's trains, in moments of UTC; `regression` are its first and its last day, and `tag` its candidate's."""

    freeze: datetime
    go_no_go: datetime
    stg: datetime
    prod: datetime
    regression: tuple[date, date]
    tag: str

    def departure(self, stop: Stop) -> datetime:
        return self.stg if stop == "stg" else self.prod


class Train(Table, frozen=True):
    """Moments of a week in the time zone `zone`; a deployment may begin for `open` after its train's departure.

    `freeze` to `prod` come in this order, and a week later again.
    """

    zone: str = "UTC"
    freeze: str = "Mon 18:00"
    go_no_go: str = "Tue 09:00"
    stg: str = "Tue 10:00"
    regression: str = "Tue-Thu"
    prod: str = "Fri 10:00"
    open: str = "4h"
    freezes: tuple[Freeze, ...] = ()

    def lint(self) -> Iterator[str]:
        complaints = [*self._each()]
        yield from complaints or self._together()

    def _each(self) -> Iterator[str]:
        complaint = zone_complaint(self.zone)
        if complaint:
            yield f"zone: {complaint}"
        readers = {"open": seconds, "regression": days_between}
        for key in ("freeze", "go_no_go", "stg", "regression", "prod", "open"):
            try:
                readers.get(key, since_monday)(getattr(self, key))
            except ValueError as error:
                yield f"{key}: {error}"
        for number, freeze in enumerate(self.freezes):
            yield from (f"freezes[{number}].{complaint}" for complaint in freeze.lint())

    def _together(self) -> Iterator[str]:
        if seconds(self.open) > _LONGEST_OPEN_S:
            yield f"open: {self.open!r} is longer than a day"
        names = ("freeze", "go_no_go", "stg", "prod")
        for before, after in pairwise(names):
            if self._after_freeze(before) >= self._after_freeze(after):
                yield f"{after}: {getattr(self, after)!r} is not after {before} {getattr(self, before)!r}"
                return
        run = self._run(datetime(2001, 1, 1) + since_monday(self.freeze))  # noqa: DTZ001 - a Monday by the clock
        first, last = run.regression
        stg, prod = (at.astimezone(self.tz).date() for at in (run.stg, run.prod))
        if not stg <= first <= last <= prod:
            yield f"regression: {self.regression!r} is not between stg {self.stg!r} and prod {self.prod!r}"

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @property
    def opening(self) -> timedelta:
        """How long after a departure a deployment may begin."""
        return timedelta(seconds=seconds(self.open))

    def runs(self, now: datetime) -> Iterator[Run]:
        """Every run that is not over at `now`, without an end."""
        today = now.astimezone(self.tz).date()
        freeze = _midnight(today - timedelta(days=today.weekday())) + since_monday(self.freeze) - 2 * WEEK
        while True:
            run = self._run(freeze)
            if now < run.prod + self.opening:
                yield run
            freeze += WEEK

    def _run(self, freeze: datetime) -> Run:
        """The run whose freeze is at that local time."""
        local = {key: freeze + self._after_freeze(key) for key in ("freeze", "go_no_go", "stg", "prod")}
        first, last = days_between(self.regression)
        begin = local["stg"].date()
        begin += timedelta(days=(first - begin.weekday()) % len(DAYS))
        return Run(
            **{key: moment(at, self.tz) for key, at in local.items()},
            regression=(begin, begin + timedelta(days=(last - first) % len(DAYS))),
            tag=f"release-candidate-{freeze:%Y%m%d}",
        )

    def _after_freeze(self, key: str) -> timedelta:
        return (since_monday(getattr(self, key)) - since_monday(self.freeze)) % WEEK

    def span(self, freeze: Freeze) -> tuple[datetime, datetime]:
        """The moments between which it forbids deployments; the second is the first at which it does not."""
        return moment(freeze.begin, self.tz), moment(freeze.end, self.tz, last=True)

    def frozen(self, stop: Stop, at: datetime) -> tuple[Freeze, datetime] | None:
        """Of what forbids a deployment at that moment, the one that ends last, and when."""
        spans = ((freeze, *self.span(freeze)) for freeze in self.freezes if freeze.only in (None, stop))
        found = ((freeze, end) for freeze, begin, end in spans if begin <= at < end)
        return max(found, key=lambda pair: pair[1], default=None)


def train_of(artisan: Mapping[str, Any], where: str = WHERE) -> Train:
    """The train of the table [tool.artisan]; raises SettingsError, which `where` begins."""
    return convert(artisan.get("train", {}), Train, f"{where} train")


def load_train(root: Path) -> Train:
    """The train of the project at `root`; raises SettingsError."""
    return train_of(artisan_of(root))
