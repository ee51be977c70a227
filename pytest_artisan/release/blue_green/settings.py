"""`[tool.artisan.blue_green]`: how long a switch is watched, and the limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_artisan.release.health import Limits
from pytest_artisan.settings import Table, as_table, convert, seconds


class BlueGreen(Table, frozen=True):
    """`monitor`: how long green is watched after the switch; `look`: between two looks."""

    monitor: str = "5min"
    look: str = "15s"
    limits: Limits = Limits()

    def lint(self) -> Iterator[str]:
        for key in ("monitor", "look"):
            try:
                seconds(getattr(self, key))
            except ValueError as error:
                yield f"{key}: {error}"


def blue_green_of(artisan: Mapping[str, Any], where: str) -> BlueGreen:
    """The table of [tool.artisan]; raises SettingsError, which `where` begins."""
    return convert(as_table(artisan.get("blue_green", {}), f"{where} blue_green"), BlueGreen, f"{where} blue_green")
