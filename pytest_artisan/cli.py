"""The command `artisan`: what is not a test session."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Final

from pytest_artisan.commands import BAD_INPUT, INTERRUPTED
from pytest_artisan.settings import SettingsError, one_line
from pytest_artisan.verdict.evidence import NoEvidence

# Which room of `commands` each command is in: the one that is asked for is opened alone, as a deploy step waits for it.
ROOMS: Final = {
    "go-nogo": "go_nogo",
    "drill": "drill",
    "report": "verdicts",
    "replay": "verdicts",
    "baseline": "verdicts",
    "verify": "attestation",
    "env": "environments",
    "flags": "flags",
    "deploy": "deploy",
    "hotfix": "hotfix",
    "evolve": "optimizer",
    "moga-stability": "optimizer",
    "load-smoke": "load",
    "train": "train",
    "release": "release",
    "checklist": "checklist",
    "audit": "audit",
    "sbom": "audit",
    "audit import": "audit",
    "serve": "serving",
    "models": "serving",
}


def wall_clock() -> datetime:
    return datetime.now(UTC)


def main(arguments: Sequence[str] | None = None, clock: Callable[[], datetime] = wall_clock) -> int:
    """Run one command; 0 is GO or done, 1 is NO-GO, 2 is bad input and 130 Ctrl-C, each told in one line.

    A command asks `clock` for the time, in UTC.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:2] == ["audit", "import"]:
        # Beside `audit FILE`, where it would be a file.
        given[:2] = ["audit import"]
    options = parser_of(given[0] if given else "").parse_args(given, argparse.Namespace(clock=clock))
    try:
        status: int = options.run(options)
    except (SettingsError, NoEvidence) as error:
        print(f"artisan: {one_line(str(error))}", file=sys.stderr)
        # A check that refuses has a status of its own.
        return getattr(error, "status", BAD_INPUT)
    except KeyboardInterrupt:
        print("artisan: interrupted", file=sys.stderr)
        return INTERRUPTED
    return status


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser with the room of this command; with all of them where there is none such."""
    parser = argparse.ArgumentParser(prog="artisan", description="Release gates: what is not a test session.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for room in [ROOMS[command]] if command in ROOMS else dict.fromkeys(ROOMS.values()):
        import_module(f"pytest_artisan.commands.{room}").add(commands)
    return parser
