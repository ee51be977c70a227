"""`artisan go-nogo`: a session with every gate, for who wants its verdict alone."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from pytest_artisan.commands import BAD_INPUT, GO, NO_GO, Commands
from pytest_artisan.policy import load_policy
from pytest_artisan.release.addresses import url_complaints
from pytest_artisan.release.environments import NAMES
from pytest_artisan.release.variables import variable_of
from pytest_artisan.reports.machine import Document
from pytest_artisan.settings import SettingsError, project_root
from pytest_artisan.verdict.evidence import NoEvidence

_STOP_S = 15.0
# pytest's own: a usage error, which its line has told by then.
_MISUSED = 4


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
        status = _session(["--artisan-gates", f"--artisan-report={report}", *arguments], root, environment)
        if status == _MISUSED:
            return BAD_INPUT
        # An option in the project's own settings, such as --version, may end a session well before it says anything.
        if not report.exists():
            raise NoEvidence(f"the session ended with status {status}, and without a verdict")
        verdict = msgspec.json.decode(report.read_bytes(), type=Document).verdict
    return GO if status == 0 and verdict.go else NO_GO


def _session(arguments: Sequence[str], root: Path, environment: Mapping[str, str]) -> int:
    """The exit status of a session, which ends with this process's own interruption. Raises KeyboardInterrupt."""
    command = [sys.executable, "-m", "pytest", "-p", "artisan", *arguments]
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    # In a group of its own, so that an interruption reaches it once: by this process, whoever interrupts that.
    session = subprocess.Popen(command, cwd=root, env=environment, stdin=subprocess.DEVNULL, process_group=0)
    try:
        return session.wait()
    finally:
        _end(session)
        signal.signal(signal.SIGTERM, before)


def _end(session: subprocess.Popen[bytes]) -> None:
    """Interrupt it where it still runs, which lets it tidy up and tell; in the end, kill it and what it started."""
    if session.poll() is not None:
        return
    session.send_signal(signal.SIGINT)
    try:
        session.wait(_STOP_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with suppress(ProcessLookupError):
            os.killpg(session.pid, signal.SIGKILL)
        session.wait()
