"""`artisan blue-green`."""

from __future__ import annotations

from pytest_artisan.commands import Commands


def add(commands: Commands) -> None:
    commands.add_parser("blue-green")
