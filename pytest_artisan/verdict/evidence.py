"""What a session planned and what its items reported."""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import SupportsFloat, SupportsIndex

from pytest_artisan.verdict.statistics import proportion_interval

# A report crosses process borders several times, and no chart has more dots than these.
_SAMPLES_KEPT = 10_000
_POINTS_KEPT = 100


class NoEvidence(Exception):
    """A check could not measure: its tool is missing, crashed, hung or answered what nobody can read."""


class Bound(StrEnum):
    """Which side of a limit is allowed; only the first, the second and the last include the limit itself."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"
    BELOW = "below"
    ABOVE = "above"
    EQUAL_TO = "equal_to"


_HOLDS = {
    Bound.AT_MOST: operator.le,
    Bound.AT_LEAST: operator.ge,
    Bound.BELOW: operator.lt,
    Bound.ABOVE: operator.gt,
    Bound.EQUAL_TO: operator.eq,
}


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound and its number, in the unit of the measurement that carries it."""

    bound: Bound
    value: float

    def holds(self, value: float) -> bool:
        """Whether `value` keeps the limit; NaN on either side never does."""
        return bool(_HOLDS[self.bound](value, self.value))


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the environment's baseline holds for a measurement; a `value` of None means that it holds nothing.

    `ratio` is the lower 95 % bound of the p95 now over the p95 then, where both have samples.
    """

    value: float | None = None
    unit: str = ""
    interval: tuple[float, float] | None = None
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Samples:
    """The sample behind a measurement, in order of time; all numbers are finite.

    `at` holds the seconds since the first counted one was due. `values`, None for one that failed or had no answer,
    and `late`, how much later than due each was sent, are in the measurement's unit.
    """

    at: tuple[float, ...]
    values: tuple[float | None, ...]
    late: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for columns of different lengths, NaN and infinities."""
        if not len(self.at) == len(self.values) == len(self.late):
            raise ValueError(f"{len(self.at)} times, {len(self.values)} values and {len(self.late)} delays")
        numbers = (*self.at, *self.late, *(value for value in self.values if value is not None))
        if not all(map(math.isfinite, numbers)):
            raise ValueError("a time, value or delay is not finite")

    @classmethod
    def of(
        cls, at: Iterable[SupportsFloat], values: Iterable[SupportsFloat | None], late: Iterable[SupportsFloat]
    ) -> Samples:
        """Samples of exact built-in types in order of time; of more than 10,000 as many, evenly chosen."""
        floats = tuple(None if value is None else float(value) for value in values)
        whole = cls(tuple(map(float, at)), floats, tuple(map(float, late)))
        order = sorted(range(len(whole.at)), key=whole.at.__getitem__)
        kept = min(len(order), _SAMPLES_KEPT)
        chosen = [order[k * len(order) // kept] for k in range(kept)]
        return cls(
            tuple(whole.at[k] for k in chosen),
            tuple(whole.values[k] for k in chosen),
            tuple(whole.late[k] for k in chosen),
        )


@dataclass(frozen=True, slots=True)
class Points:
    """What a picture beside a measurement shows: rows of finite numbers, one for each of `axes`.

    Where they are `joined`, the second number is a curve over the first, within the third and the fourth where these are
    there; else each row is a point of its own, the smaller the better in all of its numbers.
    """

    axes: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    joined: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for rows that are not as long as `axes`, NaN and infinities."""
        if any(len(row) != len(self.axes) or not all(map(math.isfinite, row)) for row in self.rows):
            raise ValueError(f"a point has not {len(self.axes)} finite numbers")

    @classmethod
    def of(cls, axes: Iterable[str], rows: Iterable[Iterable[SupportsFloat]], *, joined: bool = False) -> Points:
        """Points of exact built-in types, in six digits: of more than 100 as many, evenly chosen."""
        told = [tuple(float(f"{float(number):.6g}") for number in row) for row in rows]
        kept = min(len(told), _POINTS_KEPT)
        return cls(tuple(axes), tuple(told[k * len(told) // kept] for k in range(kept)), joined)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number with its unit and limit; `value` is finite, or None with the cause in `no_data`.

    `item` is the node id of the item that measured it, filled in by the verdict. Where `proven` is given, the value
    alone decides, and `proven` tells whether the sample shows the limit to hold with 95 % confidence. `doubt` says why
    a value that is there can not be believed.
    """

    name: str
    value: float | None
    unit: str
    limit: Limit | None = None
    n: int | None = None
    interval: tuple[float, float] | None = None
    no_data: str = ""
    baseline: Baseline | None = None
    item: str = ""
    proven: bool | None = None
    doubt: str = ""
    samples: Samples | None = None
    points: Points | None = None


def measured(
    name: str,
    value: SupportsFloat | None,
    *,
    unit: str,
    at_most: SupportsFloat | None = None,
    at_least: SupportsFloat | None = None,
    below: SupportsFloat | None = None,
    above: SupportsFloat | None = None,
    equal_to: SupportsFloat | None = None,
    n: SupportsIndex | None = None,
    interval: tuple[SupportsFloat, SupportsFloat] | None = None,
) -> Measurement:
    """A measurement of exact built-in types, from whatever number type measured it.

    None, NaN and infinities are kept as "no data" with their cause: a number that is not there is a fact, and it
    blocks. Raises TypeError for what is no number or has not exactly one bound, ValueError for an impossible limit,
    sample size or unit.
    """
    bounds = {"at_most": at_most, "at_least": at_least, "below": below, "above": above, "equal_to": equal_to}
    given = {bound: limit for bound, limit in bounds.items() if limit is not None}
    if len(given) != 1:
        raise TypeError(f"{name}: give exactly one of {', '.join(bounds)}; got {', '.join(given) or 'none'}")
    [(bound, number)] = given.items()
    limit = Limit(Bound(bound), _number(f"{name}: {bound}", number))
    if not math.isfinite(limit.value):
        raise ValueError(f"{name}: the limit {bound}={limit.value} is not finite, so it decides nothing")
    if not unit or unit != unit.strip():
        raise ValueError(f"{name}: the unit {unit!r} is empty or padded; name one, such as 'ms', '%' or 'count'")
    if isinstance(n, bool):
        raise TypeError(f"{name}: n={n} is bool, not a sample size")
    size = None if n is None else operator.index(n)
    if size is not None and size < 0:
        raise ValueError(f"{name}: a sample size of {size} is negative")
    if interval is not None and limit.bound is Bound.EQUAL_TO:
        raise TypeError(f"{name}: an interval can not decide equality; use at_most or at_least")
    span = None if interval is None else (_number(name, interval[0]), _number(name, interval[1]))
    measurement = Measurement(name, None, unit, limit, size)
    if value is None:
        return _without_data(measurement, "the value is None")
    exact = _number(name, value)
    if not math.isfinite(exact):
        return _without_data(measurement, f"the value is {exact}")
    if size == 0:
        return _without_data(measurement, "the sample is empty (n=0)")
    if span is not None and not -math.inf < span[0] <= exact <= span[1] < math.inf:
        return _without_data(measurement, f"the interval {span} is not finite or does not hold the value {exact}")
    return Measurement(name, exact, unit, limit, size, span)


def measured_share(name: str, hits: int, n: int, *, at_least: float) -> Measurement:
    """The share of `n` that hit, in per cent, with its exact interval; no data where nothing was tried."""
    low, high = proportion_interval(hits, max(n, 1))
    share = 100 * hits / n if n else None
    return measured(name, share, unit="%", at_least=at_least, n=n, interval=(100 * low, 100 * high))


def no_evidence(name: str, cause: str) -> Measurement:
    """The measurement of a check that could not measure anything."""
    return Measurement(name, None, "count", Limit(Bound.AT_LEAST, 1), no_data=cause)


def _number(what: str, value: SupportsFloat) -> float:
    # Python's bool and numpy's, 2.x and 1.x, and numpy's str can all be read as a float.
    kind = type(value).__name__
    if kind in ("bool", "bool_") or isinstance(value, str | bytes | bytearray):
        raise TypeError(f"{what}: {value!r} is {kind}, not a number")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _without_data(measurement: Measurement, cause: str) -> Measurement:
    return Measurement(measurement.name, None, measurement.unit, measurement.limit, measurement.n, no_data=cause)


@dataclass(frozen=True, slots=True)
class Finding:
    """A located statement of a tool; `path` is relative to the project's root, line and column count from 1.

    Where it does not block, it is a warning. `details` are the cells of a table of the gate's findings, by their head.
    """

    tool: str
    rule: str
    message: str
    path: str
    line: int
    column: int = 1
    blocks: bool = True
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Who states what, without the place."""
        return f"{self.tool} {self.rule}: {self.message}"


# How the ids of the plugin's own items begin: those of the policy's checks, which nobody may declare away.
BUILT_IN = "artisan"


class Outcome(StrEnum):
    """How an item ended; the later in this list, the worse."""

    PASSED = "passed"
    SKIPPED = "skipped"
    XFAILED = "xfailed"
    XPASSED = "xpassed"
    FLAKY = "flaky"
    FAILED = "failed"
    ERROR = "error"
    CRASHED = "crashed"

    @property
    def badness(self) -> int:
        return list(Outcome).index(self)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What one item reported.

    `by_limit` says that the item failed because of its own measurements or findings, which then give the reasons.
    `path` and `line` are where the item stands.
    """

    nodeid: str
    outcome: Outcome
    detail: str = ""
    attempts: int = 1
    measurements: tuple[Measurement, ...] = ()
    findings: tuple[Finding, ...] = ()
    by_limit: bool = False
    path: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """The items collected for each gate, before the first one runs, and what kept some of them from running."""

    gates: Mapping[str, tuple[str, ...]]
    removed: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    skipped_modules: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the plan's lines, whatever the order in which the items were collected."""
        lines = [f"{gate}\t{nodeid}" for gate, nodeids in self.gates.items() for nodeid in nodeids]
        for kind in ("removed", "skipped_modules", "overrides"):
            lines += [f"{kind}\t{nodeid}\t{text}" for nodeid, text in getattr(self, kind).items()]
        lines += [f"withheld\t{nodeid}" for nodeid in self.withheld]
        return hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogatepass")).hexdigest()


class Fault(StrEnum):
    """What can go wrong with a session as a whole."""

    EXIT_STATUS = "exit_status"
    COLLECTION_ERROR = "collection_error"
    INTERRUPTED = "interrupted"
    INTERNAL_ERROR = "internal_error"
    OVERRULED = "overruled"
    WORKER_LOST = "worker_lost"
    PLAN_MISSING = "plan_missing"
    PLANS_DISAGREE = "plans_disagree"
    POLICY_CHANGED = "policy_changed"
    CLOCK = "clock"
    NARROWED = "narrowed"
    UNFINISHED = "unfinished"
    REPORT = "report"
    BASELINE = "baseline"
    COMMIT_CHANGED = "commit_changed"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a session's items reported.

    `passed` holds the items that passed plainly, once, with nothing to record; `results` all others. `seconds` is the
    time that each gate's items took. `stopped` says why the session ended early, where it did.
    """

    passed: frozenset[str] = frozenset()
    results: tuple[ItemResult, ...] = ()
    faults: tuple[tuple[Fault, str], ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    stopped: str = ""
    exit_status: int = 0
