"""The ensemble's parts: what an answer is, connection and settings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import pytest

from pytest_artisan.ensemble.answers import MODES, ROLES, Answer, Mode, Outcome, Source
from pytest_artisan.ensemble.breaker import FAILURES, Unavailable
from pytest_artisan.ensemble.briefs import BRIEF_SCHEMA, DEFAULT_BRIEF, FAMILIES, Hints, WishBrief
from pytest_artisan.ensemble.calls import Caller, SchemaFailure
from pytest_artisan.ensemble.connection import Choice, Completion, Connection, Late, Message, Refused
from pytest_artisan.ensemble.ensemble import Ensemble
from pytest_artisan.ensemble.members import read
from pytest_artisan.ensemble.prompts import brief_task, check_task, hints_task
from pytest_artisan.ensemble.settings import Endpoint, settings_of
from pytest_artisan.fragrance.ingredients import load_catalogue
from pytest_artisan.gates.briefing.rig import BRIEF, Heard, ManualClock, Members, Say, told_settings
from pytest_artisan.loopback import served
from pytest_artisan.release.environments import EnvironmentTable, Name, resolve
from pytest_artisan.settings import SettingsError

BRIEF_TEXT = json.dumps(BRIEF)


def test_the_schema_names_the_families_of_the_packaged_materials() -> None:
    assert load_catalogue().families == FAMILIES


@pytest.mark.parametrize(
    ("content", "repaired"),
    [
        (BRIEF_TEXT, False),
        (f"  {BRIEF_TEXT}\n", False),
        (f"```json\n{BRIEF_TEXT}\n```", True),
        (f"Gladly! {BRIEF_TEXT} Anything else?", True),
        (BRIEF_TEXT[:-1], None),
        (f"{BRIEF_TEXT}{BRIEF_TEXT}", None),
        (BRIEF_TEXT.replace('"fresh"', '"furious"'), None),
        (BRIEF_TEXT.replace("0.9", "1.1"), None),
        (BRIEF_TEXT.replace("0.9", '"0.9"'), None),
        (BRIEF_TEXT.replace("0.9", "NaN"), None),
        (BRIEF_TEXT.replace('"mood"', '"temper"'), None),
        (BRIEF_TEXT.replace('{"citrus": 0.9, "green": 0.4}', '{"citrus": 0}'), None),
        (BRIEF_TEXT.replace("Rose oil", "Rose <b>oil</b>"), None),
        (BRIEF_TEXT.replace("Rose oil", "Rose\\noil"), None),
        ("", None),
        (None, None),
    ],
)
def test_an_answer_is_taken_as_it_stands_or_not_at_all(content: str | None, repaired: bool | None) -> None:
    completion = Completion([Choice(Message(content))])
    with pytest.raises(SchemaFailure) if repaired is None else nullcontext():
        reply = read(WishBrief, completion)
        assert (reply.content.mood, reply.repaired) == ("fresh", repaired)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({**BRIEF, "<b>PWNED</b>": 1}, "answer: Extra inputs are not permitted"),
        ({**BRIEF, "notes_preference": {"PWNED": 1}}, "answer.notes_preference: Input should be 'aldehydic'"),
        ({**BRIEF, "mood": "PWNED"}, "answer.mood: Input should be 'calm'"),
        ({**BRIEF, "forbidden_ingredients": ["rose", "<b>PWNED</b>"]}, "answer.forbidden_ingredients.1: String should"),
    ],
)
def test_what_is_said_of_a_wrong_answer_quotes_nothing_of_it(content: dict[str, Any], told: str) -> None:
    with pytest.raises(SchemaFailure) as raised:
        read(WishBrief, Completion([Choice(Message(json.dumps(content)))]))
    assert str(raised.value).startswith(told)
    assert "PWNED" not in str(raised.value)


def test_an_answer_without_a_choice_is_none() -> None:
    with pytest.raises(SchemaFailure):
        read(WishBrief, Completion([]))


@pytest.mark.parametrize("hints", [["ab", "cd"], ["ab"] * 3, ["ab", "AB", "cd"], ["a", "bc", "de"], ["x" * 49] * 3])
def test_hints_are_several_short_and_each_once(hints: list[str]) -> None:
    with pytest.raises(SchemaFailure):
        read(Hints, Completion([Choice(Message(json.dumps({"hints": hints})))]))


@contextmanager
def _members(**always: Say) -> Iterator[tuple[Members, str]]:
    members = Members(always=always)
    with served(members) as url:
        yield members, url


BODY = brief_task("a wish").body("primary", "json_schema")


@pytest.mark.parametrize(
    ("say", "error", "passing", "wait"),
    [
        (Say(503), Unavailable, True, 0),
        (Say(429, headers=((b"retry-after", b"12"),)), Unavailable, True, 12),
        (Say(503, headers=((b"retry-after", b"soon"),)), Unavailable, True, 0),
        (
            Say(503, headers=((b"retry-after", b"Mon, 23 Nov 2026 10:00:30 GMT"), (b"date", b"Mon, 23 Nov 2026 10:00:00 GMT"))),
            Unavailable,
            True,
            30,
        ),
        (
            Say(503, headers=((b"retry-after", b"Mon, 23 Nov 2026 09:00:00 GMT"), (b"date", b"Mon, 23 Nov 2026 10:00:00 GMT"))),
            Unavailable,
            True,
            0,
        ),
        *((Say(status), Unavailable, True, 0) for status in (408, 409, 425, 429, 500, 502, 504)),
        *((Say(status), Unavailable, False, 0) for status in (204, 401, 403, 404, 501)),
        (Say(400), Refused, None, None),
        (Say(413), Refused, None, None),
        (Say(302), Unavailable, False, 0),
        (Say(422), Refused, None, None),
        (Say(cut=True), Unavailable, True, 0),
        (Say(hang=True), Late, True, 0),
        (Say(content="x" * 300_000), Unavailable, False, 0),
    ],
)  # fmt: skip
def test_whatever_an_endpoint_does_is_one_kind_of_error(
    say: Say, error: type[Exception], passing: bool | None, wait: float | None
) -> None:
    async def ask(url: str) -> None:
        connection = Connection(Endpoint(f"{url}/v1", "primary", "s3cret"))
        try:
            await connection.post("chat/completions", BODY, Completion, 0.2 if say.hang else 10)
        finally:
            await connection.aclose()

    with _members(primary=say) as (_, url), pytest.raises(error) as raised:
        asyncio.run(ask(url))
    assert "s3cret" not in str(raised.value)
    if isinstance(raised.value, Unavailable):
        assert (raised.value.passing, raised.value.wait) == (passing, wait)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 503 Busy\r\nRetry-After: Mon, 23 Nov 99999999999999999999 10:00:30 GMT\r\nDate: x\r\n\r\n",
        b'HTTP/1.0 200 OK\r\n\r\n{"choices": [{"message": {"content": "\xff"}}]}',
        b'HTTP/1.0 200 OK\r\n\r\n{"choices": [], "more": ' + b"[" * 100_000,
        b"<script>PWNED</script>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nPWNED",
    ],
    ids=["year", "no UTF-8", "deep", "no HTTP", "no gzip"],
)
def test_bytes_that_nobody_can_read_are_unavailable_and_not_quoted(reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(reply)
        await writer.drain()
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            connection = Connection(Endpoint(f"http://127.0.0.1:{port}/v1", "primary"))
            try:
                await connection.post("chat/completions", {}, Completion, 10)
            finally:
                await connection.aclose()

    with pytest.raises(Unavailable) as raised:
        asyncio.run(ask())
    assert "PWNED" not in str(raised.value)


@pytest.mark.parametrize(("key", "sent"), [("s3cret", ["Authorization: Bearer s3cret"]), (None, [])])
def test_a_member_gets_its_key(key: str | None, sent: list[str]) -> None:
    heads = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b'HTTP/1.0 200 OK\r\n\r\n{"choices": []}')
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            connection = Connection(Endpoint(f"http://127.0.0.1:{port}/v1", "primary", key))
            await connection.post("chat/completions", {}, Completion, 10)
            await connection.aclose()

    asyncio.run(ask())
    [head] = heads
    assert [line for line in head.splitlines() if line.lower().startswith("authorization")] == sent


def test_who_is_not_asked_as_no_time_is_left_has_not_failed() -> None:
    clock, heard = ManualClock(), Heard()
    caller = Caller("primary", Connection(Endpoint("http://127.0.0.1:1/v1", "primary")), clock, heard)

    async def ask() -> None:
        for _ in range(FAILURES):
            with pytest.raises(Late, match="no time is left"):
                await caller.call("chat/completions", {}, Completion, partial(read, WishBrief), clock.now())
        await caller.aclose()

    asyncio.run(ask())
    assert heard.calls == heard.turns == []


def test_a_key_that_no_header_can_carry_is_not_quoted() -> None:
    async def ask(url: str) -> None:
        connection = Connection(Endpoint(f"{url}/v1", "primary", "s3cret\n"))
        try:
            await connection.post("chat/completions", BODY, Completion, 10)
        finally:
            await connection.aclose()

    with _members() as (_, url), pytest.raises(Unavailable) as raised:
        asyncio.run(ask(url))
    assert "s3cret" not in str(raised.value)


def test_nobody_listening_is_unavailable_and_no_proxy_is_asked_for_what_is_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def ask(url: str) -> str | None:
        connection = Connection(Endpoint(f"{url}/v1", "primary"))
        try:
            return (await connection.post("chat/completions", BODY, Completion, 10)).choices[0].message.content
        finally:
            await connection.aclose()

    with _members() as (_, url):
        assert asyncio.run(ask(url)) == BRIEF_TEXT
    with pytest.raises(Unavailable, match="ConnectError"):
        asyncio.run(ask(url))


def test_each_response_format_says_what_is_wanted() -> None:
    for task in (brief_task("장미"), check_task("장미", DEFAULT_BRIEF), hints_task("장미")):
        by_format = {form: task.body("m", form) for form in ("json_schema", "json_object", "text")}
        assert by_format["json_schema"]["response_format"]["json_schema"]["schema"] == task.schema
        assert by_format["json_object"]["response_format"] == {"type": "json_object"}
        assert "response_format" not in by_format["text"]
        for form, body in by_format.items():
            system, user = body["messages"]
            assert json.loads(user["content"])["wish"] == "장미"
            assert (json.dumps(task.schema) in system["content"]) == (form != "json_schema")
    assert not {"hints", "schema_version"} & set(BRIEF_SCHEMA["properties"])


def _answer(mode: Mode, observer: Heard, **always: Say) -> Answer:
    async def ask(url: str) -> Answer:
        ensemble = Ensemble(told_settings(url), clock=ManualClock(), observer=observer)
        try:
            return await ensemble.answer("a wish", mode)
        finally:
            await ensemble.aclose()

    with _members(**always) as (_, url):
        return asyncio.run(ask(url))


@pytest.mark.parametrize(
    ("mode", "gone", "remarks"),
    [
        ("creative", ("creative",), ("creative: status 401",)),
        ("creative", ("validator",), ("validator: status 401",)),
        ("creative", ("validator", "creative"), ("validator: status 401", "creative: status 401")),
        ("balanced", ("primary",), ("the validator's model wrote it, so nobody checked it",)),
        ("balanced", ("primary", "validator"), ("validator: status 401",)),
        ("fast", ("validator", "creative"), ()),
    ],
)
def test_an_answer_says_what_it_lacks(mode: Mode, gone: tuple[str, ...], remarks: tuple[str, ...]) -> None:
    heard = Heard()
    answer = _answer(mode, heard, **dict.fromkeys(gone, Say(401)))
    assert answer.remarks == remarks
    assert answer.outcome is (Outcome.FALLBACK if "primary" in gone else Outcome.RAW)
    assert heard.answers == [answer.outcome]


@pytest.mark.parametrize("mode", ["fast", "balanced"])
def test_hints_come_from_nobody_but_the_creative_member(mode: Mode) -> None:
    said = Say(content=json.dumps({**BRIEF, "hints": ["wet stone"]}))
    assert _answer(mode, Heard(), primary=said, validator=said).brief.hints == ()


@pytest.mark.parametrize(("primary", "validator"), [("{}", "Gladly: {}"), ("Gladly: {}", "{}")])
def test_a_brief_or_a_check_that_needed_something_taken_off_makes_it_repaired(primary: str, validator: str) -> None:
    said = {
        role: Say(content=text.format(BRIEF_TEXT)) for role, text in (("primary", primary), ("validator", validator))
    }
    assert _answer("balanced", Heard(), **said).outcome is Outcome.REPAIRED


@pytest.mark.parametrize("mode", MODES)
def test_an_earlier_answer_in_any_mode_stands_in(mode: Mode) -> None:
    members, clock = Members(), ManualClock()

    async def ask(url: str) -> list[Answer]:
        ensemble = Ensemble(told_settings(url), clock=clock)
        first = await ensemble.answer("a wish", mode)
        members.down(*ROLES)
        answers = [first, *[await ensemble.answer("a wish", other) for other in MODES if other != mode]]
        await ensemble.aclose()
        return answers

    with served(members) as url:
        first, *others = asyncio.run(ask(url))
    for other in others:
        assert (other.outcome, other.source, other.brief) == (Outcome.FALLBACK, Source.CACHE, first.brief)


def _environment(name: Name, **llm: Any) -> Any:
    return resolve(name, {name: {"llm": llm}}, "pyproject.toml [tool.artisan]")


ENDPOINTS = {f"{name}_endpoint": f"http://{name}.test/v1" for name in ("qwen", "mistral", "llama")}


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_KEY", "s3cret-key")
    for name, ttl in (("dev", 300), ("stg", 1800), ("prod", 3600)):
        settings = settings_of(_environment(name, **ENDPOINTS, key_env="LLM_KEY", qwen_model="qwen3"))  # type: ignore[arg-type]
        assert settings.ttl == ttl
        assert settings.timeouts == {"fast": 8, "balanced": 12, "creative": 20}
        assert settings.members["primary"] == Endpoint("http://qwen.test/v1", "qwen3", "s3cret-key")
        assert [settings.members[role].url for role in ROLES] == list(ENDPOINTS.values())
        assert "s3cret-key" not in repr(settings)


@pytest.mark.parametrize("key", ["s3cret\n", " s3cret", "s3\x00cret", "s3cr\u00e9t"])
def test_a_key_with_a_line_break_is_refused_at_the_start_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr("os.environ", {"LLM_KEY": key})
    with pytest.raises(SettingsError, match=r"llm\.key_env: the variable holds what no header can") as raised:
        settings_of(_environment("dev", **ENDPOINTS, key_env="LLM_KEY"))
    assert "s3" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "llm", "reason"),
    [
        ("stg", {}, "stg: llm.qwen_endpoint is not set"),
        ("prod", {}, "prod: llm.qwen_endpoint is not set"),
        ("dev", {}, "the local reference models do not run"),
        ("dev", {"qwen_endpoint": "http://q.test/v1"}, "name all three, or none"),
        (
            "dev",
            {**ENDPOINTS, "key_env": "NO_SUCH_KEY"},
            "llm.key_env: the environment variable NO_SUCH_KEY is not set",
        ),
        ("dev", {**ENDPOINTS, "embedding_model": "e"}, "needs both"),
        ("dev", {**ENDPOINTS, "cache_url": "http://cache.test"}, "no redis or rediss address"),
        ("dev", {**ENDPOINTS, "fast_timeout_s": 0}, "fast_timeout_s"),
    ],
)
def test_settings_that_can_not_serve_are_one_line(name: Name, llm: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as raised:
        settings_of(_environment(name, **llm))
    assert "\n" not in str(raised.value)


def test_the_defaults_name_no_endpoint() -> None:
    assert EnvironmentTable().llm.qwen_endpoint is None
