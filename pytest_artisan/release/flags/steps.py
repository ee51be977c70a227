"""The ways in which a flag is changed: from what it is set to, to what it is to be."""

from __future__ import annotations

from collections.abc import Callable

from pytest_artisan.release.flags.bucketing import buckets_of, percentage
from pytest_artisan.release.flags.definitions import Flag
from pytest_artisan.release.flags.states import State, shift
from pytest_artisan.settings import SettingsError

Step = Callable[[State], State]


def enabling(name: str, flag: Flag, environment: str, rollout: str | float | None = None) -> Step:
    """On for all, or for a percentage of users and off for all others; refused where that takes it from anybody."""
    if rollout is None:
        if environment not in flag.environments:
            raise SettingsError(
                f"{name} is for {', '.join(flag.environments)}; {environment} needs a rollout on purpose, such as "
                f"artisan flags rollout {name} 5 --env {environment}"
            )
        return lambda _: State(True)
    after = State(False, buckets_of(rollout))

    def step(before: State) -> State:
        lost = shift(before, after).to_off
        if lost:
            raise SettingsError(
                f"{name} is {before} of users, and to enable it for {percentage(after.moved)} would take it from "
                f"{percentage(lost)}; artisan flags rollout {name} {after.moved / 100:g} moves that many to the other side"
            )
        return after

    return step


def disabling(_: State) -> State:
    """Off for all."""
    return State(False)


def rolling_out(rollout: str | float) -> Step:
    """A percentage of users on the other side of what was last set for all, by a hand or by default."""
    moved = buckets_of(rollout)
    return lambda before: State(before.base, moved)
