"""The verdict on a terminal: a table, a line a reason, and one last line that can be grepped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_artisan.reports.wording import aligned, grouped, notes, rows
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.decide import Verdict

if TYPE_CHECKING:
    import pytest

_SHOWN = 40


def lines(verdict: Verdict) -> list[str]:
    """All lines but the last, without colour."""
    return [one_line(text) for text, _ in _styled(verdict)]


def text_of(verdict: Verdict) -> str:
    """All lines, for where no terminal reporter writes them."""
    return "\n".join([*lines(verdict), one_line(verdict.line)])


def write(reporter: pytest.TerminalReporter, verdict: Verdict) -> None:
    """The section of a session's summary."""
    reporter.section("artisan gates")
    for text, colour in _styled(verdict):
        reporter.write_line(one_line(text), **({colour: True} if colour else {}))


def write_last_line(reporter: pytest.TerminalReporter, verdict: Verdict) -> None:
    reporter.write_line(one_line(verdict.line), bold=True, green=verdict.go, red=not verdict.go)


def _styled(verdict: Verdict) -> Iterator[tuple[str, str]]:
    table = [("gate", "state", "measured", "time"), *rows(verdict)]
    for row, cells in zip(table, aligned([row[:3] for row in table]), strict=True):
        colour = {"GO": "green", "state": ""}.get(row[1], "red")
        yield f"{cells}  {row[3].rjust(8)}", colour
    yield "", ""
    told = grouped(verdict.reasons)
    for entry in told[:_SHOWN]:
        yield f"{entry.first.state.replace('_', '-')} {entry.text}", "red"
        if entry.remedy:
            yield f'  to declare it, add to "expected" in [tool.artisan]: {entry.remedy}', ""
    if len(told) > _SHOWN:
        yield f"and {len(told) - _SHOWN} reasons more, in the report files", "red"
    warnings = grouped(verdict.warnings)
    for entry in warnings[:_SHOWN]:
        yield f"warning {entry.text}", "yellow"
    if len(warnings) > _SHOWN:
        yield f"and {len(warnings) - _SHOWN} warnings more, in the report files", "yellow"
    for note in notes(verdict):
        yield note, ""
