"""`artisan checklist`: what is to be done before, during and after a deployment."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_artisan.commands import GO, Commands
from pytest_artisan.release.checklists import LISTS, as_lines
from pytest_artisan.release.versions import check_version
from pytest_artisan.reports.machine import Document
from pytest_artisan.settings import read_json


def add(commands: Commands) -> None:
    checklist = commands.add_parser("checklist", help="a list for a release issue, ticked where a verdict proves it")
    checklist.add_argument("when", choices=tuple(LISTS))
    checklist.add_argument("--verdict", type=Path, metavar="FILE", help="the JSON report of a session")
    checklist.add_argument("--version", default="", metavar="VERSION", help="of what is deployed")
    checklist.set_defaults(run=_print)


def _print(options: argparse.Namespace) -> int:
    if options.version:
        check_version(options.version)
    path: Path | None = options.verdict
    document: Document | None = read_json(path, Document, f"{path}: no JSON report") if path else None
    print("\n".join(as_lines(options.when, document, options.version)))
    return GO
