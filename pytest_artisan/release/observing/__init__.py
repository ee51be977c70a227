"""What is seen of those who have got a change, and of those who have not."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from pytest_artisan.release.health import Block
from pytest_artisan.verdict.evidence import NoEvidence


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What has been counted up to `at`, of those who have got the change; none ever goes down while a process lives.

    `at` is when the oldest of it was read. `instances`: the requests of each process that counts, by its labels.
    """

    at: datetime
    requests: float = 0.0
    errors: float = 0.0
    timed: float = 0.0
    slow: float = 0.0
    ratings: float = 0.0
    rating_sum: float = 0.0
    schema_failures: float = 0.0
    instances: dict[str, float] = msgspec.field(default_factory=dict)


class Yardstick(msgspec.Struct, frozen=True):
    """The baseline's p95 in seconds, the time from which a request counts as slow, and where they come from."""

    p95_s: float
    slow_s: float
    origin: str


class Source(Protocol):
    """Where the numbers come from. Both raise NoEvidence where there are none, with the question and the cause."""

    def yardstick(self, now: datetime) -> Yardstick:
        """What is slow. It must stay the same from one of `counters` to the next one that it is compared with."""
        ...

    def counters(self, yardstick: Yardstick, now: datetime) -> Counters:
        """What has been counted so far."""
        ...


def between(before: Counters, after: Counters) -> Block:
    """What was counted from one look to the next.

    Raises NoEvidence where that can not be known, as a process has ended, begun anew or come in with what it counted
    elsewhen; the `later` of the two is then what the next look is compared with.
    """
    if after.at < before.at:
        raise NoEvidence(f"what is told is of {after.at:%H:%M:%S}, and that of {before.at:%H:%M:%S} was told before")
    for instance, requests in before.instances.items():
        if instance not in after.instances:
            raise NoEvidence(f"{instance or 'the counter of requests'} is gone, and what it counted last with it")
        _added(f"requests of {instance}", requests, after.instances[instance])
    for instance in after.instances.keys() - before.instances.keys():
        if after.instances[instance]:
            raise NoEvidence(f"{instance} is new, and nobody knows since when it has counted")
    added = {name: _added(name, getattr(before, name), getattr(after, name)) for name in Block.__struct_fields__}
    # Rounded, as a difference of large sums is off by a hair, and five stars are never more than five.
    rating_sum = round(added.pop("rating_sum"), 6)
    for name, count in added.items():
        if not count.is_integer():
            raise NoEvidence(f"{name}: {count:g} is no whole number; ask for counters as they are, not for their rate")
    return Block(**{name: int(count) for name, count in added.items()}, rating_sum=rating_sum)


def later(before: Counters, after: Counters) -> Counters:
    """What was read later: of two servers that are asked in turn one may be behind, and would tell the same twice."""
    return max(before, after, key=lambda counters: counters.at)


def _added(name: str, before: float, after: float) -> float:
    if not after >= before:
        raise NoEvidence(f"{name} went down from {before:g} to {after:g}: somebody counts anew")
    return after - before
