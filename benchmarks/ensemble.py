"""What the ensemble adds to its members, and what a cache hit takes: `python benchmarks/ensemble.py`.

The peer is the client library `openai`, which has retries, too, but neither breaker, cache, fallback nor a schema of the
answer; it is asked in the same rounds where it is installed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Awaitable, Callable
from typing import Any

from moga import spread, table

from pytest_artisan.ensemble.connection import Completion, Connection
from pytest_artisan.ensemble.ensemble import Ensemble
from pytest_artisan.ensemble.prompts import brief_task
from pytest_artisan.gates.briefing.rig import Members, told_settings
from pytest_artisan.loopback import served

ROUNDS, FIRST = 1_000, 100


async def measure(url: str) -> dict[str, list[float]]:
    """Microseconds of each way to ask, in turn; the rounds that warm up are left out."""
    settings = told_settings(url)
    bare, ensemble = Connection(settings.members["primary"]), Ensemble(settings)
    ways: dict[str, Callable[[str], Awaitable[Any]]] = {
        "bare request": lambda wish: bare.post("chat/completions", _body(wish), Completion, 10),
        "ensemble": lambda wish: ensemble.answer(wish, "fast"),
        "cache hit": lambda wish: ensemble.answer(wish, "fast"),
    }
    if importlib.util.find_spec("openai"):
        import openai

        peer = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none")
        ways["openai"] = lambda wish: peer.chat.completions.create(**_body(wish))
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(ROUNDS):
        for way, ask in ways.items():
            started = time.perf_counter()
            await ask(f"fresh citrus for summer {number}")
            taken[way].append(1e6 * (time.perf_counter() - started))
    await ensemble.aclose()
    await bare.aclose()
    return {way: times[FIRST:] for way, times in taken.items()}


def _body(wish: str) -> dict[str, Any]:
    return brief_task(wish).body("primary", "json_schema")


def main() -> None:
    with served(Members()) as url:
        taken = asyncio.run(measure(url))
    added = [whole - part for whole, part in zip(taken["ensemble"], taken["bare request"], strict=True)]
    rows = [(way, spread(times)) for way, times in {**taken, "added by the ensemble": added}.items()]
    table(f"Microseconds, {ROUNDS - FIRST} rounds; goals: 1,000 added, 100 for a hit", ("way", "a call"), rows)


if __name__ == "__main__":
    main()
