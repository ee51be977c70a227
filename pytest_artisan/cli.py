"""The command `artisan`: what is not a test session."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pytest_artisan.ledger import replay
from pytest_artisan.release import baselines
from pytest_artisan.release.environments import NAMES, Environment, get_config
from pytest_artisan.reports import terminal
from pytest_artisan.reports.machine import Document
from pytest_artisan.reports.publish import RENDERERS, publish
from pytest_artisan.settings import SettingsError, project_root
from pytest_artisan.verdict.decide import decide

GO, NO_GO, BAD_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 is GO or done, 1 is NO-GO, 2 is bad input, told in one line."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except SettingsError as error:
        print(f"artisan: {error}", file=sys.stderr)
        return BAD_INPUT
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="artisan", description="Release gates: what is not a test session.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    report = commands.add_parser("report", help="rebuild the verdict of a session from its journal")
    report.add_argument("journal", type=Path)
    report.add_argument("--output", type=Path, action="append", default=[], help=f"a file: {', '.join(RENDERERS)}")
    report.set_defaults(run=_report)
    baseline = commands.add_parser("baseline", help="what --regression compares with")
    save = baseline.add_subparsers(required=True, metavar="COMMAND").add_parser("save", help="record a verdict")
    save.add_argument("verdict", type=Path, help="the JSON report of a session that ended in GO")
    save.set_defaults(run=_save_baseline)
    env = commands.add_parser("env", help="the environments")
    show = env.add_subparsers(required=True, metavar="COMMAND").add_parser("show", help="one, with its secrets masked")
    show.add_argument("name", nargs="?", choices=NAMES, help="default: ARTISAN_ENV, else dev")
    show.set_defaults(run=_show_environment)
    return parser


def _report(options: argparse.Namespace) -> int:
    for path in options.output:
        if path.suffix not in RENDERERS:
            raise SettingsError(f"--output={path}: unknown suffix; known: {', '.join(RENDERERS)}")
    verdict = decide(*replay(options.journal))
    print(terminal.text_of(verdict))
    for text in publish(verdict, options.output).values():
        raise SettingsError(text)
    return GO if verdict.go else NO_GO


def _save_baseline(options: argparse.Namespace) -> int:
    try:
        verdict = msgspec.json.decode(options.verdict.read_bytes(), type=Document).verdict
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise SettingsError(f"{options.verdict}: no JSON report: {error}") from None
    if not verdict.go:
        raise SettingsError(f"{options.verdict}: the verdict is NO-GO, so it is no baseline")
    measurements = [m for gate in verdict.gates for m in gate.measurements]
    root = project_root(Path.cwd())
    path = baselines.save(root, verdict.environment, measurements, partial=bool(verdict.partial))
    print(f"{path}: {len(measurements)} measurements for {verdict.environment}")
    return GO


def _show_environment(options: argparse.Namespace) -> int:
    environment = get_config(options.name)
    print("\n".join(_lines(environment)))
    return GO


def _lines(environment: Environment) -> list[str]:
    """Every setting as `key = value`; of a secret its reference, and whether it is set."""
    plain = msgspec.to_builtins(environment.table)
    lines = [f"env = {environment.env}", f"allow_writes = {str(environment.allow_writes).lower()}"]
    for table, settings in plain.items():
        if isinstance(settings, dict):
            lines += [f"{table}.{key} = {value}" for key, value in settings.items() if not key.endswith("_env")]
        elif table != "allow_writes":
            lines.append(f"{table} = {settings if settings is not None else '(not set)'}")
    for key, secret in environment.secrets.items():
        lines.append(f"{key.removesuffix('_env')} = {secret.masked()}")
    return lines
