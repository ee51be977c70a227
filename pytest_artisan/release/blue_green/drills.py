"""What a blue/green deployment must say no to, planted into an environment that is only numbers, by the same machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec import convert
from msgspec.structs import replace

from pytest_artisan.release.attestation.attested import Attested
from pytest_artisan.release.blue_green.beginning import begun
from pytest_artisan.release.blue_green.machine import Deployment, Phase
from pytest_artisan.release.blue_green.running import World, run
from pytest_artisan.release.blue_green.settings import BlueGreen
from pytest_artisan.release.health import Block
from pytest_artisan.release.observing import Counters, Yardstick
from pytest_artisan.release.slots.control import Build, NotReady
from pytest_artisan.release.traffic.router import Slot
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence

RULES = BlueGreen()
_AT = datetime(2026, 11, 27, 10, tzinfo=UTC)
_OLD, _NEW = Build("v2.0.0", "a" * 40), Build("v2.1.0", "b" * 40)
_A_LOOK = Counters(at=_AT, requests=200, timed=200, ratings=20, rating_sum=90)


@dataclass
class Scripted:
    """Router, slots and source of an environment in which `_OLD` runs in blue; `a_look` is counted from look to look.

    `ready`: whether green ever is. `answers`: what all slots say to be, and not what runs there.
    """

    a_look: Counters | None = _A_LOOK
    admits: bool = True
    ready: bool = True
    answers: Build | None = None
    moves: bool = True
    start_s: float = 1.0
    now: datetime = _AT
    told: list[str] = field(default_factory=list)
    runs: dict[Slot, Build] = field(default_factory=lambda: {"blue": _OLD})
    shares: dict[Slot, float] = field(default_factory=lambda: {"blue": 100.0, "green": 0.0})
    looks: int = 0

    def weights(self) -> dict[Slot, float]:
        return dict(self.shares)

    def shift(self, slot: Slot, percent: float) -> None:
        if self.moves:
            self.shares = {name: percent if name == slot else 100 - percent for name in self.shares}

    def in_flight(self, slot: Slot) -> int:
        return 0

    def start(self, slot: Slot, build: Build) -> None:
        self.runs[slot] = build

    def stop(self, slot: Slot, build: Build) -> None:
        self.runs.pop(slot, None)

    def probe(self, slot: Slot, build: Build) -> None:
        if slot not in self.runs or (slot == "green" and not self.ready):
            raise NotReady(f"{slot}: /health/ready answers 503, not 200")
        told = self.answers or self.runs[slot]
        if build.version and told != build:
            raise NotReady(f"{slot}: it is version {told.version!r}, not {build.version}")

    def yardstick(self, now: datetime) -> Yardstick:
        return Yardstick(1.0, 1.2, "a drill")

    def counters(self, yardstick: Yardstick, now: datetime) -> Counters:
        if self.a_look is None:
            raise NoEvidence("no such series")
        self.looks += 1
        sums = {name: float(self.looks * getattr(self.a_look, name)) for name in Block.__struct_fields__}
        return convert({"at": now, **sums}, Counters)

    def admit(self, at: datetime) -> None:
        if not self.admits:
            raise SettingsError("verdict.intoto.json: NO-GO")

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def deployed(self) -> Deployment:
        """The end of a deployment of `_NEW` to green."""
        attested = Attested(
            digest="d" * 64, nonce="", commit=_NEW.commit, kind="train", environment="prod", version=_NEW.version,
            stage=None, expires=_AT + timedelta(days=1),
        )  # fmt: skip
        beginning = begun(None, attested, _NEW.version, "blue", self.yardstick(_AT), RULES.limits, _AT)
        world = World(
            self, self, lambda: self, self.admit, lambda at: False, lambda state: None, lambda: self.now,
            self.pass_time, self.told.append,
        )  # fmt: skip
        return run(beginning, RULES, world)


def _errors(**changes: float) -> Scripted:
    return Scripted(a_look=replace(_A_LOOK, **changes))


VIOLATIONS: dict[str, Callable[[], Scripted]] = {
    "green never gets ready": lambda: Scripted(ready=False),
    "another version answers in green": lambda: Scripted(answers=_OLD),
    "no verdict lets it begin": lambda: Scripted(admits=False),
    "5 % errors after the switch": lambda: _errors(errors=10),
    "a third of the requests is slow after the switch": lambda: _errors(slow=66),
    "ratings of 2.5 after the switch": lambda: _errors(rating_sum=50),
    "an answer breaks its schema after the switch": lambda: _errors(schema_failures=1),
    "nobody asks green for anything": lambda: _errors(requests=0, timed=0, ratings=0, rating_sum=0),
    "nothing is measured after the switch": lambda: Scripted(a_look=None),
    "the router says that it moved requests, and has not": lambda: Scripted(moves=False),
}


def drills() -> Iterator[tuple[str, str, bool]]:
    """Each violation, the answer to it, and whether that was a no: all requests where they were, and blue running."""
    for violation, planted in VIOLATIONS.items():
        scripted = planted()
        state = scripted.deployed()
        kept = scripted.shares["blue"] == 100 and scripted.runs == {"blue": _OLD}
        yield violation, f"{state.phase}: {'; '.join(state.reasons)}", state.phase == Phase.BACK and kept
