"""What earlier runs came to: each report holds the last ones as data, and the next report reads them from it.

A report that lies there may be anybody's file: its start alone is read, as data of these types, and all else is text.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from pytest_artisan.reports.publish import aside
from pytest_artisan.verdict.decide import GateVerdict, Verdict
from pytest_artisan.verdict.evidence import Measurement
from pytest_artisan.verdict.judge import State

MOST_RUNS = 50
_MOST_GATES = 40
# More than 50 runs of 40 gates take.
_READ = 4_000_000
# Of a session that began later; a clock that was farther ahead would keep its runs the newest for ever.
_AHEAD = timedelta(days=1)
_HELD = re.compile(r"""<meta name="artisan-runs" content='([^'<>]*)'>""")

_Text = Annotated[str, Meta(max_length=100)]
_Number = Annotated[float, Meta(ge=-1e300, le=1e300)]


class GateRun(msgspec.Struct, frozen=True, array_like=True):
    """A gate in one run, with the measurement that tells most of it: its `value` in `unit`."""

    name: _Text
    state: State
    seconds: Annotated[float, Meta(ge=0, le=1e9)]
    measured: _Text = ""
    value: _Number | None = None
    unit: _Text = ""


class Run(msgspec.Struct, frozen=True, array_like=True):
    """What one run came to; `at` is in UTC."""

    at: Annotated[datetime, Meta(tz=True)]
    go: bool
    answer: _Text
    commit: _Text
    environment: _Text
    gates: Annotated[tuple[GateRun, ...], Meta(max_length=_MOST_GATES)]


class _Held(msgspec.Struct, frozen=True, array_like=True):
    project: _Text
    runs: Annotated[tuple[Run, ...], Meta(max_length=MOST_RUNS)]


def run_of(verdict: Verdict, at: datetime) -> Run:
    """This run, as the next ones will remember it."""
    gates = tuple(_gate_run(gate) for gate in verdict.gates[:_MOST_GATES])
    line, commit = verdict.line, verdict.commit[:12]
    return Run(at.astimezone(UTC), verdict.go, _cut(line), _cut(commit), _cut(verdict.environment), gates)


def _gate_run(gate: GateVerdict) -> GateRun:
    seconds = 0.0 if math.isnan(gate.seconds) else min(max(gate.seconds, 0.0), 1e9)
    m = telling(gate)
    if m is None:
        return GateRun(_cut(gate.name), gate.state, seconds)
    return GateRun(_cut(gate.name), gate.state, seconds, _cut(m.name), _within(m.value), _cut(m.unit))


def telling(gate: GateVerdict) -> Measurement | None:
    """The measurement that tells most of a gate from run to run: a sampled one before a plain one, a count last."""
    return max(gate.measurements, key=_tells, default=None)


def _tells(m: Measurement) -> tuple[bool, ...]:
    return m.samples is not None, m.interval is not None, m.unit != "count"


def _cut(text: str) -> str:
    return text.encode(errors="replace").decode()[:100]


def _within(number: float | None) -> float | None:
    return number if number is not None and abs(number) <= 1e300 else None


def embedded(project: str, runs: Iterable[Run]) -> str:
    """The runs of a project as JSON in which nothing is markup, and nothing ends an attribute in single quotes."""
    text = msgspec.json.encode(_Held(_cut(project), tuple(runs))).decode()
    return re.sub("[&<>']", lambda found: f"\\u{ord(found[0]):04x}", text)


def earlier(pages: Iterable[Path], project: str, at: datetime) -> tuple[tuple[Run, ...], str]:
    """This project's runs before `at` that these pages hold, and why not all could be read, empty where they could.

    Each page was set aside; what lies in its place is of another session that was quicker.
    """
    found: dict[tuple[datetime, str], Run] = {}
    remark, latest = "", at + _AHEAD
    for path in (path for page in pages for path in (aside(page), page)):
        if os.path.lexists(path):
            try:
                found |= {(run.at, run.commit): run for run in _read(path, project) if run.at <= latest}
            except (OSError, ValueError, RecursionError) as error:
                remark = f"the report that lay here before could not be read, so its runs are left out: {error}"
    return tuple(sorted(found.values(), key=lambda run: run.at)), remark


def _read(path: Path, project: str) -> tuple[Run, ...]:
    """Raises OSError and ValueError, of which msgspec's errors are."""
    if not path.is_file():
        raise ValueError("it is no file")
    with path.open("rb") as file:
        head = file.read(_READ).decode(errors="replace")
    data = _HELD.search(head)
    if data is None:
        raise ValueError("it holds no runs")
    held = msgspec.json.decode(data[1], type=_Held)
    if held.project != _cut(project):
        raise ValueError(f"it is of the project {held.project}")
    return held.runs
