"""Local times of a zone as moments, also on the days when a clock is put forward or back."""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEK = timedelta(weeks=1)


def moment(local: datetime, zone: ZoneInfo, *, last: bool = False) -> datetime:
    """The moment, in UTC, at which the zone's clocks show the naive time `local`.

    Of a time that comes twice it is the first, or the `last`. A time that is skipped counts as the moment of the skip,
    the first one that exists: so what is later by the clock is never earlier in truth.
    """
    early, late = sorted(local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early == late or _by_the_clock(early, zone) == local:
        return late if last else early
    while late - early > timedelta(seconds=1):
        # The skip lies between the two; what comes before it shows less than `local`.
        middle = early + (late - early) // 2
        early, late = (middle, late) if _by_the_clock(middle, zone) < local else (early, middle)
    return late.replace(microsecond=0)


def shown(at: datetime, zone: ZoneInfo) -> str:
    """A moment for people, as the zone's clocks show it, with their offset."""
    local = at.astimezone(zone)
    return f"{local:%a %Y-%m-%d %H:%M} {local.isoformat(timespec='minutes')[16:]}"


def _by_the_clock(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def zone_complaint(name: str) -> str | None:
    """What is wrong with the name of a time zone; None where it is one of the IANA's."""
    try:
        # Files beside them, such as `localtime` and those with leap seconds, begin with a small letter.
        if re.match("[A-Z]", name):
            ZoneInfo(name)
            return None
    except (LookupError, ValueError, OSError):
        pass
    near = difflib.get_close_matches(name, available_timezones(), n=1, cutoff=0.4)
    return f"{name!r} is no time zone; {f'the nearest is {near[0]!r}' if near else 'write one such as Asia/Seoul'}"


@cache
def since_monday(text: str) -> timedelta:
    """A moment of the week, such as "Tue 10:00", as the time since Monday's midnight; raises ValueError."""
    match = re.fullmatch(rf"({'|'.join(DAYS)}) ([01]\d|2[0-3]):([0-5]\d)", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is no moment of a week; write one such as 'Tue 10:00', with {', '.join(DAYS)}")
    return timedelta(days=DAYS.index(match[1]), hours=int(match[2]), minutes=int(match[3]))


def days_between(text: str) -> tuple[int, int]:
    """Days such as "Tue-Thu" as the numbers of the first and the last; raises ValueError."""
    match = re.fullmatch(rf"({'|'.join(DAYS)})-({'|'.join(DAYS)})", text)
    if match is None:
        raise ValueError(f"{text!r} are no days of a week; write some such as 'Tue-Thu', with {', '.join(DAYS)}")
    return DAYS.index(match[1]), DAYS.index(match[2])
