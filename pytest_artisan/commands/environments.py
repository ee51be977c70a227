"""`artisan env`: the environments."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import msgspec

from pytest_artisan.commands import GO, Commands
from pytest_artisan.release.environments import NAMES, Environment, get_config
from pytest_artisan.release.secrets import Masker
from pytest_artisan.release.variables import flat
from pytest_artisan.settings import one_line


def add(commands: Commands) -> None:
    env = commands.add_parser("env", help="the environments")
    show = env.add_subparsers(required=True, metavar="COMMAND").add_parser("show", help="one, with its secrets masked")
    show.add_argument("name", nargs="?", choices=NAMES, help="default: ARTISAN_ENV, else dev")
    show.set_defaults(run=_show_environment)


def _show_environment(options: argparse.Namespace) -> int:
    environment = get_config(options.name)
    masker = Masker(environment.secrets.values())
    for line in _lines(environment):
        print(masker.text(one_line(line)))
    return GO


def _lines(environment: Environment) -> Iterator[str]:
    """Every setting as `key = value`, and whose word it is; of a secret its reference, and whether it is set."""
    decided = {"data": environment.data, "allow_writes": environment.allow_writes}
    yield f"env = {environment.env}"
    for key, value in (decided | flat(msgspec.to_builtins(environment.table)) | decided).items():
        if not key.endswith("_env"):
            origin = environment.origin(key)
            shown = "(not set)" if value is None else str(value).lower() if isinstance(value, bool) else value
            yield f"{key} = {shown}" + (f" (from {origin})" if origin else "")
    for key, secret in environment.secrets.items():
        yield f"{key.removesuffix('_env')} = {secret.masked()}"
