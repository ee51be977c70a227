"""`artisan go-nogo`: a session with every gate, for who wants its verdict alone."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import msgspec

from pytest_artisan.commands import BAD_INPUT, GO, NO_GO, Commands
from pytest_artisan.commands.sessions import MISUSED, run_session
from pytest_artisan.policy import load_policy
from pytest_artisan.release.addresses import url_complaints
from pytest_artisan.release.environments import NAMES
from pytest_artisan.release.variables import variable_of
from pytest_artisan.reports.machine import Document
from pytest_artisan.settings import SettingsError, project_root
from pytest_artisan.verdict.evidence import NoEvidence


def add(commands: Commands) -> None:
    command = commands.add_parser("go-nogo", help="run a session with every gate; 0 is GO, 1 is NO-GO")
    command.add_argument("--prometheus-url", metavar="URL", help="who is asked by the gate kpi; default: the policy's")
    command.add_argument(
        "--report-file", type=Path, metavar="FILE", help="write the verdict, in the form of its suffix"
    )
    command.add_argument("--env", choices=NAMES, help="default: ARTISAN_ENV, else dev")
    command.add_argument("--exit-code", action="store_true", help="nothing more: the status always tells the verdict")
    command.set_defaults(run=_go_nogo)


def _go_nogo(options: argparse.Namespace) -> int:
    root, environment = project_root(Path.cwd()), dict(os.environ)
    if options.prometheus_url is not None:
        for complaint in url_complaints("--prometheus-url", options.prometheus_url):
            raise SettingsError(complaint)
        required = load_policy(root, None, options.env).core.required
        if required is not None and "kpi" not in required:
            raise SettingsError("--prometheus-url: the policy does not require the gate kpi, so nobody would be asked")
        environment[variable_of("prometheus_url")] = options.prometheus_url
    arguments = [] if options.env is None else [f"--artisan-env={options.env}"]
    if options.report_file is not None:
        arguments.append(f"--artisan-report={options.report_file.resolve()}")
    with tempfile.TemporaryDirectory(prefix="artisan-") as folder:
        report = Path(folder, "verdict.json")
        status = run_session(root, ["--artisan-gates", f"--artisan-report={report}", *arguments], environment)
        if status == MISUSED:
            return BAD_INPUT
        # An option in the project's own settings, such as --version, may end a session well before it says anything.
        if not report.exists():
            raise NoEvidence(f"the session ended with status {status}, and without a verdict")
        verdict = msgspec.json.decode(report.read_bytes(), type=Document).verdict
    return GO if status == 0 and verdict.go else NO_GO
