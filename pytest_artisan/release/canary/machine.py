"""What a canary does next, given where it is and what happened: no clock, no file and no flag is asked here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from pytest_artisan.release.health import Ruling


class Phase(StrEnum):
    """Where a canary is: before its verdict, in a stage, on its way back, or at one of its two ends."""

    ASKED = "asked"
    MOVING = "moving"
    WATCHING = "watching"
    RETURNING = "returning"
    BACK = "back"
    DONE = "done"


class Soak(msgspec.Struct, frozen=True):
    """A share in per cent, and how many looks have to see it before the next one: what nobody watched is no soak."""

    percent: float
    looks: int


class Plan(msgspec.Struct, frozen=True):
    """The stages, at least one; `extensions`: how often a soak may be repeated while nothing is shown."""

    stages: tuple[Soak, ...]
    extensions: int = 0


class State(msgspec.Struct, frozen=True):
    """Of the stage that it is in: `watched` looks saw requests, the last `blind` ones saw none. `why` it went back."""

    phase: Phase = Phase.ASKED
    stage: int = 0
    watched: int = 0
    blind: int = 0
    expired: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A verdict that was not used before lets it begin."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The verdict does not count any more."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The stage's share has the change."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What the look after a wait says; no ruling where it saw no request."""

    ruling: Ruling | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Back:
    """Somebody, or something that went wrong, wants it back."""

    why: str


@dataclass(frozen=True, slots=True)
class Returned:
    """All is as it was before the canary."""


Event = Admitted | Expired | Moved | Looked | Back | Returned


@dataclass(frozen=True, slots=True)
class Give:
    """Let that share have the change, in per cent."""

    percent: float


@dataclass(frozen=True, slots=True)
class Look:
    """Wait, and then look at those who have the change."""


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Make all as it was before the canary."""


def due(plan: Plan, state: State) -> Give | Look | TakeBack | None:
    """What has to be done now; to do it twice is to do it once, so a process that was killed does it again."""
    match state.phase:
        case Phase.MOVING:
            return Give(plan.stages[state.stage].percent)
        case Phase.WATCHING:
            return Look()
        case Phase.RETURNING:
            return TakeBack()
    return None


def after(plan: Plan, state: State, event: Event) -> State:
    """Where the canary is after the event; the same place where the event means nothing there."""
    match state.phase, event:
        case Phase.ASKED | Phase.BACK | Phase.DONE, Admitted():
            return State(Phase.MOVING)
        case Phase.ASKED | Phase.MOVING | Phase.WATCHING | Phase.DONE, Back(why):
            return _back(state, why)
        case Phase.MOVING, Expired():
            return _back(replace(state, expired=True), "the verdict expired before this share got the change")
        case Phase.WATCHING | Phase.RETURNING, Expired():
            return replace(state, expired=True)
        case Phase.MOVING, Moved():
            return replace(state, phase=Phase.WATCHING)
        case Phase.WATCHING, Looked(ruling, reasons):
            return _judged(plan, state, ruling, "; ".join(reasons))
        case Phase.RETURNING, Returned():
            return replace(state, phase=Phase.BACK)
    return state


def _judged(plan: Plan, state: State, ruling: Ruling | None, reasons: str) -> State:
    if ruling is Ruling.ROLL_BACK:
        return _back(state, reasons)
    soak, last = plan.stages[state.stage].looks, state.stage + 1 == len(plan.stages)
    if ruling is None:
        seen = replace(state, blind=state.blind + 1)
        return _back(seen, f"{seen.blind} looks saw nothing; the last one: {reasons}") if seen.blind >= soak else seen
    # A look may come twice between two scrapes, and be blind for that alone.
    seen = replace(state, watched=state.watched + 1, blind=0)
    if seen.watched < soak:
        return seen
    if ruling is Ruling.HEALTHY and last:
        return replace(seen, phase=Phase.DONE)
    if seen.expired and not last:
        return _back(seen, "the verdict has expired, so nobody else may get the change")
    if ruling is Ruling.HEALTHY:
        return State(Phase.MOVING, state.stage + 1)
    if seen.watched >= soak * (1 + plan.extensions):
        return _back(seen, f"not shown to be healthy: {reasons}")
    return seen


def _back(state: State, why: str) -> State:
    return replace(state, phase=Phase.RETURNING, why=why)
