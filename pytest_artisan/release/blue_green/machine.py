"""A blue/green deployment as a machine: a phase is what has to be done next, and what came of it leads to another one.

Pure: no input, no output, no clock. Whatever a phase asks for may be done twice, so that a process that was killed goes on
from the state that was saved last. Its way is

    start, check, admit, switch, watch, drain, retire: done
    from any of them back: return, clear, remove: back; once the old slot was to be stopped, first revive, prove
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from pytest_artisan.release.environments import Name
from pytest_artisan.release.health import Health, Ruling
from pytest_artisan.release.observing import Counters, Yardstick
from pytest_artisan.release.slots.control import Build
from pytest_artisan.release.traffic.router import Slot


class Phase(StrEnum):
    """What has to be done next, to the slot of the new version or to the old one."""

    START = "start"  # the new one
    CHECK = "check"  # that the new one is ready
    ADMIT = "admit"  # the verdict and the window
    SWITCH = "switch"  # all requests to the new one
    WATCH = "watch"  # the new one
    DRAIN = "drain"  # until the old one has answered all it was asked; the new one has to be ready still
    RETIRE = "retire"  # stop the old one
    DONE = "done"
    REVIVE = "revive"  # start the old one again
    PROVE = "prove"  # that the old one is ready
    RETURN = "return"  # all requests to the old one
    CLEAR = "clear"  # until the new one has answered all it was asked
    REMOVE = "remove"  # stop the new one
    BACK = "back"


FINAL = (Phase.DONE, Phase.BACK)
UNSWITCHED = (Phase.START, Phase.CHECK, Phase.ADMIT, Phase.SWITCH)
# Where the old slot may be stopped already.
RETIRED = (Phase.RETIRE, Phase.DONE)
_GOING_BACK = (Phase.REVIVE, Phase.PROVE, Phase.RETURN, Phase.CLEAR, Phase.REMOVE, Phase.BACK)
_NEXT = {
    Phase.START: Phase.CHECK,
    Phase.CHECK: Phase.ADMIT,
    Phase.ADMIT: Phase.SWITCH,
    Phase.SWITCH: Phase.WATCH,
    Phase.DRAIN: Phase.RETIRE,
    Phase.RETIRE: Phase.DONE,
    Phase.REVIVE: Phase.PROVE,
    Phase.PROVE: Phase.RETURN,
    Phase.RETURN: Phase.CLEAR,
    Phase.CLEAR: Phase.REMOVE,
    Phase.REMOVE: Phase.BACK,
}
# Where a step fails, a slot that is not known to be ready gets no request; a stop that fails harms no request.
_FAILED = {
    **dict.fromkeys((*UNSWITCHED, Phase.WATCH, Phase.DRAIN), Phase.RETURN),
    **dict.fromkeys((Phase.REVIVE, Phase.PROVE), Phase.RETIRE),
    Phase.RETIRE: Phase.DONE,
    Phase.REMOVE: Phase.BACK,
}


class Deployment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One deployment of `build` to `slot`, while the other slot holds `old`. All of it is on disk after every step.

    `digest` is that of the verdict's payload; `asked`: when its admission was asked for. `watched` looks saw what the new
    slot does, `blind` ones saw nothing. `reasons`: why it is in its phase, a line each.
    """

    environment: Name
    build: Build
    slot: Slot
    old: Build
    digest: str
    begun: datetime
    yardstick: Yardstick
    phase: Phase = Phase.START
    asked: datetime | None = None
    counters: Counters | None = None
    health: Health
    watched: int = 0
    blind: int = 0
    reasons: tuple[str, ...] = ()

    @property
    def other(self) -> Slot:
        """The slot of the old version."""
        return "blue" if self.slot == "green" else "green"

    @property
    def live(self) -> tuple[Slot, Build]:
        """Where the requests go once it is over, and what runs there."""
        return (self.slot, self.build) if self.phase == Phase.DONE else (self.other, self.old)


@dataclass(frozen=True, slots=True)
class Done:
    """What the phase asks for was done; `counters` are those from before the switch."""

    counters: Counters | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """It was not, and will not be."""

    why: str


@dataclass(frozen=True, slots=True)
class Asks:
    """Admission is going to be asked for, at this moment."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Looked:
    """`health` is what is known of the new slot after a look, `ruling` what follows."""

    ruling: Ruling
    reasons: tuple[str, ...]
    health: Health
    counters: Counters


@dataclass(frozen=True, slots=True)
class Blind:
    """A look that saw nothing; `counters` are what the next one begins with."""

    why: str
    counters: Counters | None


@dataclass(frozen=True, slots=True)
class GoBack:
    """Somebody wants the old version back."""

    why: str


Event: TypeAlias = Done | Failed | Asks | Looked | Blind | GoBack


def after(state: Deployment, event: Event, looks: int) -> Deployment:
    """The state that follows, where `looks` have to see the new slot; raises KeyError for what can not happen in a phase."""
    match event:
        case GoBack(why):
            if state.phase in _GOING_BACK:
                return state
            if state.phase not in RETIRED:
                return _to(state, Phase.RETURN, why)
            # What nobody knows, nobody can start; it may run all the same.
            return _to(state, Phase.REVIVE if state.old.version else Phase.PROVE, why)
        case Failed(why):
            following = _FAILED[state.phase]
            # What failed at the end is not why it has come to this end.
            return _to(state, following, *(state.reasons if following in FINAL else ()), why)
        case Asks(at):
            return replace(state, asked=at)
        case Blind(why, counters):
            blind = replace(state, blind=state.blind + 1, counters=counters, reasons=(why,))
            if blind.blind < looks:
                return blind
            return _to(blind, Phase.RETURN, f"{blind.blind} looks saw nothing; the last one: {why}")
        case Looked():
            return _seen(state, event, looks)
        case Done(counters):
            done = _to(state, _NEXT[state.phase])
            return replace(done, counters=counters) if state.phase == Phase.SWITCH else done


def _seen(state: Deployment, look: Looked, looks: int) -> Deployment:
    watched = state.watched + 1
    seen = replace(state, watched=watched, counters=look.counters, health=look.health, reasons=look.reasons)
    if look.ruling == Ruling.ROLL_BACK:
        return _to(seen, Phase.RETURN)
    if look.ruling == Ruling.HEALTHY and watched >= looks:
        return _to(seen, Phase.DRAIN)
    # What is not shown in time may be shown in as much again; then it counts as not so.
    if watched >= 2 * looks:
        return _to(seen, Phase.RETURN, f"not shown to be healthy by {watched} looks", *look.reasons)
    return seen


def _to(state: Deployment, phase: Phase, *reasons: str) -> Deployment:
    """In another phase; the reasons stay, where there are no new ones."""
    return replace(state, phase=phase, reasons=reasons or state.reasons)
