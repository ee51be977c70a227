"""What an ensemble keeps, where, and that nobody can spoil it for others."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fakeredis import TcpFakeServer

from pytest_artisan.ensemble.alike import Alike, _read
from pytest_artisan.ensemble.answers import ROLES, Answer, Outcome, Source
from pytest_artisan.ensemble.breaker import Breaker, Unavailable
from pytest_artisan.ensemble.briefs import WishBrief
from pytest_artisan.ensemble.caches import KEPT, MemoryCache, RedisCache
from pytest_artisan.ensemble.calls import Caller, SchemaFailure
from pytest_artisan.ensemble.connection import Connection, Embedding, Embeddings
from pytest_artisan.ensemble.ensemble import Ensemble
from pytest_artisan.ensemble.members import Member
from pytest_artisan.ensemble.settings import Endpoint
from pytest_artisan.gates.briefing.rig import BRIEF, Heard, ManualClock, Members, Say, told_settings
from pytest_artisan.loopback import served
from pytest_artisan.settings import SettingsError


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """A server on loopback that speaks Redis's protocol."""
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_memory_cache_keeps_what_is_outdated_for_a_while() -> None:
    async def live() -> list[tuple[bytes, bool] | None]:
        clock = ManualClock()
        cache, seen = MemoryCache(300, clock), list[tuple[bytes, bool] | None]()
        await cache.put("a", b"1")
        for seconds in (299.0, 2.0, 300.0 * KEPT):
            clock.time += seconds
            seen.append(await cache.get("a"))
        return seen

    assert asyncio.run(live()) == [(b"1", True), (b"1", False), None]


def test_redis_is_shared_and_its_own_clock_says_what_is_fresh(redis_url: str) -> None:
    async def live() -> list[object]:
        clock = ManualClock()
        one, two = (RedisCache(redis_url, 300, Breaker(clock)) for _ in range(2))
        await one.put("a", b"1")
        seen: list[object] = [await two.get("a"), await two.get("b")]
        # As much later as the answer is fresh: less is left than an outdated answer has.
        await one._client.pexpire("artisan:brief:a", 300_000 * (KEPT - 1) - 1)
        seen.append(await two.get("a"))
        await one.aclose()
        await two.aclose()
        return seen

    assert asyncio.run(live()) == [(b"1", True), None, (b"1", False)]


def _answers(settings: Any, *wishes: str, observer: Heard | None = None) -> list[Answer]:
    async def ask() -> list[Answer]:
        ensemble = Ensemble(settings, clock=ManualClock(), observer=observer)
        try:
            return [await ensemble.answer(wish, "fast") for wish in wishes]
        finally:
            await ensemble.aclose()

    return asyncio.run(ask())


def test_ensembles_share_answers_by_redis_until_a_model_changes_or_somebody_damages_one(redis_url: str) -> None:
    members = Members()
    with served(members) as url:
        shared = replace(told_settings(url), cache_url=redis_url)
        [first] = _answers(shared, "shared wish")
        [again] = _answers(shared, "shared wish")
        [other] = _answers(replace(told_settings(url, "2"), cache_url=redis_url), "shared wish")
        assert [a.outcome for a in (first, again, other)] == [Outcome.RAW, Outcome.CACHED, Outcome.RAW]

        async def damage() -> None:
            cache = RedisCache(redis_url, 300, Breaker(ManualClock()))
            await cache.put(first.key, b'{"mood": "furious"}')
            await cache.aclose()

        asyncio.run(damage())
        [mended] = _answers(shared, "shared wish")
        assert mended.outcome is Outcome.RAW
        assert members.count("primary") == 3


@pytest.mark.parametrize("down", [(), ROLES], ids=["answered", "all down"])
def test_nobody_can_change_an_answer_that_others_get_too(down: tuple[str, ...]) -> None:
    with served(Members(always=dict.fromkeys(down, Say(503)))) as url:
        for answer in _answers(told_settings(url), "one wish", "one wish"):
            for change in ("clear", "popitem", "update", "setdefault", "pop", "__delitem__", "__ior__", "__setitem__"):
                with pytest.raises(TypeError, match="a brief does not change"):
                    getattr(answer.brief.notes_preference, change)()
            assert answer.brief.model_copy(deep=True) == answer.brief
            assert WishBrief.model_validate_json(answer.brief.model_dump_json()) == answer.brief


def test_an_answer_that_needed_something_taken_off_is_kept_too() -> None:
    with served(Members(always={"primary": Say(content=f"Gladly: {json.dumps(BRIEF)}")})) as url:
        outcomes = [answer.outcome for answer in _answers(told_settings(url), "one", "one")]
    assert outcomes == [Outcome.REPAIRED, Outcome.CACHED]


def test_a_lost_redis_costs_nothing_but_its_answers() -> None:
    heard = Heard()
    members = Members()
    with served(members) as url:
        lost = replace(told_settings(url), cache_url="redis://127.0.0.1:1")
        answers = _answers(lost, "one", "two", "one", observer=heard)
    assert [answer.outcome for answer in answers] == [Outcome.RAW] * 3
    assert members.count("primary") == 3
    assert heard.turns == [("cache", "open")]


def test_what_is_looked_up_first_takes_of_the_time_of_the_whole_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, deadlines = ManualClock(), list[float]()

    async def embed(alike: Alike, text: str) -> None:
        clock.time += 1

    async def ask(member: Member, task: Any, kind: Any, deadline: float, *, guarded: bool) -> Any:
        deadlines.append(deadline)
        raise Unavailable("down")

    async def answer() -> None:
        url = "http://127.0.0.1:1"
        settings = replace(told_settings(url, patience=10), embedding=Endpoint(url, "embedding"))
        ensemble = Ensemble(settings, clock=clock)
        await ensemble.answer("warm wood", "fast")
        await ensemble.aclose()

    monkeypatch.setattr(Alike, "embed", embed)
    monkeypatch.setattr(Member, "ask", ask)
    started = clock.time
    asyncio.run(answer())
    assert deadlines[-1] == started + 10


@pytest.mark.parametrize("pause", [0.4, 5.0])
def test_nobody_is_waited_for_beyond_the_deadline(pause: float) -> None:
    clock = ManualClock()
    members = Members(always=dict.fromkeys(ROLES, Say(503, headers=((b"retry-after", b"7"),))))

    async def ask(url: str) -> Answer:
        ensemble = Ensemble(told_settings(url, patience=pause), clock=clock)
        try:
            return await ensemble.answer("warm wood", "fast")
        finally:
            await ensemble.aclose()

    with served(members) as url:
        answer = asyncio.run(ask(url))
    assert answer.outcome is Outcome.DEFAULT
    assert (clock.slept, len(members.asked)) == ([], 3)


@pytest.mark.parametrize(
    ("hedge_after", "source", "asked"), [(None, Source.PRIMARY, ["primary"]), (1.0, Source.VALIDATOR, list(ROLES[:2]))]
)
def test_a_second_member_is_asked_where_hedging_is_on(
    hedge_after: float | None, source: Source, asked: list[str]
) -> None:
    """The clock's second passes at once, so a hedge comes before any answer; a member that hangs has no other end."""
    members = Members(always={"primary": Say(hang=True)} if hedge_after else {})
    with served(members) as url:
        [answer] = _answers(replace(told_settings(url), hedge_after=hedge_after), "a wish")
    assert answer.source is source
    # Who loses is left alone; whether somebody heard of a third question is a matter of microseconds.
    assert [role for role, _ in members.tasks()][: len(asked)] == asked


def test_hedging_still_falls_back_to_the_last_member() -> None:
    with served(Members(always={"primary": Say(400), "validator": Say(400)})) as url:
        [answer] = _answers(replace(told_settings(url), hedge_after=1e-9), "a wish")
    assert (answer.source, answer.outcome) == (Source.CREATIVE, Outcome.FALLBACK)


def _alike() -> Alike:
    clock = ManualClock()
    return Alike(Caller("embedding", Connection(Endpoint("http://127.0.0.1:1", "e")), clock, Heard()), clock)


def _vector(*values: float) -> Any:
    return _read(Embeddings([Embedding(list(values))])).content


def test_the_nearest_of_a_kind_is_found_and_the_oldest_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_artisan.ensemble.alike._REMEMBERED", 2)
    alike = _alike()
    assert alike.nearest("fast en", _vector(1, 0)) is None
    alike.remember("fast en", "x", _vector(2, 0))
    alike.remember("fast en", "y", _vector(0, 3))
    assert alike.nearest("fast en", _vector(5, 0.1)) == "x"
    assert alike.nearest("fast en", _vector(1, 1)) is None
    assert alike.nearest("fast ko", _vector(1, 0)) is None
    assert alike.nearest("fast en", _vector(1, 0, 0)) is None  # of another model
    alike.remember("fast en", "x", _vector(1, 0))
    alike.remember("fast en", "z", _vector(-1, 0))
    assert [alike.nearest("fast en", _vector(*v)) for v in ((1, 0), (0, 1), (-1, 0))] == ["x", None, "z"]


@pytest.mark.parametrize("values", [(), (0.0, 0.0), (float("inf"), 0.0), (float("nan"), 1.0), (1e300, 0.0)])
def test_an_embedding_without_a_direction_is_none(values: tuple[float, ...]) -> None:
    with pytest.raises(SchemaFailure, match="has no direction"):
        _vector(*values)


def test_no_embedding_at_all_is_none() -> None:
    with pytest.raises(SchemaFailure, match="has no direction"):
        _read(Embeddings([]))


@pytest.mark.parametrize("reply", [b":x\r\n" * 2, b"+OK\r\n" * 3, b"hello\r\n", b"-LOADING\r\n" * 3, b""])
def test_what_is_no_redis_has_nothing(reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while reply and await reader.read(10_000):
            writer.write(reply)
        writer.close()

    async def live() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            cache = RedisCache(url, 300, Breaker(ManualClock()))
            assert await cache.get("a") is None
            await cache.put("a", b"1")
            await cache.aclose()

    asyncio.run(live())


@pytest.mark.parametrize("option", ["?no_such=1", "?socket_timeout=soon"])
def test_an_address_with_an_option_that_there_is_not_is_refused_at_the_start(option: str) -> None:
    with pytest.raises(SettingsError, match=r"llm\.cache_url: "):
        RedisCache(f"redis://127.0.0.1:1/{option}", 300, Breaker(ManualClock()))


def test_an_outdated_answer_is_kept_24_times_as_long_as_it_is_fresh(redis_url: str) -> None:
    assert KEPT == 24

    async def live() -> int:
        cache = RedisCache(redis_url, 300, Breaker(ManualClock()))
        await cache.put("kept", b"1")
        left = int(await cache._client.pttl("artisan:brief:kept"))
        await cache.aclose()
        return left

    assert 299_000 < asyncio.run(live()) / KEPT <= 300_000


def test_what_another_member_stood_in_for_is_not_kept() -> None:
    with served(Members(always={"primary": Say(401)})) as url:
        outcomes = [answer.outcome for answer in _answers(told_settings(url), "one", "one")]
    assert outcomes == [Outcome.FALLBACK, Outcome.FALLBACK]
