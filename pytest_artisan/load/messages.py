"""What goes between a run and its generators, a line of JSON each."""

from __future__ import annotations

from array import array
from enum import IntEnum

import msgspec

STOP = b"stop\n"


class Outcome(IntEnum):
    """How a request ended: as it should, wrongly, at its deadline, or in a way that nobody heard of.

    One that is `WAITING` was over the limit already when nothing could change the outcome of the run any more.
    """

    OK = 0
    FAILED = 1
    EXPIRED = 2
    UNHEARD = 3
    WAITING = 4


class Order(msgspec.Struct, frozen=True):
    """What one generator sends: its part of the plan, by when each request is due and what it is.

    `due` are seconds after the start and `shares` numbers in [0, 1) that choose from the mix, both as float64; the first
    `warmup` of them do not count. Each request has `deadline_s` from when it is due; before the load, each part of the mix
    has `patience_s`.
    """

    url: str
    locustfile: str | None
    due: bytes
    shares: bytes
    warmup: int
    deadline_s: float
    patience_s: float

    def part(self, number: int, count: int) -> Order:
        """The part of one of `count` generators."""
        due, shares = array("d", self.due)[number::count], array("d", self.shares)[number::count]
        warmup = len(range(number, self.warmup, count))
        return msgspec.structs.replace(self, due=due.tobytes(), shares=shares.tobytes(), warmup=warmup)


class Listening(msgspec.Struct, frozen=True, tag=True):
    """The master listens, and waits for its workers."""

    port: int


class Checked(msgspec.Struct, frozen=True, tag=True):
    """The contract was kept, and the load begins; or `fault` says what was broken, and there is none."""

    fault: str = ""


class Batch(msgspec.Struct, frozen=True, tag=True):
    """What a generator has done since its last batch.

    `sent` counts the requests of its part that were due and sent so far, `now` are seconds since the start. `columns`
    are the samples of that time (see `Samples`), `endpoints` the names that are new in them, `causes` why some that count
    failed. `done` where nothing follows.
    """

    generator: int
    sent: int
    now: float
    columns: tuple[bytes, bytes, bytes, bytes, bytes]
    endpoints: tuple[str, ...] = ()
    causes: tuple[tuple[str, str, int], ...] = ()
    done: bool = False


Said = Listening | Checked | Batch


class Samples:
    """Requests, a column for each of their numbers: which of the part it was, lateness and service time in seconds,
    outcome and endpoint."""

    def __init__(self) -> None:
        self.number = array("L")
        self.late = array("d")
        self.took = array("d")
        self.outcome = array("B")
        self.endpoint = array("H")

    @property
    def columns(self) -> tuple[array[int] | array[float], ...]:
        return self.number, self.late, self.took, self.outcome, self.endpoint

    def __len__(self) -> int:
        return len(self.number)

    def add(self, number: int, late: float, took: float, outcome: Outcome, endpoint: int) -> None:
        self.number.append(number)
        self.late.append(late)
        self.took.append(took)
        self.outcome.append(outcome)
        self.endpoint.append(endpoint)

    def packed(self) -> tuple[bytes, bytes, bytes, bytes, bytes]:
        """The columns as bytes, for a machine like this one."""
        number, late, took, outcome, endpoint = self.columns
        return number.tobytes(), late.tobytes(), took.tobytes(), outcome.tobytes(), endpoint.tobytes()

    @classmethod
    def unpacked(cls, columns: tuple[bytes, ...]) -> Samples:
        samples = cls()
        for column, data in zip(samples.columns, columns, strict=True):
            column.frombytes(data)
        return samples
