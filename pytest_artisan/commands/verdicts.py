"""`artisan report`, `artisan baseline`: what is done with a verdict that is there."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_artisan.commands import GO, NO_GO, Commands
from pytest_artisan.release import baselines
from pytest_artisan.reports import terminal
from pytest_artisan.reports.machine import Document
from pytest_artisan.reports.publish import RENDERERS, publish
from pytest_artisan.settings import SettingsError, project_root, read_json
from pytest_artisan.verdict.decide import decide


def add(commands: Commands) -> None:
    report = commands.add_parser("report", help="rebuild the verdict of a session from its journal")
    report.add_argument("journal", type=Path)
    report.add_argument("--output", type=Path, action="append", default=[], help=f"a file: {', '.join(RENDERERS)}")
    report.set_defaults(run=_report)
    baseline = commands.add_parser("baseline", help="what --regression compares with")
    save = baseline.add_subparsers(required=True, metavar="COMMAND").add_parser("save", help="record a verdict")
    save.add_argument("verdict", type=Path, help="the JSON report of a session that ended in GO")
    save.set_defaults(run=_save_baseline)


def _report(options: argparse.Namespace) -> int:
    for path in options.output:
        if path.suffix not in RENDERERS:
            raise SettingsError(f"--output={path}: unknown suffix; known: {', '.join(RENDERERS)}")
    from pytest_artisan.ledger import replay  # and with it pytest, which no other command needs

    verdict = decide(*replay(options.journal))
    print(terminal.text_of(verdict))
    for text in publish(verdict, options.output).values():
        raise SettingsError(text)
    return GO if verdict.go else NO_GO


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
