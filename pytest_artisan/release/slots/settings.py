"""`[tool.artisan.environments.<name>.slots]`: where blue and green are, and how they are started and stopped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from pytest_artisan.release.addresses import url_complaints
from pytest_artisan.settings import Table

_Command = Annotated[tuple[str, ...], Meta(min_length=1)]
PLACEHOLDER = re.compile(r"\{(\w*)\}")
KNOWN = ("slot", "version", "commit", "url", "port")


class Slots(Table, frozen=True):
    """The base URL of each slot, and the commands, as lists of arguments, that start and stop the service in one.

    `{slot}`, `{version}`, `{commit}`, `{url}` and `{port}` in an argument stand for what they say. Both commands return
    when it is done; starting what runs, and stopping what does not, is no error. `start_s`: how long it may take to be
    ready, and how long either command may.
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
        for key in ("start", "stop"):
            for name in PLACEHOLDER.findall("\n".join(getattr(self, key))):
                if name not in KNOWN:
                    yield f"{key} has {{{name}}}, which stands for nothing; known: {', '.join(KNOWN)}"
