"""`[tool.artisan.environments.<name>.traffic]`: the router of an environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from pytest_artisan.release.traffic.router import Slot
from pytest_artisan.settings import Table

_Text = Annotated[str, Meta(min_length=1)]
# It becomes a word of a command, or a part of a path: no separator, and no `..`.
_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]*\Z")]


class Traffic(Table, frozen=True):
    """HAProxy by its runtime `socket` and `backend`, with a server for each slot; or an HTTPRoute of Kubernetes' Gateway API."""

    router: Literal["haproxy", "kubernetes"]
    socket: _Text | None = None
    backend: _Name | None = None
    namespace: _Name = "default"
    route: _Name | None = None
    blue: _Name = "blue"
    green: _Name = "green"

    def lint(self) -> Iterator[str]:
        needed = ("socket", "backend") if self.router == "haproxy" else ("route",)
        missing = [key for key in needed if getattr(self, key) is None]
        if missing:
            yield f"router {self.router} needs {', '.join(missing)}"
        if self.blue == self.green:
            yield f"blue and green are both {self.blue!r}"

    @property
    def names(self) -> dict[Slot, str]:
        """What the router calls the slots."""
        return {"blue": self.blue, "green": self.green}
