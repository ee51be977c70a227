"""What a flag is set to: on or off for all, but for the users that a rollout has moved to the other side."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from pytest_artisan.release.flags.bucketing import BUCKETS, percentage


class State(NamedTuple):
    """`base` is what counts for all but the users of the first `moved` buckets of 10,000, who have the opposite."""

    base: bool
    moved: int = 0

    @property
    def split(self) -> bool:
        """Whether it depends on the user."""
        return 0 < self.moved < BUCKETS

    @property
    def common(self) -> bool:
        """What counts where there is no user: what all have, and in a rollout what it moves users away from."""
        return self.base != (self.moved == BUCKETS)

    def value(self, bucket: int) -> bool:
        return self.base != (bucket < self.moved)

    @property
    def on(self) -> int:
        """The buckets for which the flag is on."""
        return BUCKETS - self.moved if self.base else self.moved

    def __str__(self) -> str:
        return f"on for {percentage(self.on)}"


class Shift(NamedTuple):
    """The users whom a change moves, in buckets."""

    to_on: int
    to_off: int

    def __str__(self) -> str:
        parts = [f"{percentage(n)} of users move to {to}" for n, to in ((self.to_on, "on"), (self.to_off, "off")) if n]
        return ", ".join(parts) or "no user moves"


def shift(before: State, after: State) -> Shift:
    """Which users see another value after a change; exact, as their buckets stay."""
    # Between these the value of neither changes.
    edges = sorted({0, before.moved, after.moved, BUCKETS})
    spans = [
        (end - start, after.value(start)) for start, end in pairwise(edges) if before.value(start) != after.value(start)
    ]
    return Shift(sum(n for n, on in spans if on), sum(n for n, on in spans if not on))
