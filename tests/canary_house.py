"""What a canary needs, as tests write it: users by the clock, a clock that a wait moves, and a router in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from pytest_artisan.release.attestation.attested import Attested
from pytest_artisan.release.canary.beginning import Asked, begin, going_on
from pytest_artisan.release.canary.reach import Reach
from pytest_artisan.release.canary.running import Runner
from pytest_artisan.release.canary.runs import Run
from pytest_artisan.release.canary.settings import Canary, Stage
from pytest_artisan.release.flags import FeatureFlagManager
from pytest_artisan.release.flags.states import State
from pytest_artisan.release.health import Block
from pytest_artisan.release.observing import Counters, Yardstick
from pytest_artisan.release.traffic.router import Router, Slot
from pytest_artisan.verdict.evidence import NoEvidence

FLAG = "new_moga_optimizer"
NOW = datetime(2026, 3, 3, 10, tzinfo=UTC)
# Stages of two and three looks.
TABLE = Canary(
    stages=(Stage(percent=1, soak="30s"), Stage(percent=5, soak="45s"), Stage(percent=100, soak="30s")), extensions=1
)
WELL = Block(requests=400, timed=400, slow=8, ratings=100, rating_sum=450)
WRONG = Block(requests=400, errors=400, timed=400, slow=8, ratings=100, rating_sum=450)
UNDECIDED = Block(requests=20, timed=20, ratings=2, rating_sum=9)
Seen = Block | str
Keep = Callable[[Attested], None]


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder that waits for no disk, where there is one: what is saved at every step is saved often."""
    memory = "/dev/shm"  # noqa: S108  # a folder of its own below it
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


class Clock:
    """A wait moves it; `jumps` come with the wait of that number."""

    def __init__(self, jumps: Mapping[int, timedelta] | None = None) -> None:
        self.now, self.waits, self._jumps = NOW, 0, jumps or {}

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits += 1
        self.now += timedelta(seconds=seconds) + self._jumps.get(self.waits, timedelta())


@dataclass
class Users:
    """What they did, look by look and the last one from then on; a text is why nobody can say.

    It goes by the waits and not by who asks, so that a process that was killed misses nothing.
    """

    blocks: Sequence[Seen]
    clock: Clock
    slow_s: float = 1.2

    def yardstick(self, now: datetime) -> Yardstick:
        return Yardstick(1.0, self.slow_s, "the baseline of the test")

    def counters(self, yardstick: Yardstick, now: datetime) -> Counters:
        past = [self.blocks[min(i, len(self.blocks) - 1)] for i in range(self.clock.waits)]
        if past and isinstance(past[-1], str):
            raise NoEvidence(past[-1])
        known = [block for block in past if isinstance(block, Block)]
        counted = {name: sum(getattr(block, name) for block in known) for name in Block.__struct_fields__}
        # By the clock of who counts, which does not jump.
        at = NOW + timedelta(seconds=self.clock.waits)
        return msgspec.convert({"at": at, **counted}, Counters)


@dataclass
class Weights:
    """A router in memory; it can not be asked as often as `broken` says."""

    shares: dict[Slot, float] = field(default_factory=lambda: {"blue": 100.0, "green": 0.0})
    broken: int = 0

    def weights(self) -> Mapping[Slot, float]:
        return dict(self.shares)

    def shift(self, slot: Slot, percent: float) -> None:
        if self.broken:
            self.broken -= 1
            raise NoEvidence("the router can not be asked")
        other: Slot = "blue" if slot == "green" else "green"
        self.shares = {slot: percent, other: 100 - percent}

    def in_flight(self, slot: Slot) -> int:
        raise NoEvidence("nobody can tell")


@dataclass
class Place:
    """A project at `root`, and its canary of `flag` in dev; `lines` is what was told."""

    root: Path
    blocks: Sequence[Seen] = (WELL,)
    percent: float | None = None
    flag: str = FLAG
    router: Router | None = None
    clock: Clock = field(default_factory=Clock)
    table: Canary = TABLE
    expires: datetime = NOW + timedelta(hours=24)
    lines: list[str] = field(default_factory=list)
    wait: Callable[[float], None] | None = None

    @property
    def manager(self) -> FeatureFlagManager:
        return FeatureFlagManager("dev", self.root, clock=self.clock)

    @property
    def state(self) -> State:
        return self.manager.state(self.flag)

    @property
    def moves(self) -> list[float]:
        """The percentages for which the flag was on, in the order in which they were set."""
        return [change.after.on / 100 for change in self.manager.store.history()]

    @property
    def asked(self) -> Asked:
        return Asked(self.root, "dev", self.flag, self.percent)

    def admit(self, keep: Keep) -> None:
        keep(
            Attested(
                digest="d" * 64, nonce="n", commit="c" * 40, kind="train", environment="dev", version="",
                stage=self.percent, expires=self.expires,
            )
        )  # fmt: skip

    def runner(self, admit: Callable[[Keep], None] | None = None) -> Runner:
        """What the command does, up to its first step."""
        reach, users = Reach(self.root, "dev", self.flag, self.router, self.clock), Users(self.blocks, self.clock)
        run = going_on(self.asked) or begin(
            self.asked, self.table, reach, lambda before: users, admit or self.admit, self.clock()
        )
        wait = self.wait or self.clock.wait
        return Runner(
            run, self.asked.path, reach, lambda before: users, clock=self.clock, wait=wait, tell=self.lines.append
        )

    def deploy(self) -> Run:
        return self.runner().finish()
