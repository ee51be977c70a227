"""People who make perfumes, for a service that has nobody else: every mode is asked, and somebody's taste is learnt."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import httpx2

from pytest_artisan.ensemble.answers import MODES
from pytest_artisan.fragrance.ingredients import Catalogue, load_catalogue
from pytest_artisan.loopback import is_here

_TIMEOUT_S = 30.0
# People repeat each other. What is new, and no cache knows, are so many wishes that the members are asked often enough:
# one in the mode fast, two in balanced and three in creative.
_WISH, _MEMBERS = "fresh citrus and warm wood", 6
# Somebody who likes musk alone, and so rates musk alone: rating points from none of it to nothing else. A first
# formula has little of it, so that there is something to learn; by then a policy has learnt it.
_TASTE, _SLOPE, _ROUNDS, _FIRST_WISH = "musk", 4.0, 36, "시트러스와 나무 향"


class Traffic(Protocol):
    """What a kpi's `subject` makes: called with a base URL, it sends at least so many requests of each kind to it."""

    def __call__(self, url: str, requests: int) -> None:
        """Raises whatever it likes where the service does not even do what the traffic needs."""
        ...


def traffic() -> Traffic:
    """That of the Artisan service."""
    return _send


def _send(url: str, requests: int) -> None:
    asyncio.run(_sent(url, requests))


async def _sent(url: str, requests: int) -> None:
    new = math.ceil(requests / _MEMBERS)
    wishes = ({"wish": f"{_WISH} {number % new}", "mode": mode} for number in range(requests) for mode in MODES)
    async with httpx2.AsyncClient(base_url=url, timeout=_TIMEOUT_S, trust_env=not is_here(url)) as client:
        try:
            # Two at once, and not more: what many do to it is for load_smoke to say, which runs while nothing else does.
            async with asyncio.TaskGroup() as group:
                group.create_task(_wish(client, wishes))
                group.create_task(_rate(client))
        except ExceptionGroup as group:
            # Whoever came first says why.
            raise group.exceptions[0] from None


async def _wish(client: httpx2.AsyncClient, wishes: Iterable[dict[str, str]]) -> None:
    """Whatever the answers are, the service's own metrics tell."""
    for wish in wishes:
        await client.post("/dna/create", json=wish)


async def _rate(client: httpx2.AsyncClient) -> None:
    catalogue = load_catalogue()
    dna = (await _asked(client, "/dna/create", {"wish": _FIRST_WISH}))["id"]
    for _ in range(_ROUNDS):
        offered = await _asked(client, "/evolve/options", {"dna": dna, "algorithm": "PPO"})
        liked = [_liked(catalogue, option["composition"]) for option in offered["options"]]
        best = max(range(len(liked)), key=liked.__getitem__)
        said = {"chosen": offered["options"][best]["id"], "rating": round(1 + _SLOPE * liked[best], 1)}
        said |= {"experiment": offered["experiment"], "algorithm": "PPO", "notes": f"more {_TASTE}"}
        await _asked(client, "/evolve/feedback", said)


async def _asked(client: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> Any:
    """The answer, which the next request needs."""
    return (await client.post(path, json=body)).raise_for_status().json()


def _liked(catalogue: Catalogue, composition: Sequence[dict[str, Any]]) -> float:
    """The share of a formula, 0 to 1, that somebody likes."""
    liked: Iterator[float] = (
        part["per_cent"] for part in composition if _TASTE in catalogue.by_cas(part["cas"]).families
    )
    return min(math.fsum(liked) / 100, 1.0)
