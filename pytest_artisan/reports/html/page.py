"""The verdict as one HTML file: the answer and its reasons on top, then every gate with its pictures, then its history."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Generic, TypeVar

from pytest_artisan.reports.chart import brief
from pytest_artisan.reports.html.advice import ADVICE
from pytest_artisan.reports.html.history import MOST_RUNS, Run, embedded, run_of
from pytest_artisan.reports.html.pictures import bar, pictures
from pytest_artisan.reports.html.rollouts import Rollout
from pytest_artisan.reports.html.trends import trends, value_in
from pytest_artisan.reports.wording import by_cause, grouped, notes, rows
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.decide import GateVerdict, Purpose, Verdict
from pytest_artisan.verdict.evidence import Bound, Finding, Measurement
from pytest_artisan.verdict.judge import State, judge, quantity, reach

if TYPE_CHECKING:
    from jinja2 import Template

# A minute is enough for so many; the other reports hold all.
_FIRST_REASONS, _MORE_REASONS, _ROWS = 10, 90, 100
# Of any text: a test may print a book.
_LONGEST = 600
_SIGNS = {Bound.AT_MOST: "≤", Bound.AT_LEAST: "≥", Bound.BELOW: "<", Bound.ABOVE: ">", Bound.EQUAL_TO: "="}

Some = TypeVar("Some")


@dataclass(frozen=True, slots=True)
class _Part(Generic[Some]):
    """The first of a list, and how many more there are."""

    items: Sequence[Some]
    more: int


def as_html(
    verdict: Verdict,
    at: datetime,
    *,
    project: str = "",
    earlier: Iterable[Run] = (),
    rollouts: Iterable[Rollout] = (),
    remarks: Iterable[str] = (),
) -> str:
    """The page. All text is text, whoever wrote it; nothing is loaded, and no script is in it.

    `earlier` are the runs before this one, in order of time, `remarks` what a reader must know of how it was made.
    """
    runs = [*earlier, run_of(verdict, at)][-MOST_RUNS:]
    reasons = grouped(verdict.reasons)
    return _template().render(
        verdict=verdict,
        answer="GO" if verdict.go else "NO-GO",
        but=_but(verdict),
        qualities=_qualities(verdict),
        project=project,
        at=f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        reasons=_part(reasons, _FIRST_REASONS),
        more_reasons=_part(reasons[_FIRST_REASONS:], _MORE_REASONS),
        warnings=_part(grouped(verdict.warnings), _ROWS),
        gates=[(gate, *row[2:]) for gate, row in zip(verdict.gates, rows(verdict), strict=True)],
        rollouts=[rollout for rollout in rollouts if rollout.steps],
        runs=list(reversed(runs)),
        trends=trends(runs) if len(runs) > 1 else [],
        data=embedded(project, runs),
        remarks=[*remarks, *notes(verdict)],
    )


def _part(told: Sequence[Some], most: int) -> _Part[Some]:
    return _Part(told[:most], max(len(told) - most, 0))


def _but(verdict: Verdict) -> str:
    """What keeps a GO from being one for a release, in two words."""
    if not verdict.go or (verdict.purpose is not Purpose.LOCAL and not verdict.partial):
        return ""
    return "partial run" if verdict.partial else "local run"


def _qualities(verdict: Verdict) -> list[str]:
    """What the answer rests on, and for what it does not count, in sentences."""
    bad = [gate.name for gate in verdict.gates if gate.state is not State.GO]
    n = len(verdict.gates)
    told = [f"{len(bad)} of {n} gates {'is' if len(bad) == 1 else 'are'} not GO: {', '.join(bad)}."] if bad else []
    if not bad and n:
        told.append(f"All {n} gates are GO." if n > 1 else "Its one gate is GO.")
    if verdict.partial:
        told.append(f"A partial run, limited to {', '.join(verdict.partial)}: it releases nothing.")
    if verdict.no_evidence:
        told.append(f"Without evidence, which a local run alone may be: {', '.join(verdict.no_evidence)}.")
    elif verdict.go and verdict.purpose is Purpose.LOCAL and not verdict.partial:
        told.append("A local run.")
    return told


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def finished(value: object) -> object:
        """Whatever is printed: our own drawings as they are, all else as a short text on one line."""
        return value if isinstance(value, Markup) else _short(one_line(str(value)))

    style = _resource("page.css")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=finished, trim_blocks=True, lstrip_blocks=True
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.globals |= {
        "style": Markup(style),  # noqa: S704 - a file of this package
        "policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        "advice": ADVICE,
        "pictures": pictures,
        "measurements": _measurements,
        "findings": _findings,
        "limit": _limit,
        "interval": _interval,
        "value": _value,
        "reach": reach,
        "by_cause": by_cause,
        "value_in": value_in,
        "state_of": _state_of,
    }
    # What was drawn here holds no text but what was escaped as it was drawn; what is embedded holds no markup.
    environment.filters |= {"ours": Markup, "bar": lambda m: Markup(bar(m)), "state": _spelt, "groups": _groups}  # noqa: S704
    return environment.from_string(_resource("page.html.j2"))


def _resource(name: str) -> str:
    return files("pytest_artisan.reports.html").joinpath(name).read_text(encoding="utf-8")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _spelt(state: State) -> str:
    """As the reports for people write it."""
    return state.replace("_", "-")


def _state_of(m: Measurement) -> State:
    return max((state for _, state, _ in judge(m)), key=lambda state: state.badness, default=State.GO)


def _measurements(gate: GateVerdict) -> _Part[Measurement]:
    """The worst first."""
    return _part(sorted(gate.measurements, key=lambda m: -_state_of(m).badness), _ROWS)


def _groups(measurements: Iterable[Measurement]) -> list[tuple[str, list[Measurement]]]:
    """By the item that measured them."""
    found: dict[str, list[Measurement]] = {}
    for m in measurements:
        found.setdefault(m.item, []).append(m)
    return list(found.items())


def _findings(gate: GateVerdict) -> tuple[list[str], _Part[tuple[Finding, list[str]]]]:
    """The head and the rows of their table, those that block first."""
    found = sorted(gate.findings, key=lambda finding: not finding.blocks)
    detailed = next((finding.details for finding in found if finding.details), None)
    if detailed is None:
        return ["tool", "rule", "what", "where"], _part([(f, _plain(f)) for f in found], _ROWS)
    # What has no details says it in the first cell.
    first, *others = detailed
    told = [(f, [f.details.get(first, f.text), *(f.details.get(key, "-") for key in others)]) for f in found]
    return list(detailed), _part(told, _ROWS)


def _plain(finding: Finding) -> list[str]:
    return [finding.tool, finding.rule, finding.message, f"{finding.path}:{finding.line}"]


def _value(m: Measurement) -> str:
    """In four digits, where these are on the same side of the limit."""
    if m.value is None:
        return "no data"
    short = float(f"{m.value:.4g}")
    is_told = abs(m.value) < 10_000 and m.limit is not None and m.limit.holds(short) is m.limit.holds(m.value)
    return quantity(short if is_told else m.value, m.unit)


def _limit(m: Measurement) -> str:
    return "none" if m.limit is None else f"{_SIGNS[m.limit.bound]} {quantity(m.limit.value, m.unit)}"


def _interval(m: Measurement) -> str:
    return "" if m.interval is None else f"{brief(m.interval[0])} to {brief(m.interval[1])}"
