"""Every reachable state of a blue/green deployment, under all that can happen in it, in a model of its environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from pytest_artisan.release.blue_green import drills, machine, running
from pytest_artisan.release.blue_green.machine import FINAL, Deployment, GoBack, Phase, after
from pytest_artisan.release.blue_green.settings import BlueGreen
from pytest_artisan.release.health import Health, Limits, Opinion, Ruling
from pytest_artisan.release.observing import Counters, Yardstick
from pytest_artisan.release.slots.control import Build, NotReady
from pytest_artisan.release.traffic.patience import NotYet
from pytest_artisan.release.traffic.router import Slot
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence

AT = datetime(2026, 11, 27, 10, tzinfo=UTC)
OLD, NEW = Build("v1.0.0", "a" * 40), Build("v2.0.0", "b" * 40)
LOOKS = 3
# One question each whether a slot is ready and has answered all.
RULES = BlueGreen(monitor=f"{LOOKS}s", look="1s", drain="250ms")


class Killed(BaseException):
    """What SIGKILL does: nothing after it."""


class Choices:
    """What happens where several things may: one after the other, all of their combinations."""

    def __init__(self) -> None:
        self.path: list[tuple[int, int]] = []
        self.position = 0

    def of(self, *options: str) -> str:
        if self.position == len(self.path):
            self.path.append((0, len(options)))
        taken, count = self.path[self.position]
        assert count == len(options)
        self.position += 1
        return options[taken]

    def next(self) -> bool:
        """Go to the next combination; False after the last one."""
        self.position = 0
        while self.path:
            taken, count = self.path.pop()
            if taken + 1 < count:
                self.path.append((taken + 1, count))
                return True
        return False


class Node(NamedTuple):
    """What is on disk, and the environment around it; `down` is a new build that has crashed.

    The last three are what the model itself remembers: whether the new build was seen ready since it was started,
    how many looks saw something, and whether the last of them said HEALTHY.
    """

    kept: Deployment
    runs: tuple[Build | None, Build | None] = (OLD, None)
    share: int = 0
    down: bool = False
    admitted: bool = False
    proven: bool = False
    seen: int = 0
    healthy: bool = False


@dataclass
class Model:
    """The environment of one step; whatever must never happen is asserted here, at the moment it would."""

    node: Node
    choose: Choices
    start_s: float = 0.25

    def __post_init__(self) -> None:
        self.kept = self.node.kept
        self.running: dict[Slot, Build | None] = {"blue": self.node.runs[0], "green": self.node.runs[1]}
        self.share, self.down = self.node.share, self.node.down
        self.admitted, self.proven = self.node.admitted, self.node.proven
        self.seen, self.healthy = self.node.seen, self.node.healthy

    @property
    def after(self) -> Node:
        runs = self.running["blue"], self.running["green"]
        return Node(self.kept, runs, self.share, self.down, self.admitted, self.proven, self.seen, self.healthy)

    def check(self) -> None:
        live: Slot = "green" if self.share else "blue"
        assert self.running[live] == (NEW if self.share else OLD), "requests go where nothing, or something else, runs"

    def act(self, effect: Callable[[], None], *faults: str) -> None:
        """Do it, or fail, or be killed; before it or after it."""
        match self.choose.of("done", "killed before", "killed after", *faults):
            case "done":
                effect()
            case "killed before":
                raise Killed
            case "killed after":
                effect()
                self.check()
                raise Killed
            case "refused":
                raise NoEvidence("refused")
            case "lost":
                effect()
                self.check()
                raise NoEvidence("the answer was lost")
        self.check()

    # A router.
    def weights(self) -> dict[Slot, float]:
        # Of a slot that has crashed, some tell that it is down, and some its weight.
        match self.choose.of(*(("down",) if self.down and self.share else ()), "told", "lost"):
            case "down":
                raise NotYet("down")
            case "lost":
                raise NoEvidence("lost")
        return {"blue": 100.0 - self.share, "green": float(self.share)}

    def shift(self, slot: Slot, percent: float) -> None:
        assert percent == 100
        if slot == "green":
            assert self.kept.phase == Phase.SWITCH
            assert self.admitted, "requests without a verdict"
            assert self.proven, "requests without a passed health check"
            assert not self.down, "requests to what has crashed"

        def effect() -> None:
            self.share = 100 if slot == "green" else 0

        self.act(effect, "refused", "lost")

    def in_flight(self, slot: Slot) -> int:
        return {"none": 0, "one": 1}[self.choose.of("none", "one")]

    # Slots.
    def start(self, slot: Slot, build: Build) -> None:
        assert slot != ("green" if self.share else "blue"), "a slot with requests is started"

        def effect() -> None:
            if self.running[slot] != build or (slot == "green" and self.down):
                self.running[slot] = build
                if slot == "green":
                    self.proven = self.down = False

        self.act(effect, "refused", "lost")

    def stop(self, slot: Slot, build: Build) -> None:
        assert slot != ("green" if self.share else "blue"), "a slot with requests is stopped"
        if slot == "blue":
            assert self.seen >= LOOKS, "blue is stopped before the new slot was watched as long as it has to be"
            assert self.healthy, "blue is stopped without a proof"
            assert not self.down, "blue is stopped while the new slot is down"

        def effect() -> None:
            self.running[slot] = None
            self.down = self.down and slot == "blue"

        self.act(effect, "refused", "lost")
        assert any(self.running.values()), "two slots are stopped"

    def probe(self, slot: Slot, build: Build) -> None:
        gone = self.running[slot] != build or (slot == "green" and self.down)
        if gone or self.choose.of("ready", "not ready") == "not ready":
            raise NotReady("not ready")
        self.proven = self.proven or slot == "green"

    # A source, and what is made of it.
    def yardstick(self, now: datetime) -> Yardstick:
        raise AssertionError("it is asked before anything begins")

    def counters(self, yardstick: Yardstick, now: datetime) -> Counters:
        told = self.choose.of("some", "no request", "lost")
        if told == "lost":
            raise NoEvidence("lost")
        before = self.kept.counters.requests if self.kept.counters else 0.0
        return Counters(at=AT, requests=before + (told == "some"))

    # Admission, and the disk.
    def admit(self, at: datetime) -> None:
        def effect() -> None:
            self.admitted = True

        self.act(effect, "refused")

    def keep(self, state: Deployment) -> None:
        match self.choose.of("kept", "full", "killed before", "killed after"):
            case "kept":
                self.kept = state
            case "full":
                raise SettingsError("no space left on device")
            case "killed before":
                raise Killed
            case "killed after":
                self.kept = state
                raise Killed


class Scripted(Health, frozen=True):
    """A judge who says whatever there is to say; two of them are equal, so that states are."""

    def after(self, block: Any) -> Scripted:
        return self

    def opinion(self) -> Opinion:
        model = CURRENT[-1]
        ruling = Ruling(model.choose.of(*(one.value for one in (Ruling.HEALTHY, Ruling.HOLD, Ruling.ROLL_BACK))))
        model.seen, model.healthy = min(model.seen + 1, LOOKS), ruling == Ruling.HEALTHY
        return Opinion(ruling, ("a look",))


CURRENT: list[Model] = []
FIRST = Deployment(
    environment="prod", build=NEW, slot="green", old=OLD, digest="d", begun=AT, yardstick=Yardstick(1, 1.2, "a model"),
    health=Scripted(Limits()),
)  # fmt: skip


def world_of(model: Model) -> running.World:
    CURRENT[:] = [model]
    return running.World(
        model,
        model,
        lambda: model,
        model.admit,
        lambda at: model.admitted,
        model.keep,
        lambda: AT,
        lambda seconds: None,
        lambda line: None,
    )


def essence(node: Node) -> tuple[object, ...]:
    """What the steps from here depend upon."""
    kept = node.kept
    return kept.phase, kept.asked, kept.counters is None, kept.watched, kept.blind, *node[1:]


def turned(node: Node) -> Node:
    return node._replace(kept=after(node.kept, GoBack("rollback"), LOOKS))


def happening(node: Node) -> Iterator[Node]:
    """What happens between two steps: somebody wants to go back, or has given blue all requests, or green crashes."""
    yield turned(node)
    if node.runs[1] == NEW and not node.down:
        yield node._replace(down=True)
    if node.share and node.kept.phase in (Phase.WATCH, Phase.DRAIN, Phase.RETIRE) and node.runs[0] == OLD:
        yield node._replace(share=0)


def following(node: Node) -> Iterator[Node]:
    """All that one step can lead to, whatever happens in it."""
    choices = Choices()
    while True:
        model = Model(node, choices)
        with suppress(Killed, NoEvidence, SettingsError):
            running.step(node.kept, RULES, world_of(model))
        yield model.after
        if not choices.next():
            return


def explored() -> tuple[list[Node], int]:
    """Every node that can be reached, and how many ways lead from one to another."""
    first = Node(FIRST)
    found, waiting, ways = {essence(first): first}, [first], 0
    while waiting:
        node = waiting.pop()
        reached = [*happening(node)]
        if node.kept.phase not in FINAL:
            reached += following(node)
        ways += len(reached)
        for one in reached:
            if essence(one) not in found:
                found[essence(one)] = one
                waiting.append(one)
    return list(found.values()), ways


def finished(node: Node) -> Node:
    """Where it ends if all goes well from here on; where it refuses to go on, somebody goes back."""
    for _ in range(4 * LOOKS + 20):
        if node.kept.phase in FINAL:
            return node
        model = Model(node, Choices())
        try:
            running.step(node.kept, RULES, world_of(model))
            node = model.after
        except NoEvidence:
            assert node.kept.phase == Phase.RETIRE
            assert node.down or not node.share
            node = turned(node)
    raise AssertionError(f"{node.kept.phase} leads nowhere")


@pytest.fixture(autouse=True)
def _few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_TRIES", 2)


def test_nothing_that_can_happen_brings_requests_to_where_they_must_not_go() -> None:
    nodes, ways = explored()

    # The model asserts on each way what must never happen.
    assert {node.kept.phase for node in nodes} == {*Phase}
    assert ways > 10_000, ways
    for node in nodes:
        if node.down and node.kept.phase in (Phase.WATCH, Phase.DRAIN):
            assert next(following(node)).kept.phase == Phase.RETURN, "a crash is seen at the first look"
        for end in (finished(node), finished(turned(node))):
            done = end.kept.phase == Phase.DONE
            live, idle = reversed(end.runs) if done else end.runs
            assert (end.share, live) == ((100, NEW) if done else (0, OLD))
            # A slot that could not be stopped goes on without requests.
            assert idle is None or node.kept.phase in FINAL
        assert end.kept.phase == Phase.BACK


SLIPS: dict[str, tuple[dict[str, Any], str]] = {
    "no verdict is asked for": ({"_NEXT": {Phase.CHECK: Phase.SWITCH}}, "requests without a verdict"),
    "no health is checked": (
        {"_NEXT": {Phase.START: Phase.ADMIT}, "_unready": lambda state, world: None}, "requests without a passed health"
    ),
    "it is not watched": ({"_NEXT": {Phase.SWITCH: Phase.DRAIN}}, "blue is stopped before"),
    "what has crashed stays": (
        {"_retired": lambda state, world: running._stopped(state.other, state.old, world)}, "while the new slot is down"
    ),
    "a failure retires": ({"_FAILED": {Phase.WATCH: Phase.RETIRE}}, "blue is stopped before"),
    "a stopped one gets requests": ({"RETIRED": ()}, "requests go where nothing"),
    "requests are not given back": ({"_NEXT": {Phase.PROVE: Phase.REMOVE}, "_check_idle": lambda slot, world: None}, "stopped"),
}  # fmt: skip


@pytest.mark.parametrize(("slip", "told"), SLIPS.values(), ids=SLIPS)
def test_the_model_finds_what_a_slip_in_the_machine_does(
    slip: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in slip.items():
        place = machine if hasattr(machine, name) else running
        whole = {**getattr(place, name), **value} if isinstance(value, dict) else value
        monkeypatch.setattr(place, name, whole)
    with pytest.raises(AssertionError, match=told):
        explored()


def test_every_drill_is_answered_with_a_no_and_what_is_sound_is_done() -> None:
    for violation, answer, said_no in drills.drills():
        assert said_no, f"{violation}: {answer}"
    sound = drills.Scripted()
    assert sound.deployed().phase == Phase.DONE
    assert (list(sound.runs), sound.shares) == (["green"], {"blue": 0, "green": 100})
