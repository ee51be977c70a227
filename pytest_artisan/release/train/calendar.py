"""The train's calendar, as lines and as iCalendar (RFC 5545)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import takewhile

from pytest_artisan.release.train.times import moment, shown
from pytest_artisan.release.train.timetable import Freeze, Run, Stop, Train
from pytest_artisan.release.train.windows import opening
from pytest_artisan.settings import one_line

_ROADS: dict[Stop, str] = {"stg": "dev -> stg", "prod": "stg -> prod"}


@dataclass(frozen=True, slots=True)
class Event:
    """What happens from `begin` to `end`, in UTC; `days` are whole ones of the train's zone. `key` never changes."""

    key: str
    text: str
    begin: datetime
    end: datetime
    days: bool = False
    cancelled: bool = False


def events(train: Train, now: datetime, until: datetime) -> list[Event]:
    """What happens from `now` to `until`, in order of time; what has begun and is not over is a part of it."""
    runs = takewhile(lambda run: run.freeze <= until, train.runs(now))
    found = [event for run in runs for event in _of_run(train, run)]
    found += [_of_freeze(train, freeze) for freeze in dict.fromkeys(train.freezes)]
    current = (event for event in found if event.begin <= until and (event.end > now or event.begin == now))
    return sorted(current, key=lambda event: (event.begin, event.key))


def _of_run(train: Train, run: Run) -> Iterator[Event]:
    first, last = run.regression
    begin = max(run.stg, moment(datetime.combine(first, time()), train.tz))
    end = moment(datetime.combine(last + timedelta(days=1), time()), train.tz)
    stg = _of_departure(train, run, "stg")
    off = ", cancelled" if stg.cancelled else ""
    tests = f"regression in stg, to {last:%a %Y-%m-%d}{off}"
    yield Event(f"{run.tag} freeze", f"feature freeze: {run.tag}", run.freeze, run.freeze)
    yield Event(f"{run.tag} go/no-go", f"go/no-go{off}", run.go_no_go, run.stg, cancelled=stg.cancelled)
    yield stg
    yield Event(f"{run.tag} tests", tests, begin, end, days=True, cancelled=stg.cancelled)
    yield _of_departure(train, run, "prod")


def _of_departure(train: Train, run: Run, stop: Stop) -> Event:
    departure = run.departure(stop)
    begin = opening(train, stop, run, departure)
    text = _ROADS[stop]
    frozen = train.frozen(stop, departure)
    if frozen:
        text += f", {'cancelled' if begin is None else 'late'}: {frozen[0].why}"
    end = departure + train.opening
    return Event(f"{run.tag} {stop}", text, begin or departure, end, cancelled=begin is None)


def _of_freeze(train: Train, freeze: Freeze) -> Event:
    begin, end = train.span(freeze)
    where = f"{f'to {freeze.only}' if freeze.only else 'at all'} until {shown(end, train.tz)}"
    days = not isinstance(freeze.from_, datetime) and not isinstance(freeze.to, datetime)
    key = f"{freeze.from_} {freeze.to} {freeze.only} {freeze.why}"
    return Event(key, f"no deployment {where}: {freeze.why}", begin, end, days=days)


def as_lines(train: Train, found: Iterable[Event], now: datetime) -> list[str]:
    """The events for people: local time, UTC, how long until then, and what."""
    return [
        f"{shown(event.begin, train.tz)}  {event.begin:%Y-%m-%d %H:%MZ}  {_until(event, now):>20}  {one_line(event.text)}"
        for event in found
    ]


def _until(event: Event, now: datetime) -> str:
    if event.begin <= now:
        return "now"
    minutes = -(-(event.begin - now) // timedelta(minutes=1))
    parts = ((minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min"))
    return "in " + " ".join(f"{number} {unit}" for number, unit in parts if number)


def as_icalendar(train: Train, found: Iterable[Event], now: datetime, project: str) -> str:
    """The events as a calendar that others can read; the same event of the same project has the same UID every time."""
    import icalendar

    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//pytest-artisan//release train//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", one_line(f"{project} release train".strip()))
    for event in found:
        entry = icalendar.Event()
        entry.add("uid", str(uuid.uuid5(uuid.NAMESPACE_URL, f"pytest-artisan train {project} {event.key}")))
        entry.add("dtstamp", now.astimezone(UTC))
        entry.add("dtstart", event.begin.astimezone(train.tz).date() if event.days else event.begin)
        if event.end > event.begin:
            entry.add("dtend", event.end.astimezone(train.tz).date() if event.days else event.end)
        entry.add("summary", one_line(event.text))
        entry.add("status", "CANCELLED" if event.cancelled else "CONFIRMED")
        calendar.add_component(entry)
    return bytes(calendar.to_ical()).decode()
