"""The command `artisan`: what is not a test session."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pytest_artisan.commands import (
    BAD_INPUT,
    INTERRUPTED,
    attestation,
    audit,
    checklist,
    deploy,
    drill,
    environments,
    flags,
    go_nogo,
    hotfix,
    load,
    optimizer,
    release,
    serving,
    train,
    verdicts,
)
from pytest_artisan.settings import SettingsError, one_line
from pytest_artisan.verdict.evidence import NoEvidence


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
    options = _parser().parse_args(given, argparse.Namespace(clock=clock))
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="artisan", description="Release gates: what is not a test session.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    rooms = (
        go_nogo, drill, verdicts, attestation, environments, flags, deploy, hotfix, optimizer, load, train, release,
        checklist, audit, serving,
    )  # fmt: skip
    for room in rooms:
        room.add(commands)
    return parser
