"""Report files: all of them whole, or absent."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import quote

from pytest_artisan.files import OWN_FOLDER, make_folder, stage
from pytest_artisan.reports.machine import as_json, as_sarif
from pytest_artisan.reports.markdown import as_markdown
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.decide import Verdict
from pytest_artisan.verdict.evidence import Measurement, NoEvidence
from pytest_artisan.verdict.judge import describe

Renderer: TypeAlias = Callable[[Verdict], str]
# Those that need the verdict alone; what others need, whoever publishes them knows.
RENDERERS: dict[str, Renderer] = {".json": as_json, ".md": as_markdown, ".sarif": as_sarif}
HTML, SIGNED = ".html", ".intoto.json"
SUFFIXES = (*RENDERERS, HTML, SIGNED)


def suffix_of(path: Path) -> str:
    """Which of SUFFIXES a report's name ends in, the longest one; empty for none."""
    found = (suffix for suffix in SUFFIXES if path.name.endswith(suffix) and path.name != suffix)
    return max(found, key=len, default="")


def publish(
    verdict: Verdict, paths: Iterable[Path], others: Mapping[str, Renderer] = MappingProxyType({})
) -> dict[Path, str]:
    """Write all reports with their pictures, or none where one can not be written.

    `others` are renderers by suffix beside RENDERERS. Returns what went wrong, by the path of the report.
    """
    staged: dict[Path, tuple[Path, Path]] = {}
    failures: dict[Path, str] = {}
    for report in dict.fromkeys(paths):
        try:
            for path, text in _files(verdict, report, staged, others).items():
                staged[path] = report, stage(path, text)
        except OSError as error:
            failures[report] = f"the report {report} could not be written: {error.strerror}"
        except (SettingsError, NoEvidence) as error:
            failures[report] = f"the report {report} could not be made: {error}"
    for path, (report, temporary) in staged.items():
        try:
            if not failures:
                os.replace(temporary, path)
        except OSError as error:
            failures[report] = f"the report {path} could not be written: {error.strerror}"
    if failures:
        for path, (_, temporary) in staged.items():
            with suppress(OSError):
                path.unlink(missing_ok=True)
            temporary.unlink(missing_ok=True)
    for path in () if failures else staged:
        with suppress(OSError):
            aside(path).unlink(missing_ok=True)
    return failures


def aside(page: Path) -> Path:
    """Where a page that is to be replaced waits until a new one has taken its history over: git does not see it there."""
    return page.parent / OWN_FOLDER / f"{page.name}.before"


def set_aside(page: Path) -> None:
    """Put a page there, if there is one. Raises OSError."""
    if page.exists():
        make_folder(aside(page).parent)
        with suppress(FileNotFoundError):  # another session was quicker
            os.replace(page, aside(page))


def pictures_beside(report: Path) -> list[Path]:
    """The pictures that an earlier run drew beside a Markdown report, and nobody else's."""
    if report.suffix != ".md":
        return []
    from pytest_artisan.reports.drawing import MARK

    found = []
    for path in filter(Path.is_file, report.parent.glob(f"{glob.escape(report.stem)}-*.svg")):
        with suppress(OSError), path.open("rb") as file:
            if MARK.encode() in file.read(200):
                found.append(path)
    return found


def _files(verdict: Verdict, report: Path, taken: Collection[Path], others: Mapping[str, Renderer]) -> dict[Path, str]:
    """The text of each file that makes one report."""
    pictures = _pictures(verdict, report, taken) if report.suffix == ".md" else {}
    if not pictures:
        return {report: {**RENDERERS, **others}[suffix_of(report)](verdict)}
    # Here alone, as most sessions draw nothing.
    from pytest_artisan.reports.chart import as_svg

    texts = {quote(os.fsencode(path.name)): describe(measurement) for path, measurement in pictures.items()}
    drawn = {path: as_svg(measurement) for path, measurement in pictures.items()}
    return {report: as_markdown(verdict, pictures=texts), **drawn}


def _pictures(verdict: Verdict, report: Path, taken: Collection[Path]) -> dict[Path, Measurement]:
    """A file beside the report for each measurement with samples; a gate may be named as no file can be."""
    found: dict[Path, Measurement] = {}
    for gate in verdict.gates:
        name = re.sub(r"[^\w.-]+", "_", gate.name, flags=re.ASCII)[:80]
        for measurement in gate.measurements:
            if measurement.samples is not None:
                names = (f"{report.stem}-{name}{f'-{k}' if k > 1 else ''}.svg" for k in count(1))
                free = (path for path in map(report.with_name, names) if path not in found and path not in taken)
                found[next(free)] = measurement
    return found
