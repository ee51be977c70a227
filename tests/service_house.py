"""The service's app in a test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
from service_by_stub import Stub

from pytest_artisan.service.app import Service, create_app
from pytest_artisan.service.metrics import Metrics, MetricsObserver
from pytest_artisan.service.store import DatabaseStore
from pytest_artisan.service.switches import IsEnabled

Calls = Callable[[httpx2.AsyncClient], Awaitable[None]]


class House:
    """An app in this process, and what it works with."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.off: set[str] = {"new_moga_optimizer", "advanced_rlhf"}
        self.decide: IsEnabled = lambda flag, user: flag not in self.off
        self.store = DatabaseStore(f"sqlite:///{folder / 'artisan.db'}")
        self.stub, self.metrics = Stub(), Metrics()
        self.observer = MetricsObserver(self.metrics)
        self.app = create_app(
            Service(self.stub, self.store, self.metrics, self.observer, "0123456789ab", self._is_enabled)
        )

    def _is_enabled(self, flag: str, user: str | None) -> bool:
        self.asked.append((flag, user))
        return self.decide(flag, user)

    def ask(self, calls: Calls) -> None:
        async def asking() -> None:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self.app.router.lifespan_context(self.app))
                client = httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), base_url="http://a")
                await calls(await stack.enter_async_context(client))

        asyncio.run(asking())

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


async def created(client: httpx2.AsyncClient, wish: str = "woody", **more: object) -> Any:
    response = await client.post("/dna/create", json={"wish": wish, **more})
    assert response.status_code == 200, response.text
    return response.json()
