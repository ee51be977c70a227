"""`[tool.artisan.canary]`: its stages, how long each has to be watched, and the limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any

from msgspec import Meta

from pytest_artisan.release.health import Limits
from pytest_artisan.settings import Table, as_table, convert, seconds


class Stage(Table, frozen=True):
    """A share of users, in per cent, and how long it is watched before the next one."""

    percent: Annotated[float, Meta(gt=0, le=100)]
    soak: str = "30min"

    def lint(self) -> Iterator[str]:
        try:
            seconds(self.soak)
        except ValueError as error:
            yield f"soak: {error}"


class Canary(Table, frozen=True):
    """`extensions`: how often a soak may be repeated while nothing is shown; then it goes back. `look`: between two looks."""

    stages: tuple[Stage, ...] = (
        Stage(percent=1, soak="10min"),
        Stage(percent=5, soak="20min"),
        Stage(percent=25, soak="30min"),
        Stage(percent=100),
    )
    extensions: Annotated[int, Meta(ge=0)] = 2
    look: str = "15s"
    limits: Limits = Limits()

    def lint(self) -> Iterator[str]:
        if not self.stages:
            yield "stages is empty"
        for first, second in pairwise(self.stages):
            if first.percent >= second.percent:
                yield f"stages: {second.percent:g} does not come after {first.percent:g}"
        for one in self.stages:
            yield from one.lint()


def canary_of(artisan: Mapping[str, Any], where: str) -> Canary:
    """The table of [tool.artisan]; raises SettingsError, which `where` begins."""
    return convert(as_table(artisan.get("canary", {}), f"{where} canary"), Canary, f"{where} canary")
