"""The tables `[tool.artisan.<gate>]`, with the release strategy's numbers as defaults."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, field

from pytest_artisan.load import planned
from pytest_artisan.release.addresses import url_complaints
from pytest_artisan.settings import Table, seconds
from pytest_artisan.verdict.statistics import trials_to_bound_quantile, trials_to_exclude

Count = Annotated[int, Meta(ge=0)]
Size = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]
SEEDS = 10  # that the iterations of moga_stability are spread over
Percent = Annotated[float, Meta(ge=0, le=100)]


class Tests(Table, frozen=True):
    """A gate whose evidence is tests; all planned ones must pass, and there must be at least `min_items`."""

    min_items: Size = 1


class StaticAnalysis(Table, frozen=True):
    """The paths each tool checks, relative to the project's root; None is everything, an empty list switches it off."""

    ruff: tuple[str, ...] | None = None
    mypy: tuple[str, ...] | None = None
    ruff_findings: Count = 0
    mypy_errors: Count = 0
    timeout_s: Positive = 300

    def lint(self) -> Iterator[str]:
        if self.ruff == () and self.mypy == ():
            yield "ruff and mypy are both switched off, so the gate has nothing left to check"
        for tool in ("ruff", "mypy"):
            for path in getattr(self, tool) or ():
                if path.startswith("-"):
                    yield f"{tool}: {path!r} is an option, not a path"


class Ensemble(Tests, frozen=True):
    """The ensemble is `subject`, "package.module:factory". `understood_pct`: of the packaged wishes;

    `latency_samples`: answers in each mode; 72 are the fewest that bound a p95 from above.
    """

    subject: str | None = None
    schema_failures: Count = 0
    fast_p95_s: Positive = 2.5
    balanced_p95_s: Positive = 3.2
    creative_p95_s: Positive = 4.5
    understood_pct: Percent = 80
    latency_samples: Size = 80
    session_limit: str = "10min"

    def lint(self) -> Iterator[str]:
        yield from _subject_complaints(self.subject)
        yield from _duration_complaints("session_limit", self.session_limit)


class MogaStability(Tests, frozen=True):
    """The optimizer is `subject`, "package.module:factory"; per cents are of a formula, but for the last three.

    `extent`: of an objective, of what it was at first; `renewals`: of the iterations; `beats_random`: of the runs.
    """

    subject: str | None = None
    iterations: Size = 10_000
    negatives: Count = 0
    empties: Count = 0
    over_limit: Count = 0
    sum_deviation: Percent = 0.01
    smallest_share: Percent = 0.1
    diversity: Percent = 1
    extent: Percent = 1
    renewals: Percent = 10
    beats_random: Percent = 80
    session_limit: str = "15min"

    def lint(self) -> Iterator[str]:
        if self.iterations < SEEDS:
            yield f"iterations {self.iterations} is less than one for each of the {SEEDS} seeds"
        yield from _subject_complaints(self.subject)
        yield from _duration_complaints("session_limit", self.session_limit)


class E2eEvolution(Tests, frozen=True):
    """The flow is `subject`, "package.module:factory". `distance`: per cent of the parts that two options exchange;

    `p`, `rise` (rating points) and `effect` (Cohen's d) of how ratings rise; `agreement`: per cent of pairs.
    """

    subject: str | None = None
    options: Size = 3
    distance: Percent = 1
    kl: Positive = 0.03
    p: Annotated[float, Meta(gt=0, lt=1)] = 0.01
    rise: Positive = 0.1
    effect: Positive = 0.5
    agreement: Percent = 80
    session_limit: str = "20min"

    def lint(self) -> Iterator[str]:
        yield from _subject_complaints(self.subject)
        yield from _duration_complaints("session_limit", self.session_limit)


_NAMED = r"[^\W\d][\w.]*:[^\W\d]\w*"
_MOST_REQUESTS = 10_000_000


class LoadSmoke(Tests, frozen=True):
    """What is sent comes from `locustfile`, a path below the project's root, to this machine or to one of `hosts`.

    `deadline_s`: of each request, from when it was due; `endpoint_p95_ms` by name, such as "POST /orders", for those that
    have a limit of their own; `workers`: processes that send, 0 is as many as the rate needs.
    """

    locustfile: str | None = None
    hosts: tuple[str, ...] = ()
    rps: Positive = 10
    duration: str = "30s"
    warmup_s: Annotated[float, Meta(ge=0)] = 3
    arrivals: Literal["jitter", "poisson", "constant"] = "jitter"
    p95_ms: Positive = 2500
    endpoint_p95_ms: dict[str, Positive] = field(default_factory=dict)
    errors_pct: Percent = 1
    deadline_s: Positive = 10
    workers: Count = 0
    early_stop: bool = False

    def lint(self) -> Iterator[str]:
        """A sample must be able to show what the limits claim."""
        if self.deadline_s * 1000 <= self.p95_ms:
            yield f"deadline_s {self.deadline_s:g} is not longer than p95_ms {self.p95_ms:g}, which it would hide"
        complaints = list(_duration_complaints("duration", self.duration))
        yield from complaints
        if complaints:
            return
        length = seconds(self.duration)
        # As floats: the product may be too large for a count.
        if self.rps * (length + self.warmup_s) > _MOST_REQUESTS:
            yield f"rps x duration is too large: with the warm-up, more than {_MOST_REQUESTS:,} requests, all of them kept"
            return
        n = planned(self.rps, length)
        for claim, needed in self._claims():
            if n < needed:
                yield f"rps x duration sends {n} requests, too few to show {claim}: at least {needed} are needed"

    def _claims(self) -> Iterator[tuple[str, int]]:
        yield "a p95", trials_to_bound_quantile(0.95)
        if 0 < self.errors_pct < 100:
            yield f"errors of at most {self.errors_pct:g} %", trials_to_exclude(self.errors_pct / 100)


class Smoke(Tests, frozen=True):
    """The calls are those of `subject`, "package.module:factory", each with `timeout_s`."""

    subject: str | None = None
    timeout_s: Positive = 10

    def lint(self) -> Iterator[str]:
        yield from _subject_complaints(self.subject)


_RELEASE = r"^\S+==\S+$"


class CanaryTable(Table, frozen=True):
    """Releases of which a service must know: one with a critical advisory, a later one without it, one of malware."""

    critical: Annotated[str, Meta(pattern=_RELEASE)]
    clean: Annotated[str, Meta(pattern=_RELEASE)]
    malware: Annotated[str, Meta(pattern=_RELEASE)]


class Allowance(Table, frozen=True):
    """Something that nobody can audit, by its `name`, and is installed all the same; through the day `expires`."""

    name: Annotated[str, Meta(min_length=1)]
    reason: Annotated[str, Meta(pattern=r"\S")]
    expires: date

    def told(self) -> str:
        return f"allowed until {self.expires}: {self.reason}"


class Security(Tests, frozen=True):
    """What is installed by `files`, or is in this "environment", by all sources of advisories that are named.

    These are an imported `snapshot`, whose newest record may be `snapshot_days` old, and which has at least
    `snapshot_floor` of them; a service at `osv_url`, tried with `canaries`; and pip-audit. Without any, it is osv.dev.
    Of the last two each has `timeout_s`. `waivers` (TOML), `vex` (OpenVEX), `kev` (CISA's catalogue), `models` (checkpoints) and
    `sbom`, which is written, are paths below the project's root.
    """

    files: tuple[str, ...] = ("environment",)
    snapshot: str | None = None
    snapshot_days: Positive = 7
    snapshot_floor: Size = 1000
    osv_url: str | None = None
    pip_audit: bool = False
    canaries: CanaryTable | None = None
    timeout_s: Positive = 60
    waivers: str | None = None
    vex: tuple[str, ...] = ()
    kev: str | None = None
    unaudited: tuple[Allowance, ...] = ()
    critical: Count = 0
    known_exploited: Count = 0
    malware: Count = 0
    unknown: Literal["block", "pass"] = "block"
    models: tuple[str, ...] = ()
    sbom: str | None = None
    sbom_version: Literal["1.6", "1.7"] = "1.6"

    def lint(self) -> Iterator[str]:
        if not self.files:
            yield "files is empty, so there is nothing to audit"
        if self.osv_url is not None:
            yield from url_complaints("osv_url", self.osv_url)


class Questions(Table, frozen=True):
    """PromQL about one indicator, `$window` being the window: `[tool.artisan.kpi.queries.<indicator>]`.

    `query` is one series, or of durations one for each `le`; `samples`, how many things it is about, is for all others.
    `newest`: when the metrics were read the last time, in Unix seconds.
    """

    query: Annotated[str, Meta(min_length=1)]
    newest: Annotated[str, Meta(min_length=1)]
    samples: Annotated[str, Meta(min_length=1)] | None = None


class Queries(Table, frozen=True, omit_defaults=True):
    """`[tool.artisan.kpi.queries]`, where the metrics are not those of the Artisan service."""

    llm_fast: Questions | None = None
    llm_balanced: Questions | None = None
    llm_creative: Questions | None = None
    api: Questions | None = None
    errors: Questions | None = None
    schema_failures: Questions | None = None
    episode_return: Questions | None = None
    kl: Questions | None = None

    def lint(self) -> Iterator[str]:
        for name in self.__struct_fields__:
            asked: Questions | None = getattr(self, name)
            if asked is not None and (asked.samples is None) != (name in DURATIONS):
                need = "its buckets are the samples" if name in DURATIONS else "needs samples"
                yield f"queries.{name}: {need}"


# The indicators that are read bucket by bucket.
DURATIONS = ("llm_fast", "llm_balanced", "llm_creative", "api")


class Kpi(Tests, frozen=True):
    """Limits of the indicators, each over `window`, of which `samples` in a row, a `step` apart, have to keep them.

    At least `min_requests` requests, answers and wishes of each mode, and `min_updates` of the policy, have to be in each
    window. The metrics may be `stale_s` old; Prometheus has `timeout_s` for an answer. `queries` are for metrics
    of other names. Where dev has no Prometheus, `subject`, "package.module:factory", makes the traffic for its
    service, whose own metrics are then compared before and after.
    """

    subject: str | None = None
    llm_fast_p95_s: Positive = 2.5
    llm_balanced_p95_s: Positive = 3.2
    llm_creative_p95_s: Positive = 4.5
    api_p95_s: Positive = 2.5
    api_p99_s: Positive = 5
    errors_pct: Annotated[float, Meta(gt=0, le=100)] = 1
    schema_failures: Count = 0
    episode_return: float = 10
    kl: Positive = 0.03
    window: str = "5min"
    samples: Size = 3
    step: str = "1min"
    min_requests: Size = 100
    min_updates: Size = 1
    stale_s: Positive = 120
    timeout_s: Positive = 10
    queries: Queries = Queries()

    def lint(self) -> Iterator[str]:
        if self.api_p99_s < self.api_p95_s:
            yield f"api_p99_s {self.api_p99_s:g} is below api_p95_s {self.api_p95_s:g}, which no sample can keep alone"
        yield from _subject_complaints(self.subject)
        for key in ("window", "step"):
            yield from _duration_complaints(key, getattr(self, key))
        yield from self.queries.lint()


class DualWriteTable(Table, frozen=True):
    """Two columns of a `table` that the project's `write(connection, value)` fills from one value, an `old` one.

    Where `same` is given, `same(old)` has to be what `new` then holds. Both are "package.module:function".
    """

    table: Annotated[str, Meta(min_length=1)]
    old: Annotated[str, Meta(min_length=1)]
    new: Annotated[str, Meta(min_length=1)]
    write: str
    same: str | None = None

    def lint(self) -> Iterator[str]:
        for key in ("write", "same"):
            named = getattr(self, key)
            if named is not None and not re.fullmatch(_NAMED, named):
                yield f'dual_write of {self.table}: {key} {named!r} is not "package.module:function"'


class Migrations(Tests, frozen=True):
    """Alembic's configuration is `config`; `waivers` (TOML) is a path below the project's root as well.

    `postgresql_env` names the variable with the URL of a server on which the gate may make databases of its own;
    `drop_days`: from the release that made a column nullable to the one that drops it. There, each new revision runs on
    tables of `lock_rows` rows, and may keep no reader or writer waiting for more than `stall_ms`.
    """

    config: str = "alembic.ini"
    postgresql_env: Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    drop_days: Count = 14
    waivers: str | None = None
    timeout_s: Positive = 60
    stall_ms: Positive = 500
    lock_rows: Size = 10_000
    dual_write: tuple[DualWriteTable, ...] = ()

    def lint(self) -> Iterator[str]:
        for declared in self.dual_write:
            yield from declared.lint()


class PullRequest(Tests, frozen=True):
    """Fewer than `changed_lines`, a branch younger than `branch_age`, and a name that begins with one of `prefixes`.

    `base` is the branch that it goes to, where GitHub Actions does not name it.
    """

    base: str | None = None
    changed_lines: Size = 400
    branch_age: str = "48h"
    prefixes: tuple[str, ...] = ("feature/", "bugfix/", "hotfix/", "refactor/", "docs/")

    def lint(self) -> Iterator[str]:
        yield from _duration_complaints("branch_age", self.branch_age)
        if not self.prefixes:
            yield "prefixes is empty, so no branch name could pass"
        if self.base is not None and not re.fullmatch(r"[\w./-]+", self.base):
            yield f"base {self.base!r} is no name of a branch, such as 'main'"


def session_limit(table: Table) -> float | None:
    """Seconds that all items of a gate may take together, where its table has a limit."""
    limit: str | None = getattr(table, "session_limit", None)
    return None if limit is None else seconds(limit)


def _duration_complaints(field: str, value: str) -> Iterator[str]:
    try:
        seconds(value)
    except ValueError as error:
        yield f"{field}: {error}"


def _subject_complaints(subject: str | None) -> Iterator[str]:
    if subject is not None and not re.fullmatch(_NAMED, subject):
        yield f'subject {subject!r} is not "package.module:factory"'
