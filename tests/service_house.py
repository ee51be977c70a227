"""The service's app in a test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI
from service_by_stub import Stub

from pytest_artisan.ensemble.answers import Conducted
from pytest_artisan.release.flags.states import State
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
        self.rollouts: dict[str, State] = {}
        self.decide: IsEnabled = lambda flag, user: flag not in self.off
        self.store = DatabaseStore(f"sqlite:///{folder / 'artisan.db'}")
        self.stub, self.metrics = Stub(), Metrics()
        self.observer = MetricsObserver(self.metrics)
        self.answering: Conducted = self.stub
        self.app = self.made()

    def made(self) -> FastAPI:
        """An app of what this house works with now."""
        flags = (self._is_enabled, lambda: self.rollouts)
        return create_app(Service(self.answering, self.store, self.metrics, self.observer, "0123456789ab", *flags))

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
