"""GitHub Actions: annotations for reasons, and the job's summary."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pytest_artisan.reports.markdown import as_markdown
from pytest_artisan.reports.wording import grouped
from pytest_artisan.verdict.decide import Verdict

# GitHub shows ten annotations of a kind for each step, and drops a summary of more than 1 MiB as a whole.
_ANNOTATIONS = 10
_SUMMARY_BYTES = 1024 * 1024


def announce(verdict: Verdict, write: Callable[[str], object]) -> None:
    """Annotate the reasons and append to the summary, where GitHub runs the session."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in commands(verdict):
            write(line)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            _append(Path(summary), verdict)
        except OSError as error:
            write(f"the job's summary {summary} could not be written: {error.strerror}")


def commands(verdict: Verdict) -> list[str]:
    """Workflow commands, the worst reasons first."""
    lines = []
    for told in grouped(verdict.reasons)[:_ANNOTATIONS]:
        reason = told.first
        place = f"file={_property(reason.path)},line={reason.line}," if reason.path else ""
        lines.append(f"::error {place}title={_property('NO-GO ' + reason.gate)}::{_message(told.text)}")
    return lines


def _append(path: Path, verdict: Verdict) -> None:
    used = path.stat().st_size if path.exists() else 0
    text = as_markdown(verdict, limit=_SUMMARY_BYTES - used)
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
