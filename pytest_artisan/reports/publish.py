"""Report files: all of them whole, or absent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from pytest_artisan.files import stage
from pytest_artisan.reports.machine import as_json, as_sarif
from pytest_artisan.reports.markdown import as_markdown
from pytest_artisan.verdict.decide import Verdict

RENDERERS: dict[str, Callable[[Verdict], str]] = {".json": as_json, ".md": as_markdown, ".sarif": as_sarif}


def publish(verdict: Verdict, paths: Iterable[Path]) -> dict[Path, str]:
    """Write all reports, or none where one can not be written; returns what went wrong, by path."""
    staged: dict[Path, Path] = {}
    failures: dict[Path, str] = {}
    for path in dict.fromkeys(paths):
        try:
            staged[path] = stage(path, RENDERERS[path.suffix](verdict))
        except OSError as error:
            failures[path] = f"the report {path} could not be written: {error.strerror}"
    for path, temporary in staged.items():
        try:
            if not failures:
                os.replace(temporary, path)
        except OSError as error:
            failures[path] = f"the report {path} could not be written: {error.strerror}"
    if failures:
        for path, temporary in staged.items():
            with suppress(OSError):
                path.unlink(missing_ok=True)
            temporary.unlink(missing_ok=True)
    return failures
