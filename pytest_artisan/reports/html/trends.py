"""A gate over the last runs: its states as a strip, and what it measured as a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_artisan.reports.drawing import Sheet
from pytest_artisan.reports.html.history import GateRun, Run
from pytest_artisan.reports.html.pictures import linear
from pytest_artisan.verdict.judge import State, quantity

# As many as can be told apart in a strip.
_SHOWN = 30
_STEP, _HIGH = 7, 22
# What a state looks like without colour: the worse, the taller; what has no evidence is hollow.
_HEIGHTS = {State.GO: 8, State.INCONCLUSIVE: 14, State.NO_EVIDENCE: 20, State.NO_GO: 20}


@dataclass(frozen=True, slots=True)
class Trend:
    """One gate's row: two pictures, what is measured, its value now, and the least and the most before."""

    gate: str
    strip: str
    line: str
    measured: str
    now: str
    before: str


def trends(runs: Sequence[Run]) -> list[Trend]:
    """For every gate of the last run, over it and those before it in the same environment."""
    shown = [run for run in runs if run.environment == runs[-1].environment][-_SHOWN:]
    by_run = [{gate.name: gate for gate in run.gates} for run in shown]
    return [_trend(now, [gates.get(now.name) for gates in by_run]) for now in runs[-1].gates]


def value_in(gate: GateRun, last: Run) -> str:
    """What a gate measured in a run; named where it is not what it measured in the last one."""
    if gate.value is None:
        return ""
    value = quantity(_digits(gate.value), gate.unit)
    is_known = any((one.name, one.measured) == (gate.name, gate.measured) for one in last.gates)
    return value if is_known else f"{gate.measured} {value}"


def _trend(now: GateRun, over: Sequence[GateRun | None]) -> Trend:
    key = now.measured, now.unit
    values = [None if one is None or (one.measured, one.unit) != key else _value(one) for one in over]
    earlier = [value for value in values[:-1] if value is not None]
    unit = now.unit if now.measured else "s"
    value = values[-1]
    span = f"{quantity(min(earlier), '1')} to {quantity(max(earlier), '1')}" if earlier else "-"
    return Trend(
        now.name,
        _strip(now.name, over),
        _line(now, values),
        now.measured or "time",
        "no data" if value is None else quantity(_digits(value), unit),
        span,
    )


def _value(gate: GateRun) -> float | None:
    """What was measured, in four digits; of a gate that measures nothing, its time."""
    value = gate.value if gate.measured else gate.seconds
    return None if value is None else _digits(value)


def _digits(value: float) -> float:
    return float(f"{value:.4g}")


def _strip(name: str, over: Sequence[GateRun | None]) -> str:
    counts = [f"{sum(one is not None and one.state is state for one in over)} {state}" for state in State]
    sheet = Sheet(f"{name} in {len(over)} runs: {', '.join(counts)}", _SHOWN * _STEP, _HIGH, 0, 0)
    for k, one in enumerate(over, _SHOWN - len(over)):
        if one is not None:
            high = _HEIGHTS[one.state]
            sheet.rect(f"run {one.state.lower()}", k * _STEP + 1, _HIGH - 1 - high, 4, high)
    return str(sheet)


def _line(now: GateRun, values: Sequence[float | None]) -> str:
    told = [(k, value) for k, value in enumerate(values, _SHOWN - len(values)) if value is not None]
    sheet = Sheet(f"{now.measured or 'time'} over {len(values)} runs", _SHOWN * _STEP, _HIGH, 0, 0)
    if told:
        up = linear([value for _, value in told], _HIGH - 3, 3)
        places = [f"{k * _STEP + 3} {up(value):g}" for k, value in told]
        sheet.path("learnt", f"M{'L'.join(places)}")
        sheet.path("front", f"M{places[-1]}h0")
    return str(sheet)
