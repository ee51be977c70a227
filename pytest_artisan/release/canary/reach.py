"""Who has the change: by the feature flag's rollout and, where the environment has a router, by its weights too."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import count
from pathlib import Path

import msgspec
from msgspec.structs import replace

from pytest_artisan.release.environments import Name
from pytest_artisan.release.flags import FeatureFlagManager
from pytest_artisan.release.flags.bucketing import buckets_of
from pytest_artisan.release.flags.states import State
from pytest_artisan.release.traffic.router import SLOTS, Router, Slot
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence


class Before(msgspec.Struct, frozen=True):
    """What was set before a canary: the flag, and where there is a router the slot that gets the change, and its share."""

    base: bool
    moved: int
    slot: Slot | None = None
    share: float = 0.0

    @property
    def flag(self) -> State:
        return State(self.base, self.moved)

    def at(self, percent: float) -> State:
        """The flag where that many users are on the other side of what was last set for all."""
        return State(self.base, buckets_of(percent))


class Reach:
    """The share of users who have the change of a flag. Where it can not be read or set: SettingsError, NoEvidence."""

    def __init__(
        self, root: Path, environment: Name, flag: str, router: Router | None, clock: Callable[[], datetime]
    ) -> None:
        # By these ticks no answer is ever fresh enough to be given twice.
        self._manager = FeatureFlagManager(environment, root, clock=clock, ticks=count().__next__)
        self._flag, self._router = flag, router

    def read(self) -> Before:
        """What is set now, as the store and the router say."""
        state = self._state()
        if self._router is None:
            return Before(*state)
        weights = self._router.weights()
        blue, green = (weights[slot] for slot in SLOTS)
        if blue == green:
            raise SettingsError("blue and green get the same share of requests, so nobody can say which has the change")
        slot: Slot = "blue" if blue < green else "green"
        return Before(*state, slot, weights[slot])

    def differs(self, before: Before, percent: float) -> str:
        """What is not as it was given, empty where all is."""
        return self._flag_differs(before.at(percent)) or self._router_differs(before, percent)

    def give(self, before: Before, percent: float, last: float) -> None:
        """Let that share have the change after the `last` one; refused where somebody else has set the flag meanwhile."""
        target, current = before.at(percent), self._state()
        if current not in (before.at(last), target):
            raise SettingsError(self._flag_differs(before.at(last)))
        self._set(current, target, f"canary: {percent:g} %")
        if self._router and before.slot:
            self._router.shift(before.slot, percent)

    def take_back(self, before: Before, given: Iterable[float]) -> str:
        """Make all as it was before the shares that were `given`; returns what was left as somebody else has set it."""
        try:
            current = self._state()
            if current not in (before.flag, *map(before.at, given)):
                return (
                    f"{self._flag} stays {current}, as somebody else has set it; it was {before.flag} of users before"
                )
            self._set(current, before.flag, "canary: taken back")
            return ""
        finally:
            if self._router and before.slot:
                self._router.shift(before.slot, before.share)

    def still_ours(self, before: Before, percent: float) -> Before:
        """What a canary that is done may go back to: not its router's weights, where they were set otherwise since."""
        try:
            return replace(before, slot=None) if self._router_differs(before, percent) else before
        except NoEvidence:
            return before

    def _state(self) -> State:
        state = self._manager.state(self._flag)
        if self._manager.fault:
            raise SettingsError(self._manager.fault)
        return state

    def _flag_differs(self, expected: State) -> str:
        current = self._state()
        return "" if current == expected else f"somebody else has set {self._flag}: {current}, and not {expected}"

    def _router_differs(self, before: Before, percent: float) -> str:
        if self._router is None or before.slot is None:
            return ""
        share = self._router.weights()[before.slot]
        if math.isclose(share, percent, abs_tol=0.001):
            return ""
        return f"{before.slot} gets {share:g} % of requests, and not {percent:g} %"

    def _set(self, current: State, target: State, why: str) -> None:
        if current != target:
            self._manager.change(self._flag, lambda _: target, why=why, shown=current)
