"""`artisan drill`: whether every gate, and what deploys, can say no."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_artisan.commands import BAD_INPUT, GO, NO_GO, Commands
from pytest_artisan.commands.sessions import MISUSED, run_session
from pytest_artisan.settings import project_root


def add(commands: Commands) -> None:
    command = commands.add_parser("drill", help="plant a violation in every gate and deployment; each has to say NO-GO")
    command.set_defaults(run=_drill)


def _drill(options: argparse.Namespace) -> int:
    status = run_session(project_root(Path.cwd()), ["--artisan-drill", "-q"])
    return {0: GO, MISUSED: BAD_INPUT}.get(status, NO_GO)
