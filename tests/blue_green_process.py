"""A blue/green deployment on this host, which a process may be killed in: real HAProxy, real slots, real files."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import httpcore2  # noqa: F401  # once, and not in each process that probes
import httpx2  # noqa: F401

from pytest_artisan.release import deployments
from pytest_artisan.release.blue_green import running
from pytest_artisan.release.blue_green.machine import Deployment
from pytest_artisan.release.blue_green.settings import BlueGreen
from pytest_artisan.release.health import Health, Limits
from pytest_artisan.release.observing import Counters, Yardstick
from pytest_artisan.release.slots import host as slot_host
from pytest_artisan.release.slots.control import Build, SlotCommands
from pytest_artisan.release.slots.settings import Slots
from pytest_artisan.release.traffic.haproxy import HAProxy
from pytest_artisan.release.traffic.router import Slot
from pytest_artisan.release.traffic.settings import Traffic

RULES = BlueGreen(monitor="2s", look="1s", drain="5s")
_A_LOOK_S = 0.05
When = Literal["before", "after", "never"]


class ByTheClock:
    """Users who are content: ten thousand requests a second, whoever looks."""

    def yardstick(self, now: datetime) -> Yardstick:
        return Yardstick(1.0, 1.2, "a test")

    def counters(self, yardstick: Yardstick, now: datetime) -> Counters:
        n = float(int(time.time() * 10_000))
        return Counters(at=now, requests=n, timed=n, ratings=n, rating_sum=5 * n)


SERVICE = Path(__file__).with_name("slot_service.py")


class HostSlots(SlotCommands):
    """As the commands of this host do it, and without an interpreter for each."""

    def start(self, slot: Slot, build: Build) -> None:
        port = getattr(self.settings, slot).rpartition(":")[2]
        slot_host.start(self.root, slot, build.version, [sys.executable, "-IS", str(SERVICE), port, build.version])

    def stop(self, slot: Slot, build: Build) -> None:
        slot_host.stop(self.root, slot)


@dataclass(frozen=True)
class Host:
    """Where it happens; `root` holds the state, and who was admitted. Visitors come to `url`."""

    root: Path
    traffic: Traffic
    slots: Slots
    url: str

    @property
    def path(self) -> Path:
        return self.root / "blue-green.json"

    @property
    def kept(self) -> Deployment:
        state = deployments.load(self.path, Deployment)
        assert state is not None
        return state

    def world(self, when: When = "never") -> running.World:
        """What it acts upon, and whose process is killed before the next state is kept, or after."""

        def keep(state: Deployment) -> None:
            if when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            deployments.save(self.path, state)
            if when == "after":
                os.kill(os.getpid(), signal.SIGKILL)

        def admit(at: datetime) -> None:
            with open(self.root / "admitted", "x") as file:
                file.write(at.isoformat())

        def admitted(at: datetime) -> bool:
            path = self.root / "admitted"
            return path.exists() and path.read_text() == at.isoformat()

        return running.World(
            HAProxy.of(self.traffic),
            HostSlots(self.slots, self.root),
            ByTheClock,
            admit,
            admitted,
            keep,
            lambda: datetime.now(UTC),
            lambda seconds: time.sleep(min(seconds, _A_LOOK_S)),
            lambda line: None,
        )

    def begin(self, state: Callable[[Yardstick, Health, datetime], Deployment]) -> Deployment:
        """A deployment of which nothing has been done yet."""
        (self.root / "admitted").unlink(missing_ok=True)
        now = datetime.now(UTC)
        made = state(ByTheClock().yardstick(now), Health(Limits()), now)
        deployments.save(self.path, made)
        return made


@contextmanager
def killing(host: Host) -> Iterator[Callable[[When], int]]:
    """What takes one step in a process of its own, which is killed, and says by what signal it ended."""
    processes = multiprocessing.get_context("spawn")
    here, there = processes.Pipe()
    template = processes.Process(target=_fork, args=(host, there), daemon=True)
    template.start()

    def step(when: When) -> int:
        here.send(when)
        assert here.poll(30)
        return os.WTERMSIG(here.recv())

    yield step
    here.send(None)
    template.join(10)
    assert template.exitcode == 0


def _fork(host: Host, orders: Connection) -> None:
    """What all steps need has been imported once; this process has no threads."""
    while when := orders.recv():
        child = os.fork()
        if child == 0:
            running.step(host.kept, RULES, host.world(when))
            os._exit(0)
        orders.send(os.waitpid(child, 0)[1])
