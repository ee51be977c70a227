"""The train's moments, against glibc's date(1) and python-dateutil, and what must hold for any freeze."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil import tz
from dateutil.rrule import WEEKLY, rrule
from hypothesis import given
from hypothesis import strategies as st

from pytest_artisan.release.train.times import moment
from pytest_artisan.release.train.timetable import Run, Stop, Train
from pytest_artisan.release.train.windows import permission
from pytest_artisan.settings import SettingsError, convert

# Half an hour, an hour and two hours forward; back and forth around Ramadan; at midnight, on Fridays and on Sundays.
ZONES = [
    "UTC", "Asia/Seoul", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo",
    "Africa/Casablanca", "Antarctica/Troll", "Africa/Cairo", "America/Santiago",
]  # fmt: skip
USUAL = Train()
# Where clocks are put forward or back.
ODD = Train(freeze="Fri 00:30", go_no_go="Sun 00:15", stg="Sun 01:30", prod="Sun 02:20", regression="Sun-Sun")
MOMENTS = ("freeze", "go_no_go", "stg", "prod")
DAY = {"Mon": 0, "Tue": 1, "Wed": 2, "Thu": 3, "Fri": 4, "Sat": 5, "Sun": 6}


def train_in(zone: str, like: Train, **keys: Any) -> Train:
    plain = {key: getattr(like, key) for key in Train.__struct_fields__ if key != "freezes"}
    return convert({**plain, "zone": zone, **keys}, Train, "train")


def runs(train: Train, first: int, last: int) -> list[Run]:
    begin, end = (datetime(year, 1, 1, tzinfo=UTC) for year in (first, last + 1))
    return list(takewhile(lambda run: run.freeze < end, train.runs(begin)))


@cache
def of_twenty_years(zone: str, like: Train) -> list[Run]:
    return runs(train_in(zone, like), 2018, 2037)


def by_date(zone: str, seconds: list[int]) -> list[str]:
    """What date(1) shows in that zone."""
    tool = shutil.which("date")
    assert tool is not None
    text = "".join(f"@{number}\n" for number in seconds)
    done = subprocess.run(
        [tool, "-f", "-", "+%F %T"],
        input=text,
        env={"TZ": zone, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("zone", "like"),
    [*((zone, ODD) for zone in ZONES), *((zone, USUAL) for zone in ZONES[1:2])],
    ids=lambda given: {id(USUAL): "usual", id(ODD): "odd"}.get(id(given)),
)
def test_every_moment_of_twenty_years_is_the_first_that_date_shows(zone: str, like: Train) -> None:
    found = of_twenty_years(zone, like)
    assert len(found) >= 1042
    backs = (0, 1, 1800, 3600, 7200)
    at = [int(getattr(run, key).timestamp()) - back for key in MOMENTS for run in found for back in backs]
    texts = iter(zip(*[iter(by_date(zone, at))] * len(backs), strict=True))
    for key in MOMENTS:
        weekday, clock = getattr(like, key).split()
        days = []
        for _ in found:
            shown, just_before, *earlier = next(texts)
            days.append(date.fromisoformat(shown[:10]))
            meant = f"{days[-1]} {clock}:00"
            if shown == meant:
                assert meant not in earlier, "clocks showed it before"
            else:
                assert just_before < meant < shown, "clocks skip it"
        assert days == [days[0] + timedelta(weeks=week) for week in range(len(found))]
        assert days[0].weekday() == DAY[weekday]


@pytest.mark.parametrize("zone", ZONES[1:7])
def test_every_moment_of_twenty_years_is_the_one_of_dateutil(zone: str) -> None:
    found = of_twenty_years(zone, ODD)
    there = tz.gettz(zone)
    assert there is not None
    for key in MOMENTS:
        weekday, clock = getattr(ODD, key).split()
        hour, minute = map(int, clock.split(":"))
        start = datetime.combine((found[0].freeze - timedelta(days=3)).date(), datetime.min.time())
        rule = rrule(WEEKLY, dtstart=start, count=len(found) + 3, byweekday=DAY[weekday], byhour=hour, byminute=minute)
        oracle = []
        for local in rule:
            while not tz.datetime_exists(local, there):
                local += timedelta(minutes=1)
            oracle.append(local.replace(tzinfo=there, fold=0).astimezone(UTC))
        ours = [getattr(run, key) for run in found]
        begin = oracle.index(ours[0])
        assert ours == oracle[begin : begin + len(ours)]


KNOWN = [
    # Local, and in UTC the first and the last time that it is that late.
    ("America/New_York", "2026-03-08 02:30", "2026-03-08 07:00", "2026-03-08 07:00"),
    ("America/New_York", "2026-11-01 01:30", "2026-11-01 05:30", "2026-11-01 06:30"),
    ("Europe/Berlin", "2026-03-29 02:00", "2026-03-29 01:00", "2026-03-29 01:00"),
    ("Europe/Berlin", "2026-10-25 03:00", "2026-10-25 02:00", "2026-10-25 02:00"),
    ("Australia/Lord_Howe", "2026-10-04 02:10", "2026-10-03 15:30", "2026-10-03 15:30"),
    ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04 14:45", "2026-04-04 15:15"),
    ("America/Sao_Paulo", "2018-11-04 00:20", "2018-11-04 03:00", "2018-11-04 03:00"),
    ("Antarctica/Troll", "2026-03-29 01:30", "2026-03-29 01:00", "2026-03-29 01:00"),
    # A Friday that Samoa never had.
    ("Pacific/Apia", "2011-12-30 10:00", "2011-12-30 10:00", "2011-12-30 10:00"),
    ("Asia/Seoul", "2026-11-24 10:00:00.25", "2026-11-24 01:00:00.25", "2026-11-24 01:00:00.25"),
]


@pytest.mark.parametrize(("zone", "local", "first", "last"), KNOWN)
def test_a_time_that_comes_twice_or_never(zone: str, local: str, first: str, last: str) -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    naive = at(local).replace(tzinfo=None)
    assert moment(naive, ZoneInfo(zone)) == at(first)
    assert moment(naive, ZoneInfo(zone), last=True) == at(last)


minutes = st.integers(0, 3 * 366 * 1440)


@given(zone=st.sampled_from([*ZONES, "Pacific/Apia"]), first=minutes, step=st.integers(0, 3000), last=st.booleans())
def test_what_is_later_by_the_clock_is_never_earlier(zone: str, first: int, step: int, last: bool) -> None:
    early = datetime(2010, 6, 1) + timedelta(minutes=first)  # noqa: DTZ001 - by the clock
    late = early + timedelta(minutes=step)
    assert moment(early, ZoneInfo(zone), last=last) <= moment(late, ZoneInfo(zone), last=last)


# A fortnight around New York's skip, so that freezes and windows overlap often.
START = datetime(2026, 3, 1)  # noqa: DTZ001 - by the clock
spans = st.tuples(st.integers(0, 14 * 24), st.integers(1, 120), st.sampled_from(["stg", "prod", None]))


def frozen_train(freezes: list[tuple[int, int, Stop | None]]) -> Train:
    tables = [
        {"from": START + timedelta(hours=at), "to": START + timedelta(hours=at + hours), "why": "x"}
        | ({"only": only} if only else {})
        for at, hours, only in freezes
    ]
    return train_in("America/New_York", ODD, freezes=tables, open="24h")


OF_2026 = runs(frozen_train([]), 2026, 2026)


@given(freezes=st.lists(spans, max_size=8), minute=st.integers(0, 14 * 1440), stop=st.sampled_from(["stg", "prod"]))
def test_a_freeze_counts_more_than_a_window(
    freezes: list[tuple[int, int, Stop | None]], minute: int, stop: Stop
) -> None:
    train = frozen_train(freezes)
    zone = ZoneInfo("America/New_York")
    now = START.replace(tzinfo=zone).astimezone(UTC) + timedelta(minutes=minute)
    local = now.astimezone(zone).replace(tzinfo=None)
    # By the clock, which in this fortnight skips and never repeats.
    denied = any(
        START + timedelta(hours=at) <= local < START + timedelta(hours=at + hours)
        for at, hours, only in freezes
        if only in (None, stop)
    )
    allowed = any(run.departure(stop) <= now < run.departure(stop) + timedelta(hours=24) for run in OF_2026)
    found = permission(train, stop, now)
    assert found.go == (allowed and not denied)
    assert permission(train, "dev", now).go
    if found.next is not None:
        assert now < found.next
        assert permission(train, stop, found.next).go
        step = (found.next - now) / 7
        assert not any(permission(train, stop, now + step * part).go for part in range(7))
        assert not permission(train, stop, found.next - timedelta(microseconds=1)).go


def test_windows_and_freezes_are_half_open() -> None:
    train = train_in("Asia/Seoul", USUAL, freezes=[
        {"from": datetime(2026, 11, 24, 11), "to": datetime(2026, 11, 24, 12), "why": "board"},  # noqa: DTZ001
        {"from": date(2026, 12, 24), "to": date(2026, 12, 25), "why": "Christmas", "only": "prod"},
    ])  # fmt: skip

    def go(text: str, stop: Stop = "stg") -> bool:
        at = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Seoul"))
        return permission(train, stop, at.astimezone(UTC)).go

    states = {
        "2026-11-24T09:59:59.999999": False, "2026-11-24T10:00": True, "2026-11-24T10:59:59.999999": True,
        "2026-11-24T11:00": False, "2026-11-24T11:59:59.999999": False, "2026-11-24T12:00": True,
        "2026-11-24T13:59:59.999999": True, "2026-11-24T14:00": False,
    }  # fmt: skip
    assert {text: go(text) for text in states} == states
    assert not go("2026-12-25T10:00", "prod"), "a date is frozen as a whole"
    assert go("2027-01-01T10:00", "prod")


def test_a_freeze_ends_when_clocks_show_its_end_for_the_last_time() -> None:
    freeze = {"from": date(2026, 10, 31), "to": datetime(2026, 11, 1, 1, 30), "why": "x"}  # noqa: DTZ001 - by the clock
    train = train_in("America/New_York", ODD, open="24h", freezes=[freeze])
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert next(train.runs(first)).stg == first, "the train leaves when they show it for the first time"
    states = {minutes: permission(train, "stg", first + timedelta(minutes=minutes)).go for minutes in (0, 59, 60)}
    assert states == {0: False, 59: False, 60: True}


REFUSED = [
    ({"zone": "Asia/Soul"}, "zone: 'Asia/Soul' is no time zone; the nearest is 'Asia/Seoul'"),
    ({"zone": "localtime"}, "zone: 'localtime' is no time zone"),
    ({"zone": "right/UTC"}, "zone"),
    ({"zone": "../../etc/passwd"}, "zone"),
    ({"zone": "America"}, "zone: 'America' is no time zone"),
    ({"zone": ""}, "zone: '' is no time zone; write one such as Asia/Seoul"),
    ({"zone": "A\0\udcff"}, "zone"),
    ({"zone": "A" * 5000}, "zone"),
    ({"zone": 9}, "zone: expected str"),
    ({"freeze": "Monday 18:00"}, "freeze: 'Monday 18:00' is no moment of a week; write one such as 'Tue 10:00'"),
    ({"stg": "Tue 24:00"}, "stg: 'Tue 24:00' is no moment of a week"),
    ({"stg": "Tue 9:00"}, "stg"),
    ({"stg": "Tue 1\uff10:00"}, "stg"),
    ({"prod": "Tue 10:00"}, "prod: 'Tue 10:00' is not after stg 'Tue 10:00'"),
    ({"go_no_go": "Wed 09:00"}, "stg: 'Tue 10:00' is not after go_no_go 'Wed 09:00'"),
    ({"go_no_go": "Mon 18:00"}, "go_no_go: 'Mon 18:00' is not after freeze 'Mon 18:00'"),
    ({"regression": "Tue"}, "regression: 'Tue' are no days of a week; write some such as 'Tue-Thu'"),
    ({"regression": "Tue-Sat"}, "regression: 'Tue-Sat' is not between stg 'Tue 10:00' and prod 'Fri 10:00'"),
    ({"regression": "Mon-Wed"}, "regression: 'Mon-Wed' is not between"),
    ({"open": "4 hours"}, "open: '4 hours' is no duration"),
    ({"open": "25h"}, "open: '25h' is longer than a day"),
    ({"opens": "4h"}, "has no key 'opens'; the nearest is 'open'"),
    ({"freezes": [{"from": "2026-12-24", "to": "2026-12-25", "why": "x"}]}, "freezes[0].from: expected a date"),
    ({"freezes": [{"from": datetime(2026, 1, 1, tzinfo=UTC), "to": START, "why": "x"}]}, "without an offset"),
    ({"freezes": [{"from": START, "to": START, "why": "x"}]}, "freezes[0].to: 2026-03-01 00:00:00 is not after from"),
    ({"freezes": [{"from": START.date(), "to": date.max, "why": "x"}]}, "freezes[0].to: 9999-12-31 is not within"),
    ({"freezes": [{"from": START, "why": "x"}]}, "freezes[0]: Object missing required field to"),
    ({"freezes": [{"from": START, "to": START, "why": " "}]}, "freezes[0].why"),
    ({"freezes": [{"from": START, "to": START, "why": "x", "only": "dev"}]}, "freezes[0].only"),
    ({"freezes": [{"form": START, "to": START, "why": "x"}]}, "has no key 'form'; the nearest is 'from'"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "told"), REFUSED, ids=[f"{row}-{told:.30}" for row, (_, told) in enumerate(REFUSED)])
def test_a_train_that_can_not_be_meant_is_refused_in_one_line(table: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as error:
        convert(table, Train, "pyproject.toml [tool.artisan] train")
    assert told in str(error.value)
    assert str(error.value).startswith("pyproject.toml [tool.artisan] train")
    assert str(error.value).isprintable()
