"""Planted violations: a canary that does harm, or can show nothing, and the answer to each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec.structs import replace

from pytest_artisan.release.attestation.attested import Attested, Check, Refused
from pytest_artisan.release.canary.beginning import Asked, begin
from pytest_artisan.release.canary.machine import Phase
from pytest_artisan.release.canary.reach import Reach
from pytest_artisan.release.canary.running import Runner
from pytest_artisan.release.canary.settings import Canary, Stage
from pytest_artisan.release.health import Block
from pytest_artisan.release.observing import Counters, Yardstick
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence

_Keep = Callable[[Attested], None]
_FLAG = "new_moga_optimizer"
_BEGAN = datetime(2026, 1, 5, 9, tzinfo=UTC)
_TABLE = Canary(stages=(Stage(percent=5, soak="1min"), Stage(percent=100, soak="1min")))
_WELL = Block(requests=400, errors=0, timed=400, slow=4, ratings=100, rating_sum=450)


@dataclass
class _Users:
    """Who do the same from one wait to the next; they are the clock as well. None is a server that does not answer."""

    block: Block | None
    waits: int = 0

    def now(self) -> datetime:
        return _BEGAN + timedelta(seconds=15 * self.waits)

    def wait(self, seconds: float) -> None:
        self.waits += 1

    def yardstick(self, now: datetime) -> Yardstick:
        return Yardstick(1.0, 1.2, "planted")

    def counters(self, yardstick: Yardstick, now: datetime) -> Counters:
        if self.block is None and self.waits:
            raise NoEvidence("planted: nobody answers")
        block = self.block or Block()
        counted = {name: getattr(block, name) * self.waits for name in Block.__struct_fields__}
        return msgspec.convert({"at": now, **counted}, Counters)


def drills() -> Iterator[tuple[str, str, bool]]:
    """Each violation with the answer to it, and whether that was a no which left every user as before."""
    planted: dict[str, Block | None] = {
        "errors at 10 %": _changed(errors=40),
        "a p95 over 1.2 times the baseline": _changed(slow=120),
        "a mean rating of 2": _changed(rating_sum=200),
        "one schema failure": _changed(schema_failures=1),
        "errors at 1.5 %, which nothing proves healthy": _changed(errors=6),
        "no request": Block(),
        "no answer of Prometheus": None,
    }
    for violation, block in planted.items():
        yield violation, *_answer(_Users(block), _verdict)
    yield (
        "a verdict that expires in the first stage",
        *_answer(_Users(_WELL), partial(_verdict, valid=timedelta(seconds=20))),
    )
    yield "a verdict that was used before", *_answer(_Users(_WELL), _used)


def _changed(**counts: float) -> Block:
    return replace(_WELL, **counts)


def _verdict(keep: _Keep, valid: timedelta = timedelta(hours=24)) -> None:
    keep(
        Attested(
            digest="planted", nonce="", commit="", kind="train", environment="dev", version="", stage=None,
            expires=_BEGAN + valid,
        )
    )  # fmt: skip


def _used(keep: _Keep) -> None:
    raise Refused("planted: it was used before", Check.USED)


def _answer(users: _Users, admit: Callable[[_Keep], None]) -> tuple[str, bool]:
    with TemporaryDirectory() as folder:
        asked = Asked(Path(folder), "dev", _FLAG, None)
        reach = Reach(asked.root, asked.environment, _FLAG, None, users.now)
        before = reach.read()
        try:
            run = begin(asked, _TABLE, reach, lambda _: users, admit, users.now())
        except SettingsError as error:
            return f"not begun: {error}", reach.read() == before
        run = Runner(
            run, asked.path, reach, lambda _: users, clock=users.now, wait=users.wait, tell=lambda _: None
        ).finish()
        return f"back from {run.percent:g} %: {run.state.why}", run.state.phase is Phase.BACK and reach.read() == before
