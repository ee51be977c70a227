"""`[tool.artisan.environments.<name>.traffic]`: the router of an environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from pytest_artisan.settings import Table

_Text = Annotated[str, Meta(min_length=1)]


class Traffic(Table, frozen=True):
    """HAProxy by its runtime `socket` and `backend`, with a server for each slot; or an HTTPRoute of Kubernetes' Gateway API."""

    router: Literal["haproxy", "kubernetes"]
    socket: _Text | None = None
    backend: _Text | None = None
    namespace: _Text = "default"
    route: _Text | None = None
    blue: _Text = "blue"
    green: _Text = "green"

    def lint(self) -> Iterator[str]:
        needed = ("socket", "backend") if self.router == "haproxy" else ("route",)
        missing = [key for key in needed if getattr(self, key) is None]
        if missing:
            yield f"router {self.router} needs {', '.join(missing)}"
        if self.blue == self.green:
            yield f"blue and green are both {self.blue!r}"
