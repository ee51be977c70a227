"""What a gate measured as pictures, each with its numbers as a table beside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_artisan.reports.chart import brief, drawable, log_range, staircase
from pytest_artisan.reports.drawing import LogScale, Scale, Sheet
from pytest_artisan.verdict.decide import GateVerdict
from pytest_artisan.verdict.evidence import Bound, Finding, Measurement, Points, Samples
from pytest_artisan.verdict.judge import judge, quantity

WIDTH, HEIGHT = 460, 250
_SMALL = 300
TOP, BOTTOM = 44, 204
_LEFT, _RIGHT = 64, 14
# More pictures of one gate show no more in a minute.
_MOST = 3
# A float's ends have no distance that a float can hold.
_FARTHEST = 1e300
_MOMENTS = 10
_SEVERITIES = ("critical", "high", "medium", "low", "none", "unknown")


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG of our own making, and the same as a table; of `small` ones three have room side by side."""

    title: str
    svg: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    small: bool = False


def pictures(gate: GateVerdict) -> list[Picture]:
    """Those that fit what the gate measured and found: of measurements with one name, the worst."""
    worst: dict[str, Measurement] = {}
    for m in sorted(gate.measurements, key=lambda m: not any(judge(m))):
        if m.samples is not None or (m.points is not None and m.points.rows):
            worst.setdefault(m.name, m)
    drawn = [picture for m in list(worst.values())[:_MOST] for picture in _of_measurement(m)]
    severities = [cell for found in gate.findings if (cell := found.details.get("severity"))]
    return [*drawn, *([_of_severities(gate.findings)] if severities else [])]


def _of_measurement(m: Measurement) -> Iterator[Picture]:
    if m.samples is not None:
        yield _distribution(drawable(m), m.samples)
        yield _moments(drawable(m), m.samples)
    if m.points is not None and m.points.rows:
        if m.points.joined:
            yield _curve(m, m.points)
        else:
            yield from _front(m.points)


def sheet_of(title: str, width: int = WIDTH) -> Sheet:
    return Sheet(title, width, HEIGHT, _LEFT, _RIGHT)


def _distribution(m: Measurement, samples: Samples) -> Picture:
    answered = sorted(value for value in samples.values if value is not None)
    n = len(samples.values)
    title = f"{m.name}: share of {n} that took at most this long"
    sheet = sheet_of(title)
    across = LogScale(Scale(*log_range(m, answered), sheet.left, sheet.right))
    up = Scale(0.0, 1.0, BOTTOM, TOP)
    sheet.ticks_up((up(share), f"{share:.0%}") for share in (0.0, 0.5, 0.95))
    ticks = ((across(tick), f"{tick:g}") for tick in across.ticks())
    sheet.ticks_across(BOTTOM, _apart(ticks, 46), f"{m.unit}, logarithmic")
    if m.interval is not None:
        low, high = map(across, m.interval)
        sheet.rect("band", low, TOP, round(max(high - low, 1), 1), BOTTOM - TOP)
    if answered:
        sheet.path("curve", staircase(answered, n, across, up))
    # The labels on the sides that look away from each other.
    is_over = m.value is not None and m.limit is not None and m.value > m.limit.value
    if m.value is not None:
        _post(sheet, "value", across(m.value), f"{m.name[:24]} {brief(m.value, m.unit)}", 14, is_left=not is_over)
    if m.limit is not None:
        _post(sheet, "limit", across(m.limit.value), f"limit {brief(m.limit.value, m.unit)}", 32, is_left=is_over)
    return Picture(title, str(sheet), ("quantile", m.unit), tuple(_quantiles(answered, n)))


def _apart(ticks: Iterable[tuple[float, str]], room: float) -> Iterator[tuple[float, str]]:
    """Without those that stand too close to the one before."""
    before = math.inf
    for place, label in ticks:
        if abs(place - before) >= room:
            yield place, label
            before = place


def _post(sheet: Sheet, kind: str, x: float, label: str, y: int, *, is_left: bool) -> None:
    """A line from the ground, with its label at its top, on that side or on the one that has room."""
    sheet.path(kind, f"M{x} {BOTTOM}V{y - 6}")
    room = 8 * len(label)
    is_left = (is_left or x + room > WIDTH) and x > room
    sheet.text(kind, x - 6 if is_left else x + 6, y + 4, label, "end" if is_left else "start")


def _quantiles(answered: Sequence[float], n: int) -> Iterator[tuple[str, str]]:
    """By nearest rank of all; what failed took for ever."""
    for share in (0.5, 0.75, 0.9, 0.95, 0.99, 1.0):
        rank = max(math.ceil(share * n), 1) - 1
        yield f"{share:.0%}", brief(answered[rank]) if rank < len(answered) else "failed"
    yield "failed", f"{n - len(answered)} of {n}"


def _moments(m: Measurement, samples: Samples) -> Picture:
    title = f"{m.name}: each one by the time it was due"
    sheet = sheet_of(title)
    answered = [(at, value) for at, value in zip(samples.at, samples.values, strict=True) if value is not None]
    times = Scale(_held(min((0.0, *samples.at))), _held(max((*samples.at, 1e-3))), sheet.left, sheet.right)
    up = LogScale(Scale(*log_range(m, [value for _, value in answered]), BOTTOM, TOP))
    sheet.ticks_up(_apart(((up(tick), brief(tick, m.unit)) for tick in up.ticks()), 17))
    sheet.ticks_across(BOTTOM, ((times(tick), f"{tick:g}") for tick in times.ticks()), "seconds")
    for kind, is_over in (("dots", False), ("over", True)):
        places = {(times(at), up(value)): None for at, value in answered if _is_over(m, value) is is_over}
        sheet.path(kind, "".join(f"M{x:g} {y:g}h0" for x, y in places))
    failed = {times(at): None for at, value in zip(samples.at, samples.values, strict=True) if value is None}
    sheet.path("failed", "".join(f"M{x - 3:.1f} {TOP - 10}l6 6m0 -6l-6 6" for x in failed))
    if failed:
        sheet.text("bad", sheet.left, 18, f"x {samples.values.count(None)} failed")
    if m.limit is not None:
        sheet.path("limit", f"M{sheet.left} {up(m.limit.value)}H{sheet.right}")
        sheet.text("limit", sheet.right, 18, f"¦ limit {brief(m.limit.value, m.unit)}", "end")
    head = ("seconds", "requests", "failed", *(f"{what}, {m.unit}" for what in ("median", "slowest", "sent late by")))
    return Picture(title, str(sheet), head, tuple(_by_moment(samples)))


def _is_over(m: Measurement, value: float) -> bool:
    return m.limit is not None and not m.limit.holds(value)


def _by_moment(samples: Samples) -> Iterator[tuple[str, ...]]:
    n = len(samples.at)
    for start, end in ((n * k // _MOMENTS, n * (k + 1) // _MOMENTS) for k in range(_MOMENTS)):
        if start < end:
            values = samples.values[start:end]
            answered = sorted(value for value in values if value is not None)
            told = [brief(answered[len(answered) // 2]), brief(answered[-1])] if answered else ["-", "-"]
            span = f"{samples.at[start]:.1f} to {samples.at[end - 1]:.1f}"
            late = brief(max(samples.late[start:end]))
            yield span, str(len(values)), str(len(values) - len(answered)), *told, late


def linear(numbers: Iterable[float], start: float, end: float) -> Scale:
    """A scale that holds all of these numbers, with some room around."""
    held = [_held(number) for number in numbers]
    low, high = min(held), max(held)
    room = max((high - low) * 0.06, abs(low) * 1e-6, abs(high) * 1e-6, 1e-9)
    return Scale(low - room, high + room, start, end)


def _held(number: float) -> float:
    return min(max(number, -_FARTHEST), _FARTHEST)


def _front(points: Points) -> Iterator[Picture]:
    """The first objective over each of the next ones; with one objective alone, over its rank."""
    columns = list(zip(*points.rows, strict=True))
    others = list(zip(points.axes, columns, strict=True))[1 : _MOST + 1] or [("rank", tuple(range(len(columns[0]))))]
    rows = tuple(tuple(f"{number:.4g}" for number in row) for row in points.rows)
    for name, column in others:
        title = f"{points.axes[0]} over {name}: {len(rows)} solutions that nothing beats"
        sheet = sheet_of(title, _SMALL)
        across, up = linear(column, sheet.left, sheet.right), linear(columns[0], BOTTOM, TOP)
        sheet.ticks_up((up(tick), f"{tick:.4g}") for tick in up.ticks())
        sheet.ticks_across(
            BOTTOM, ((across(tick), f"{tick:.4g}") for tick in across.ticks()), f"{name}: less is better"
        )
        sheet.text("muted", sheet.left, TOP - 22, f"{points.axes[0]}: less is better")
        sheet.path("front", "".join(f"M{across(x):g} {up(y):g}h0" for x, y in zip(column, columns[0], strict=True)))
        yield Picture(title, str(sheet), points.axes, rows, small=True)


def _curve(m: Measurement, points: Points) -> Picture:
    title = f"{m.name}: {points.axes[1]} by {points.axes[0]}"
    sheet = sheet_of(title)
    columns = list(zip(*points.rows, strict=True))
    across = linear(columns[0], sheet.left, sheet.right)
    up = linear((number for column in columns[1:4] for number in column), BOTTOM, TOP)
    sheet.ticks_up((up(tick), f"{tick:.4g}") for tick in up.ticks())
    sheet.ticks_across(BOTTOM, ((across(tick), f"{tick:.4g}") for tick in across.ticks()), points.axes[0])
    sheet.text("muted", sheet.left, TOP - 22, f"{points.axes[1]}{'; shaded: half of the runs' if columns[3:] else ''}")
    if columns[3:]:
        around = [*zip(columns[0], columns[2], strict=True), *reversed([*zip(columns[0], columns[3], strict=True)])]
        sheet.path("area", f"M{'L'.join(f'{across(x):g} {up(y):g}' for x, y in around)}Z")
    line = [f"{across(x):g} {up(y):g}" for x, y in zip(columns[0], columns[1], strict=True)]
    sheet.path("learnt", f"M{'L'.join(line)}")
    sheet.path("front", "".join(f"M{place}h0" for place in line))
    rows = tuple(tuple(f"{number:.4g}" for number in row) for row in points.rows)
    return Picture(title, str(sheet), points.axes, rows)


def _of_severities(findings: Sequence[Finding]) -> Picture:
    """How many of each severity, those that block apart from those that do not."""
    counted = Counter(
        (_severity(found.details.get("severity", "")), found.blocks) for found in findings if found.details
    )
    names = sorted({name for name, _ in counted}, key=_rank)
    title = f"{counted.total()} known vulnerabilities by severity"
    height = 26 * len(names) + 56
    sheet = Sheet(title, WIDTH, height, 84, 44)
    across = Scale(0, max(counted[name, True] + counted[name, False] for name in names), sheet.left, sheet.right)
    for row, name in enumerate(names):
        y, blocking, others = 34 + 26 * row, counted[name, True], counted[name, False]
        sheet.text("muted", sheet.left - 10, y + 13, name, "end", 12)
        middle, end = across(blocking), across(blocking + others)
        if blocking:
            sheet.rect("blocks", sheet.left, y, round(middle - sheet.left, 1), 18)
        if others:
            sheet.rect("waived", middle + 1, y, round(end - middle - 1, 1), 18)
        sheet.text("panel", end + 8, y + 13, str(blocking + others))
    sheet.text("bad", sheet.left, 18, "blocks")
    sheet.text("muted", sheet.left + 56, 18, "does not block")
    rows = tuple((name, str(counted[name, True]), str(counted[name, False])) for name in names)
    return Picture(title, str(sheet), ("severity", "block", "do not block"), rows)


def _severity(cell: str) -> str:
    """`exploited, critical 9.8` is critical; what an advisory does not rate is unknown."""
    words = cell.rpartition(", ")[2].split()
    return words[0] if words else "unknown"


def _rank(severity: str) -> tuple[int, str]:
    return (_SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES), severity)


def bar(m: Measurement) -> str:
    """The value beside its limit on a line of 96 by 12, empty where there is no room for both on one scale."""
    if m.value is None or m.limit is None or not 0 < m.limit.value < _FARTHEST or not 0 <= m.value < _FARTHEST:
        return ""
    if m.limit.bound is Bound.EQUAL_TO:
        return ""
    at = 0.68 if m.limit.bound in (Bound.AT_MOST, Bound.BELOW) else 0.32
    across = Scale(0.0, 1.0, 0, 96)
    sheet = Sheet(f"{quantity(m.value, m.unit)}, limit {quantity(m.limit.value, m.unit)}", 96, 12, 0, 0)
    sheet.rect("track", 0, 4, 96, 4)
    width = across(m.value / m.limit.value * at)
    sheet.rect("blocks" if any(judge(m)) else "holds", 0, 4, width, 4)
    if m.interval is not None and all(map(math.isfinite, m.interval)):
        low, high = (across(end / m.limit.value * at) for end in m.interval)
        sheet.path("span", f"M{low} 6H{high}")
    sheet.path("edge", f"M{across(at)} 0V12")
    return str(sheet)
