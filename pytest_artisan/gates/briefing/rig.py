"""Members of an ensemble that answer over HTTP as they are told to, and a clock that only moves when it is told to."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_artisan.ensemble.answers import MODES, ROLES, Answering, CallOutcome, Outcome
from pytest_artisan.ensemble.settings import Endpoint, EnsembleSettings
from pytest_artisan.loopback import served

# What makes the ensemble under judgement: its settings, and the keywords `clock` and `observer`.
Factory = Callable[..., Answering]
EMBEDDING = "embedding"
# Seconds that an answer may take, and stays fresh; short where a member hangs, as that time is real.
PATIENCE_S = 30.0
TTL = 300.0
_DRIP_S = 0.02
BRIEF = {
    "language": "en",
    "mood": "fresh",
    "season": "summer",
    "notes_preference": {"citrus": 0.9, "green": 0.4},
    "forbidden_ingredients": ["Rose oil"],
    "allergen_ceiling": 40,
}
CHECKED = {
    **BRIEF,
    "mood": "elegant",
    "season": "autumn",
    "notes_preference": {"woody": 0.8},
    "forbidden_ingredients": ["Coumarin"],
    "budget_tier": "premium",
    "target_profile": "women",
    "product_category": "candle",
    "allergen_ceiling": 60,
}
HINTS = ["morning on the quay", "wet stone", "a cut lime"]


class ManualClock:
    """Time that passes when somebody sleeps, or when it is moved; `slept` holds how long each slept."""

    def __init__(self) -> None:
        self.time, self.slept = 1_000.0, list[float]()

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Say:
    """How a member answers one request: `content` None is what it says by default; `cut` ends half-way.

    `hang` says nothing, `drip` a little for ever.
    """

    status: int = 200
    content: str | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    hang: bool = False
    drip: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that a member got: its task is brief, check, hints or embedding."""

    role: str
    task: str
    wish: str
    brief: Mapping[str, Any] | None = None


@dataclass
class Members:
    """An ASGI app for all members, told apart by their models; `scripts` are used up, `always` is not."""

    scripts: dict[str, deque[Say]] = field(default_factory=lambda: defaultdict(deque))
    always: dict[str, Say] = field(default_factory=dict)
    vectors: dict[str, list[float]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def tasks(self, since: int = 0) -> list[tuple[str, str]]:
        """Who was asked for what, in order."""
        return [(asked.role, asked.task) for asked in self.asked[since:]]

    def count(self, role: str) -> int:
        return sum(asked.role == role for asked in self.asked)

    def down(self, *roles: str) -> None:
        self.always.update(dict.fromkeys(roles, Say(503)))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": f"{(await receive())['type']}.complete"})
            return
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        asked = _understood(json.loads(body))
        self.asked.append(asked)
        script = self.scripts[asked.role]
        say = script.popleft() if script else self.always.get(asked.role, Say())
        if say.hang:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        if say.drip:
            await _drip(receive, send)
            return
        reply = json.dumps(self._reply(asked, say)).encode()
        length = len(reply) + (100 if say.cut else 0)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % length), *say.headers]
        await send({"type": "http.response.start", "status": say.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply, "more_body": say.cut})

    def _reply(self, asked: Asked, say: Say) -> dict[str, Any]:
        if asked.task == EMBEDDING:
            return {"data": [{"embedding": self.vectors.get(asked.wish, [1.0, 0.0])}]}
        usual = {"brief": BRIEF, "check": CHECKED, "hints": {"hints": HINTS}}[asked.task]
        content = json.dumps(usual) if say.content is None else say.content
        return {"choices": [{"message": {"role": "assistant", "content": content}}]}


async def _drip(receive: Any, send: Any) -> None:
    gone = asyncio.ensure_future(receive())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while not (await asyncio.wait([gone], timeout=_DRIP_S))[0]:
        await send({"type": "http.response.body", "body": b" ", "more_body": True})


def _understood(body: Mapping[str, Any]) -> Asked:
    role = body["model"].partition("@")[0]
    if "input" in body:
        return Asked(role, EMBEDDING, body["input"])
    said = json.loads(body["messages"][-1]["content"])
    name = body["response_format"]["json_schema"]["name"]
    return Asked(role, "check" if "brief" in said else name, said["wish"], said.get("brief"))


class Heard:
    """An observer that counts: calls by member and outcome, answers by outcome, and turns of breakers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, CallOutcome]] = []
        self.answers: list[Outcome] = []
        self.turns: list[tuple[str, str]] = []

    def called(self, member: str, outcome: CallOutcome, seconds: float) -> None:
        self.calls.append((member, outcome))

    def answered(self, mode: str, outcome: Outcome, seconds: float) -> None:
        self.answers.append(outcome)

    def breaker(self, member: str, state: str) -> None:
        self.turns.append((member, state))

    def unanswered(self) -> Iterator[str]:
        """For each member that left calls unanswered, how many, and how they ended."""
        ends = Counter(call for call in self.calls if call[1] is not CallOutcome.ANSWERED)
        for (member, outcome), times in sorted(ends.items()):
            of = sum(called == member for called, _ in self.calls)
            yield f"{member}: {outcome} {times} times, of {of} calls"

    @property
    def schema_failures(self) -> int:
        return sum(outcome.fails_schema for _, outcome in self.calls)


def told_settings(url: str, version: str = "", patience: float = PATIENCE_S) -> EnsembleSettings:
    """Settings of an ensemble whose members are at `url`."""
    members = {role: Endpoint(f"{url}/v1", f"{role}@{version}") for role in ROLES}
    return EnsembleSettings(members, dict.fromkeys(MODES, patience), TTL)


class Rig:
    """Told members behind real HTTP, and ensembles that ask them."""

    def __init__(self, factory: Factory, url: str, members: Members) -> None:
        self._factory, self._url, self.members = factory, url, members
        self.clock, self.heard = ManualClock(), Heard()

    @asynccontextmanager
    async def ensemble(
        self, *, embedding: bool = False, patience: float | None = None, version: str = ""
    ) -> AsyncIterator[Answering]:
        """A new ensemble of these members; with another `version`, of their next models."""
        settings = told_settings(self._url, version, PATIENCE_S if patience is None else patience)
        if embedding:
            settings = replace(settings, embedding=Endpoint(f"{self._url}/v1", EMBEDDING))
        made = self._factory(settings, clock=self.clock, observer=self.heard)
        try:
            yield made
        finally:
            await made.aclose()


@contextmanager
def rig_of(factory: Factory) -> Iterator[Rig]:
    members = Members()
    with served(members) as url:
        yield Rig(factory, url, members)
