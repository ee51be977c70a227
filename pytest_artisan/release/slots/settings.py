"""`[tool.artisan.environments.<name>.slots]`: where blue and green are, and how they are started and stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from pytest_artisan.release.addresses import url_complaints
from pytest_artisan.settings import Table

_Command = Annotated[tuple[str, ...], Meta(min_length=1)]


class Slots(Table, frozen=True):
    """The base URL of each slot, and the commands, as lists of arguments, that start and stop the service in one.

    `{slot}`, `{version}`, `{commit}` and `{url}` in an argument stand for what they say. `start_s`: how long it may take
    to be ready.
    """

    blue: str
    green: str
    start: _Command
    stop: _Command
    start_s: Annotated[float, Meta(gt=0)] = 60

    def lint(self) -> Iterator[str]:
        yield from url_complaints("blue", self.blue)
        yield from url_complaints("green", self.green)
        if self.blue == self.green:
            yield f"blue and green are both {self.blue!r}"
