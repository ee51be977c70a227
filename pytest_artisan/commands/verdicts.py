"""`artisan report`, `artisan replay`, `artisan baseline`: what is done with a verdict that is there."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path

from pytest_artisan.commands import GO, NO_GO, Commands
from pytest_artisan.commands.attestation import add_keys
from pytest_artisan.release import baselines
from pytest_artisan.release.secrets import Masker
from pytest_artisan.reports import terminal
from pytest_artisan.reports.machine import Document
from pytest_artisan.reports.publish import HTML, RENDERERS, SIGNED, Renderer, publish, set_aside, suffix_of
from pytest_artisan.settings import SettingsError, one_line, project_root, read_json
from pytest_artisan.verdict.decide import decide

# How `artisan replay` ends where evidence and report do not belong together.
DIFFERS = 3
# What a journal is enough for.
_REBUILT = (*RENDERERS, HTML)


def add(commands: Commands) -> None:
    report = commands.add_parser("report", help="rebuild the verdict of a session from its journal")
    report.add_argument("journal", type=Path)
    report.add_argument("--output", type=Path, action="append", default=[], help=f"a file: {', '.join(_REBUILT)}")
    report.set_defaults(run=_report)
    replayed = commands.add_parser("replay", help="whether recorded evidence comes to the verdict that was reported")
    replayed.add_argument("journal", type=Path, help="as --artisan-journal keeps it")
    replayed.add_argument(
        "verdict", type=Path, nargs="+", help=f"reports of that session: .json, or {SIGNED}, whose signature is checked"
    )
    add_keys(replayed)
    replayed.set_defaults(run=_replay)
    baseline = commands.add_parser("baseline", help="what --regression compares with")
    save = baseline.add_subparsers(required=True, metavar="COMMAND").add_parser("save", help="record a verdict")
    save.add_argument("verdict", type=Path, help="the JSON report of a session that ended in GO")
    save.set_defaults(run=_save_baseline)


def _report(options: argparse.Namespace) -> int:
    for path in options.output:
        if suffix_of(path) not in _REBUILT:
            raise SettingsError(f"--output={path}: unknown suffix; known: {', '.join(_REBUILT)}")
    from pytest_artisan.ledger import replay  # and with it pytest, which no other command needs

    verdict = decide(*replay(options.journal))
    print(terminal.text_of(verdict))
    pages = [path for path in options.output if suffix_of(path) == HTML]
    for text in publish(verdict, options.output, _page(pages, options.clock()) if pages else {}).values():
        raise SettingsError(text)
    return GO if verdict.go else NO_GO


def _page(pages: list[Path], now: datetime) -> dict[str, Renderer]:
    from pytest_artisan.release.pages import page_of

    for path in pages:
        try:
            set_aside(path)
        except OSError as error:
            raise SettingsError(f"--output={path}: {error.strerror}") from None
    return {HTML: page_of(project_root(Path.cwd()), pages, now, Masker())}


def _replay(options: argparse.Namespace) -> int:
    """Ends with GO where all is the same, and the verdict is GO."""
    from pytest_artisan.ledger import replay
    from pytest_artisan.release.attestation.replaying import report_differences, statement_differences

    told = replay(options.journal)
    verdict = decide(*told)
    root, differs = project_root(Path.cwd()), False
    for path in options.verdict:
        signed = suffix_of(path) == SIGNED
        parts = (
            statement_differences(told, verdict, root, path, options.key)
            if signed
            else report_differences(verdict, path)
        )
        if found := ", ".join(parts):
            differs = True
            print(one_line(f"{path}: what the journal comes to differs in: {found}"), file=sys.stderr)
        else:
            print(one_line(f"{path}: the same"))
    print("NO-GO" if differs else verdict.line)
    return DIFFERS if differs else GO if verdict.line == "GO" else NO_GO


def _save_baseline(options: argparse.Namespace) -> int:
    document: Document = read_json(options.verdict, Document, f"{options.verdict}: no JSON report")
    verdict = document.verdict
    if not verdict.go:
        raise SettingsError(f"{options.verdict}: the verdict is NO-GO, so it is no baseline")
    measurements = [m for gate in verdict.gates for m in gate.measurements]
    root = project_root(Path.cwd())
    path = baselines.save(root, verdict.environment, measurements, partial=bool(verdict.partial))
    print(f"{path}: {len(measurements)} measurements for {verdict.environment}")
    return GO
