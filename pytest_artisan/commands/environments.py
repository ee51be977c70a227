"""`artisan env`: the environments."""

from __future__ import annotations

import argparse

import msgspec

from pytest_artisan.commands import GO, Commands
from pytest_artisan.release.environments import NAMES, Environment, get_config


def add(commands: Commands) -> None:
    env = commands.add_parser("env", help="the environments")
    show = env.add_subparsers(required=True, metavar="COMMAND").add_parser("show", help="one, with its secrets masked")
    show.add_argument("name", nargs="?", choices=NAMES, help="default: ARTISAN_ENV, else dev")
    show.set_defaults(run=_show_environment)


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
