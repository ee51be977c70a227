"""`[tool.artisan.blue_green]`: how long a switch is watched, and the limits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_artisan.release.health import Limits
from pytest_artisan.release.observing.queries import SlotQueries
from pytest_artisan.settings import Table, as_table, convert, seconds


class BlueGreen(Table, frozen=True):
    """`monitor`: how long the new slot is watched after the switch; `look`: between two looks.

    `drain`: how long a slot without traffic may go on answering what it has been asked before it is stopped.
    """

    monitor: str = "5min"
    look: str = "15s"
    drain: str = "30s"
    limits: Limits = Limits()
    queries: SlotQueries = SlotQueries()

    def lint(self) -> Iterator[str]:
        for key in ("monitor", "look", "drain"):
            try:
                seconds(getattr(self, key))
            except ValueError as error:
                yield f"{key}: {error}"
                return
        yield from (f"limits {complaint}" for complaint in self.limits.lint())

    @property
    def looks(self) -> int:
        """How many looks have to see the new slot: what nobody watched does not count, whatever a clock says."""
        return math.ceil(seconds(self.monitor) / seconds(self.look))


def blue_green_of(artisan: Mapping[str, Any], where: str) -> BlueGreen:
    """The table of [tool.artisan]; raises SettingsError, which `where` begins."""
    return convert(as_table(artisan.get("blue_green", {}), f"{where} blue_green"), BlueGreen, f"{where} blue_green")
