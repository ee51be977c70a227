"""A measurement's sample as one picture: how it is distributed, when what happened, and whether it was sent in time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pytest_artisan.reports.drawing import Card, LogScale, Scale, Sheet, logarithm
from pytest_artisan.verdict.evidence import Measurement, Samples
from pytest_artisan.verdict.judge import describe, judge, quantity, reach

_WIDTH, _HEIGHT = 880, 704
# Top and bottom of each panel.
_DISTRIBUTION, _TIMELINE, _LATENESS = (108, 304), (378, 574), (618, 654)
_FAILED_ROW = 16
_MOST_DOTS = 1500
# Of the limit: lateness below it is drawn as small as it is, beside what would matter.
_LATENESS_SCALE = 0.05
_LIMIT = ("bad", "¦ limit")


def as_svg(measurement: Measurement) -> str:
    """One SVG that stands alone; where the measurement has no samples, its axes are empty."""
    m, samples = drawable(measurement), measurement.samples or Samples((), (), ())
    sheet = Card(describe(measurement), _WIDTH, _HEIGHT)
    _head(sheet, measurement, samples)
    answered = [(at, value) for at, value in zip(samples.at, samples.values, strict=True) if value is not None]
    latencies = log_range(m, [value for _, value in answered])
    _distribution(sheet, m, sorted(value for _, value in answered), len(samples.values), latencies)
    times = Scale(0.0, max((*samples.at, 1e-3)), sheet.left, sheet.right)
    up = LogScale(Scale(*latencies, _TIMELINE[1], _TIMELINE[0] + _FAILED_ROW))
    _timeline(sheet, m, answered, times, up)
    failed = {times(at): None for at, value in zip(samples.at, samples.values, strict=True) if value is None}
    sheet.path("failed", "".join(f"M{x - 3:.1f} {_TIMELINE[0] + 5}l6 6m0 -6l-6 6" for x in failed))
    _lateness(sheet, m, samples, times)
    return str(sheet)


def drawable(m: Measurement) -> Measurement:
    """Without the numbers that have no place on an axis."""
    value = m.value if m.value is not None and math.isfinite(m.value) else None
    interval = m.interval if m.interval is not None and all(map(math.isfinite, m.interval)) else None
    limit = m.limit if m.limit is not None and math.isfinite(m.limit.value) else None
    return replace(m, value=value, interval=interval, limit=limit)


def log_range(m: Measurement, numbers: Sequence[float]) -> tuple[float, float]:
    """The logarithms between which all that is drawn lies."""
    marks = [*(m.interval or ()), *([] if m.value is None else [m.value]), *([m.limit.value] if m.limit else [])]
    logs = [logarithm(number) for number in (*numbers, *marks) if number > 0] or [0.0]
    room = max((max(logs) - min(logs)) * 0.03, 0.03)
    return min(logs) - room, max(logs) + room


def _head(sheet: Sheet, m: Measurement, samples: Samples) -> None:
    is_wrong = any(judge(m))
    failed = samples.values.count(None)
    told = [f"in doubt: {m.doubt}" if m.doubt else reach(m), f"{failed} of {len(samples.values)} failed"]
    sheet.path("mark bad" if is_wrong else "mark good", "M26 24l12 12m0 -12l-12 12" if is_wrong else "M25 31l5 6 9 -13")
    sheet.text("title", 50, 36, describe(m), most=75)
    sheet.text("muted", 50, 58, " · ".join(filter(None, told)), most=120)


def _distribution(
    sheet: Sheet, m: Measurement, ordered: Sequence[float], n: int, latencies: tuple[float, float]
) -> None:
    top, bottom = _DISTRIBUTION
    across, up = LogScale(Scale(*latencies, sheet.left, sheet.right)), Scale(0.0, 1.0, bottom, top)
    legend = []
    if m.value is not None:
        span = f" ({brief(m.interval[0])} to {brief(m.interval[1])})" if m.interval else ""
        legend.append(("value", f"| {m.name[:30]} {brief(m.value, m.unit)}{span}"))
    if m.limit is not None:
        legend.append((_LIMIT[0], f"{_LIMIT[1]} {brief(m.limit.value, m.unit)}"))
    sheet.panel(_DISTRIBUTION, f"Share of {n} requests answered within", legend)
    ticks = ((across(tick), f"{tick:g}") for tick in across.ticks())
    sheet.ticks_across(bottom, ticks, f"latency, {m.unit}, logarithmic")
    sheet.ticks_up((up(share), f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 0.95))
    if m.interval is not None:
        low, high = sorted(map(across, m.interval))
        sheet.rect("band", low, top, round(high - low, 1), bottom - top)
    if ordered:
        sheet.path("curve", staircase(ordered, n, across, up))
    for kind, number in (("value", m.value), ("limit", m.limit.value if m.limit else None)):
        if number is not None:
            sheet.path(kind, f"M{across(number)} {bottom}V{top}")


def staircase(ordered: Sequence[float], n: int, across: LogScale, up: Scale) -> str:
    """The share that is at most as large; a failed request never is, so that the curve then ends below the top."""
    shares = {round(across(value)): bisect_right(ordered, value) / n for value in ordered}
    steps = "".join(f"H{x}V{up(share)}" for x, share in shares.items())
    return f"M{across(ordered[0])} {up(0)}{steps}" + (f"H{across.logs.end}" if len(ordered) == n else "")


def _timeline(
    sheet: Sheet, m: Measurement, answered: Sequence[tuple[float, float]], times: Scale, up: LogScale
) -> None:
    limit = m.limit
    is_dotted = len(answered) <= _MOST_DOTS
    legend = [("value", "● one request"), ("over", "● over the limit")]
    if not is_dotted:
        legend = [("value", "● p95 of each moment"), ("range", "| from least to most")]
    sheet.panel(_TIMELINE, "Latency by the time each was due", [*legend, ("bad", "x failed"), _LIMIT])
    sheet.ticks_up((up(tick), f"{tick:g} {m.unit}") for tick in up.ticks())
    if is_dotted:
        over = {number for number, (_, value) in enumerate(answered) if limit is not None and not limit.holds(value)}
        dots = [f"M{times(at)} {up(value)}h0" for at, value in answered]
        sheet.path("dots", "".join(dot for number, dot in enumerate(dots) if number not in over))
        sheet.path("over", "".join(dots[number] for number in sorted(over)))
    else:
        _columns(sheet, answered, times, up)
    if limit is not None:
        sheet.path("limit", f"M{sheet.left} {up(limit.value)}H{sheet.right}")


def _columns(sheet: Sheet, answered: Iterable[tuple[float, float]], times: Scale, up: LogScale) -> None:
    """Too many for a dot each: the least, the most and the p95 of all in one column of pixels."""
    columns: dict[int, list[float]] = {}
    for at, value in answered:
        columns.setdefault(round(times(at)), []).append(value)
    ordered = {x: sorted(values) for x, values in columns.items()}
    sheet.path("range", "".join(f"M{x} {up(values[0])}V{up(values[-1])}" for x, values in ordered.items()))
    p95 = {x: values[math.ceil(0.95 * len(values)) - 1] for x, values in ordered.items()}
    sheet.path("dots", "".join(f"M{x} {up(value)}h0" for x, value in p95.items()))


def _lateness(sheet: Sheet, m: Measurement, samples: Samples, times: Scale) -> None:
    top, bottom = _LATENESS
    worst = max(samples.late, default=0.0)
    most = max(worst, abs(m.limit.value) * _LATENESS_SCALE if m.limit else 0.0) or 1.0
    up = Scale(0.0, most, bottom, top)
    sheet.panel(_LATENESS, f"Sent later than due: {brief(worst, m.unit)} at most")
    sheet.ticks_up([(up(0), "0"), (up(most), brief(most, m.unit))])
    columns: dict[int, float] = {}
    for at, late in zip(samples.at, samples.late, strict=True):
        x = round(times(at))
        columns[x] = max(late, columns.get(x, 0.0))
    sheet.path("late", "".join(f"M{x} {bottom}V{up(late)}" for x, late in columns.items()))
    sheet.ticks_across(
        bottom, ((times(tick), f"{tick:g}") for tick in times.ticks()), "seconds since the first was due"
    )


def brief(number: float, unit: str = "1") -> str:
    """In four digits: a picture shows no more."""
    return quantity(float(f"{number:.4g}"), unit)
