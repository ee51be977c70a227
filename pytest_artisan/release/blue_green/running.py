"""A blue/green deployment at work: what its phase asks for is done, and the next phase is on disk before it begins."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from pytest_artisan.release.blue_green.machine import (
    FINAL,
    Asks,
    Blind,
    Deployment,
    Done,
    Event,
    Failed,
    Looked,
    Phase,
    after,
)
from pytest_artisan.release.blue_green.settings import BlueGreen
from pytest_artisan.release.observing import Counters, Source, between, later
from pytest_artisan.release.slots.control import Build, Control, NotReady
from pytest_artisan.release.traffic.patience import NotYet
from pytest_artisan.release.traffic.router import Router, Slot
from pytest_artisan.settings import SettingsError, seconds
from pytest_artisan.verdict.evidence import NoEvidence

# Between two questions whether a slot is ready, or has answered all.
_PAUSE_S = 0.25
# An admission that was to be asked for longer ago than this may not be one any more.
_FRESH = timedelta(seconds=60)
# How often it is tried to give the requests back, and the pause between.
_TRIES, _TRY_S = 60, 1.0
# Where the new slot may have requests, and nothing was shown yet.
_UNPROVEN = (Phase.SWITCH, Phase.WATCH)
# What happens in a phase, for people who watch.
_WORDS = {
    Phase.START: "{state.build.version} is started in {state.slot}",
    Phase.CHECK: "is {state.slot} ready?",
    Phase.ADMIT: "may {state.slot} have requests?",
    Phase.SWITCH: "all requests go to {state.slot}",
    Phase.WATCH: "{state.slot} is watched",
    Phase.DRAIN: "{state.other} finishes what it was asked",
    Phase.RETIRE: "{state.other} is stopped",
    Phase.DONE: "done",
    Phase.REVIVE: "{state.old.version} is started in {state.other} again",
    Phase.PROVE: "is {state.other} ready?",
    Phase.RETURN: "all requests go back to {state.other}",
    Phase.CLEAR: "{state.slot} finishes what it was asked",
    Phase.REMOVE: "{state.slot} is stopped",
    Phase.BACK: "all is as it was",
}


@dataclass(frozen=True, slots=True)
class World:
    """What a deployment acts upon. `admit` takes when it is asked, `admitted` whether it was, then; see admission.py.

    `keep` has the state on disk when it returns, else it raises SettingsError. `wait` takes seconds, `say` a line.
    """

    router: Router
    slots: Control
    source: Callable[[], Source]
    admit: Callable[[datetime], object]
    admitted: Callable[[datetime], bool]
    keep: Callable[[Deployment], None]
    now: Callable[[], datetime]
    wait: Callable[[float], None]
    say: Callable[[str], None]


def run(state: Deployment, rules: BlueGreen, world: World) -> Deployment:
    """Bring it to its end: the state it ends in. Where this is interrupted, it goes on with what was kept.

    Raises NoEvidence where a router is lost, and SettingsError where a state can not be kept.
    """
    world.say(_WORDS[state.phase].format(state=state))
    while state.phase not in FINAL:
        state = step(state, rules, world)
    return state


def step(state: Deployment, rules: BlueGreen, world: World) -> Deployment:
    """Do what the phase asks for; the state that follows is kept when this returns. Raises as `run` does."""
    event = _event(state, rules, world)
    following = _kept(state, after(state, event, rules.looks), world)
    match event:
        case Looked(ruling, reasons):
            world.say(f"look {following.watched} of {rules.looks}: {ruling}: {'; '.join(reasons)}")
        case Blind(why) | Failed(why):
            world.say(why)
    if following.phase != state.phase:
        world.say(_WORDS[following.phase].format(state=following))
    return following


def _kept(before: Deployment, state: Deployment, world: World) -> Deployment:
    try:
        world.keep(state)
    except SettingsError as error:
        if before.phase not in _UNPROVEN:
            raise
        # Nobody will watch it from here on.
        raise SettingsError(f"{error}; {given_back(before, world.router)}") from None
    return state


def given_back(state: Deployment, router: Router) -> str:
    """All requests to the old slot, where no state can be kept; what came of it."""
    try:
        router.shift(state.other, 100)
    except NoEvidence as lost:
        return f"{state.slot} may have the requests: {lost}"
    return f"{state.other} gets the requests again"


def _event(state: Deployment, rules: BlueGreen, world: World) -> Event:
    """What comes of doing what the phase asks for."""
    match state.phase:
        case Phase.START:
            # Whatever else runs there is replaced, once it has answered all it was asked.
            _check_idle(state.slot, world)
            _drain(state.slot, rules, world)
            return _started(state.slot, state.build, world)
        case Phase.CHECK:
            return _proven(state.slot, state.build, world)
        case Phase.ADMIT:
            return _admit(state, world)
        case Phase.SWITCH:
            return _switch(state, world)
        case Phase.WATCH:
            return _watch(state, rules, world)
        case Phase.DRAIN:
            _drain(state.other, rules, world)
            return _unready(state, world) or Done()
        case Phase.RETIRE:
            return _retired(state, world)
        case Phase.REVIVE:
            return _revived(state, world)
        case Phase.PROVE:
            return _proven(state.other, state.old, world)
        case Phase.RETURN:
            return _returned(state, world)
        case Phase.CLEAR:
            _drain(state.slot, rules, world)
            return Done()
        case Phase.REMOVE:
            return _removed(state, world)
    raise AssertionError(f"{state.phase} asks for nothing")


def _admit(state: Deployment, world: World) -> Event:
    now = world.now()
    if state.asked and world.admitted(state.asked):
        # This process, or the one before it that was killed then.
        return Done()
    if state.asked is None or not timedelta(0) <= now - state.asked < _FRESH:
        return Asks(now)
    try:
        world.admit(state.asked)
    except (SettingsError, NoEvidence) as error:
        return Failed(str(error))
    return Done()


def _switch(state: Deployment, world: World) -> Event:
    # It may have been long ago that it was ready.
    failed = _unready(state, world)
    if failed:
        return failed
    counters = None
    with suppress(NoEvidence):
        counters = world.source().counters(state.yardstick, world.now())
    try:
        world.router.shift(state.slot, 100)
    except NoEvidence as error:
        return Failed(str(error))
    return Done(counters)


def _watch(state: Deployment, rules: BlueGreen, world: World) -> Event:
    world.wait(seconds(rules.look))
    counters = state.counters
    try:
        # The slot first: of one that is down, a router may tell no share.
        failed = _unready(state, world) or _diverted(state, world)
        if failed:
            return failed
        counters = world.source().counters(state.yardstick, world.now())
        return _judged(state, counters)
    except NoEvidence as error:
        last = later(state.counters, counters) if state.counters and counters else counters
        return Blind(str(error), last)


def _judged(state: Deployment, counters: Counters) -> Event:
    if state.counters is None:
        return Blind("the first numbers, which there is nothing to compare with", counters)
    block = between(state.counters, counters)
    health = state.health.after(block)
    opinion = health.opinion()
    if not block.requests and not block.schema_failures:
        return Blind("no request", counters)
    return Looked(opinion.ruling, opinion.reasons, health, counters)


def _diverted(state: Deployment, world: World) -> Failed | None:
    """All requests have to get to the new slot. Raises NoEvidence where the router is lost."""

    def look() -> None:
        share = world.router.weights()[state.slot]
        if share != 100:
            raise NotYet(f"somebody else has moved requests: {state.slot} gets {share:g} % of them, and not all")

    return _no(look, world)


def _returned(state: Deployment, world: World) -> Event:
    for last in (False,) * (_TRIES - 1) + (True,):
        try:
            world.router.shift(state.other, 100)
            break
        except NoEvidence as error:
            if last:
                raise
            world.say(f"{state.other} can not have the requests again yet: {error}")
            world.wait(_TRY_S)
    return Done()


def _check_idle(slot: Slot, world: World) -> None:
    """Raises NoEvidence where the slot gets requests: nobody may start or stop anything there then."""
    share = world.router.weights()[slot]
    if share != 0:
        raise NoEvidence(f"{slot} gets {share:g} % of the requests, so nothing is started or stopped there")


def _started(slot: Slot, build: Build, world: World) -> Event:
    try:
        world.slots.start(slot, build)
    except NoEvidence as error:
        return Failed(str(error))
    return Done()


def _revived(state: Deployment, world: World) -> Event:
    """The old slot started again, but for what gets requests, whoever sends them there."""
    with suppress(NotYet):
        # Where the router says that requests do not get where they are to, what is down is started.
        if world.router.weights()[state.other]:
            return Done()
    return _started(state.other, state.old, world)


def _retired(state: Deployment, world: World) -> Event:
    """The old slot stopped; raises NoEvidence where the new one is not there to answer, as it may be long ago that it was."""
    failed = _unready(state, world)
    if failed:
        raise NoEvidence(f"{failed.why}; so {state.other} is not stopped, and --rollback goes back to it")
    return _stopped(state.other, state.old, world)


def _removed(state: Deployment, world: World) -> Event:
    """The new slot stopped; one that nobody asks does no harm, and is there where the old one is gone."""
    failed = _no(lambda: world.slots.probe(state.other, state.old), world)
    if failed:
        return Failed(f"{state.slot} still runs, without a request, as {state.other} is not ready: {failed.why}")
    return _stopped(state.slot, state.build, world)


def _stopped(slot: Slot, build: Build, world: World) -> Event:
    _check_idle(slot, world)
    try:
        world.slots.stop(slot, build)
    except NoEvidence as error:
        return Failed(f"{slot} still runs, without a request: {error}")
    return Done()


def _proven(slot: Slot, build: Build, world: World) -> Event:
    """Ready within its time, by the clock or by the pauses, so that a clock which goes back does not prolong it."""
    deadline = world.now() + timedelta(seconds=world.slots.start_s)
    for _ in range(math.ceil(world.slots.start_s / _PAUSE_S)):
        try:
            world.slots.probe(slot, build)
        except NotReady as error:
            why = str(error)
        else:
            return Done()
        if world.now() >= deadline:
            break
        world.wait(_PAUSE_S)
    return Failed(f"not ready within {world.slots.start_s:g} s: {why}")


def _unready(state: Deployment, world: World) -> Failed | None:
    """The new slot has to be ready all the time."""
    return _no(lambda: world.slots.probe(state.slot, state.build), world)


def _no(look: Callable[[], None], world: World) -> Failed | None:
    """What is said against it the second time; one answer may get lost."""
    for last in (False, True):
        try:
            look()
        except (NotReady, NotYet) as error:
            if last:
                return Failed(str(error))
            world.wait(_PAUSE_S)
        else:
            break
    return None


def _drain(slot: Slot, rules: BlueGreen, world: World) -> None:
    """Until it has answered all, or had its time; where nobody can tell, it has its time."""
    for _ in range(math.ceil(seconds(rules.drain) / _PAUSE_S)):
        with suppress(NoEvidence):
            if world.router.in_flight(slot) == 0:
                return
        world.wait(_PAUSE_S)
