"""One measurement against its limit and its baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pytest_artisan.verdict.evidence import Bound, Limit, Measurement
from pytest_artisan.verdict.statistics import zero_event_bound

# How much worse a value without an interval may be than its baseline: such a number says nothing of its own noise.
TOLERANCE = 0.10
# How many times its baseline's p95 a p95 may surely be: with samples, what is noise is known.
RATIO = 1.2

_KEPT = {Bound.AT_MOST: "<=", Bound.AT_LEAST: ">=", Bound.BELOW: "<", Bound.ABOVE: ">", Bound.EQUAL_TO: "=="}
_BROKEN = {Bound.AT_MOST: ">", Bound.AT_LEAST: "<", Bound.BELOW: ">=", Bound.ABOVE: "<=", Bound.EQUAL_TO: "!="}
_LOWER_IS_BETTER = (Bound.AT_MOST, Bound.BELOW)
_HIGHER_IS_BETTER = (Bound.AT_LEAST, Bound.ABOVE)


class State(StrEnum):
    """The state of a gate; only GO counts as go. The later in this list, the worse."""

    GO = "GO"
    INCONCLUSIVE = "INCONCLUSIVE"
    NO_EVIDENCE = "NO_EVIDENCE"
    NO_GO = "NO_GO"

    @property
    def badness(self) -> int:
        return list(State).index(self)


class Code(StrEnum):
    """Why something is not GO."""

    OVER_LIMIT = "over_limit"
    NO_LIMIT = "no_limit"
    NO_DATA = "no_data"
    INTERVAL = "interval"
    DOUBT = "doubt"
    REGRESSION = "regression"
    NO_BASELINE = "no_baseline"
    UNIT = "unit"
    FINDING = "finding"
    FAILED = "failed"
    ERROR = "error"
    CRASHED = "crashed"
    FLAKY = "flaky"
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    XPASSED = "xpassed"
    DESELECTED = "deselected"
    NOT_RUN = "not_run"
    NO_ITEMS = "no_items"
    TOO_FEW = "too_few"
    NOTHING_PASSED = "nothing_passed"
    DUPLICATE = "duplicate"
    UNPLANNED = "unplanned"
    UNUSED = "unused"
    PARTIAL = "partial"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is not GO, or, among a verdict's warnings, one that does not block.

    `remedy` is the entry that declares it, where it can be declared, and `cause` the reason that a declaration matches.
    """

    code: Code
    state: State
    text: str
    gate: str = ""
    subject: str = ""
    remedy: str = ""
    path: str = ""
    line: int = 0
    cause: str = ""


def judge(measurement: Measurement) -> Iterator[tuple[Code, State, str]]:
    """What is wrong with a measurement; nothing where it keeps its limit and its baseline."""
    m = measurement
    if m.limit is None or not math.isfinite(m.limit.value):
        yield Code.NO_LIMIT, State.INCONCLUSIVE, f"{m.name} has no limit, so nothing can be decided from it"
    elif m.value is None or not _is_sound(m.value, m.interval) or (m.n is not None and m.n < 1):
        cause = m.no_data or "its value, interval and n do not agree"
        yield Code.NO_DATA, State.NO_EVIDENCE, f"{m.name}: no data: {cause}"
    elif m.doubt:
        yield Code.DOUBT, State.INCONCLUSIVE, f"{describe(m)}, but {m.doubt}"
    elif not m.limit.holds(m.value):
        yield Code.OVER_LIMIT, State.NO_GO, describe(m)
    else:
        yield from _doubts(m, m.limit)
        yield from _regression(m, m.limit.bound, m.value)


def _is_sound(value: float, interval: tuple[float, float] | None) -> bool:
    """Whether these are finite numbers, and the value lies in its interval: no comparison with NaN finds a fault."""
    low, high = interval or (value, value)
    return all(map(math.isfinite, (low, value, high))) and low <= value <= high


def _doubts(m: Measurement, limit: Limit) -> Iterator[tuple[Code, State, str]]:
    """An interval that reaches over the limit: the sample is too small to decide, unless the value alone decides."""
    if m.proven is None and m.interval is not None and not all(map(limit.holds, m.interval)):
        text = f"{describe(m)}, but its interval {_span(m.interval, m.unit)} reaches over the limit: measure more"
        yield Code.INTERVAL, State.INCONCLUSIVE, text


def _regression(m: Measurement, bound: Bound, value: float) -> Iterator[tuple[Code, State, str]]:
    base = m.baseline
    if base is None:
        return
    if base.value is None or not _is_sound(base.value, base.interval):
        yield Code.NO_BASELINE, State.NO_EVIDENCE, f"{m.name} has no baseline: record one with artisan baseline save"
    elif base.unit != m.unit:
        yield Code.UNIT, State.NO_EVIDENCE, f"{m.name} is in {m.unit}, its baseline in {base.unit}"
    elif base.ratio is not None and bound in _LOWER_IS_BETTER:
        if not base.ratio <= RATIO:
            sure = f"the ratio of the p95 is {quantity(base.ratio, '1')} or more, allowed is {RATIO}"
            text = f"{m.name} {quantity(value, m.unit)}, its baseline {quantity(base.value, m.unit)}: {sure}"
            yield Code.REGRESSION, State.NO_GO, text
    elif _is_worse(m, bound, value, base.value):
        text = f"{m.name} {quantity(value, m.unit)} is worse than its baseline {quantity(base.value, m.unit)}"
        yield Code.REGRESSION, State.NO_GO, text


def _is_worse(m: Measurement, bound: Bound, value: float, base: float) -> bool:
    if bound is Bound.EQUAL_TO:
        return value != base
    assert m.baseline is not None
    sign = 1.0 if bound in _LOWER_IS_BETTER else -1.0
    if m.interval is not None and m.baseline.interval is not None:
        mine, theirs = m.interval, m.baseline.interval
        return mine[0] > theirs[1] if sign > 0 else mine[1] < theirs[0]
    return sign * (value - base) > TOLERANCE * abs(base)


def describe(m: Measurement) -> str:
    """The measurement beside its limit: `p95 2731 ms > 2500 ms, n=300`."""
    if m.value is None or m.limit is None:
        return f"{m.name}: {m.no_data or 'no limit'}"
    sign = (_KEPT if m.limit.holds(m.value) else _BROKEN)[m.limit.bound]
    sample = "" if m.n is None else f", n={m.n}"
    value, limit = quantity(m.value, m.unit), quantity(m.limit.value, m.unit)
    if value == limit and m.value != m.limit.value:
        value = f"{m.value!r} {m.unit}"  # a near miss, which needs all of its digits
    return f"{m.name} {value} {sign} {limit}{sample}"


def reach(m: Measurement) -> str:
    """What the sample shows beyond the value; empty where nothing was sampled."""
    if m.doubt and m.value is not None:
        return "in doubt"
    excluded = _excluded(m)
    if m.limit is None or m.value is None or m.proven is None:
        return excluded
    if m.proven:
        # A proof is one-sided, so the end of the two-sided interval may lie beyond what it shows.
        within = m.interval is None or m.limit.holds(_edge(m.interval, m.limit))
        return f"proven: {excluded}" if excluded and within else "proven"
    if m.interval is None:
        return "point estimate"
    side = "up" if m.limit.bound in _LOWER_IS_BETTER else "down"
    return f"point estimate: {side} to {quantity(_edge(m.interval, m.limit), m.unit)} not excluded"


def _excluded(m: Measurement) -> str:
    """The smallest violation that a kept limit's sample could have seen."""
    if m.limit is None or m.value is None:
        return ""
    if m.interval is not None:
        side = "above" if m.limit.bound in _LOWER_IS_BETTER else "below"
        return f"excludes {side} {quantity(_edge(m.interval, m.limit), m.unit)}"
    if m.value == 0 and m.n and m.limit.bound not in _HIGHER_IS_BETTER:
        return f"excludes a rate above {zero_event_bound(m.n):.2g}"
    return ""


def _edge(interval: tuple[float, float], limit: Limit) -> float:
    """The end of the interval on the limit's side."""
    return interval[1] if limit.bound in _LOWER_IS_BETTER else interval[0]


def quantity(value: float, unit: str) -> str:
    """A number and its unit; a count and a plain ratio are shown bare."""
    number = f"{value:.0f}" if abs(value) < 1e15 and value == int(value) else f"{value:.6g}"
    return number if unit in ("count", "1") else f"{number} {unit}"


def _span(interval: tuple[float, float], unit: str) -> str:
    return f"[{quantity(interval[0], '1')}, {quantity(interval[1], unit)}]"
