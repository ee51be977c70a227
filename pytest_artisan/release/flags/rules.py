"""What a flag, as it is set, says to a user."""

from __future__ import annotations

from typing import NamedTuple

from pytest_artisan.release.flags.bucketing import BUCKETS, User, digest, drawn
from pytest_artisan.release.flags.definitions import Flag
from pytest_artisan.release.flags.states import State


class Decision(NamedTuple):
    """What a flag says to a user: its state, whether anybody ever set it, and the user's bucket, None without one."""

    state: State
    changed: bool
    bucket: int | None

    @property
    def on(self) -> bool:
        return self.state.common if self.bucket is None else self.state.value(self.bucket)

    @property
    def why(self) -> str:
        base, moved = ("on" if self.state.base else "off"), self.state.moved
        if not self.state.split:
            return "it is set so for everybody" if self.changed else "nobody has changed it, and this is its default"
        if self.bucket is None:
            return f"without a user it stays {base}, as it was before the rollout"
        place = "is among" if self.bucket < moved else "is not among"
        return f"bucket {self.bucket:,} {place} the first {moved:,} of {BUCKETS:,}, moved away from {base}"


class Rule:
    """One flag in one state; `changed` is whether anybody ever set it."""

    __slots__ = ("_common", "_split", "_start", "changed", "flag", "state")

    def __init__(self, name: str, flag: Flag, state: State, changed: bool) -> None:
        self.flag = flag
        self.state = state
        self.changed = changed
        self._start = digest(name)
        # Of the way that every request takes, all that can be known before.
        self._split = state.split
        self._common = state.common

    def value(self, user: User | None) -> bool:
        if not self._split or user is None or user == "":
            return self._common
        return self.state.value(drawn(self._start, user, BUCKETS))

    def decide(self, user: User | None) -> Decision:
        """The same with its reason."""
        bucket = None if user is None or user == "" else drawn(self._start, user, BUCKETS)
        return Decision(self.state, self.changed, bucket)
