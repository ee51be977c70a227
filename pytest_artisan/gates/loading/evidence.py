"""A run under load against its limits: p95 and errors, in total and by endpoint, and whether the generator kept up."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from urllib.parse import urlsplit

from pytest_artisan.gates.deployed.calls import service_of
from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.gates.loading.watch import P95, Watch, is_lost
from pytest_artisan.gates.tables import LoadSmoke
from pytest_artisan.load.messages import Outcome
from pytest_artisan.load.record import DECIDED, INTERRUPTED, Load, Record, Request, nearest_rank
from pytest_artisan.load.run import Generators
from pytest_artisan.loopback import is_here
from pytest_artisan.settings import one_line, seconds
from pytest_artisan.verdict.evidence import Finding, Measurement, NoEvidence, Samples, measured
from pytest_artisan.verdict.series import series_quantile, share_interval, shows_at_most

_PER_PROCESS = 4000  # requests a second that one process sends in time
_LATE_SHARE, _LATE_MS = 0.05, 10.0  # of the limit, or at least as much as a busy machine always has
_CAUSES = 5


class NotAllowed(NoEvidence):
    """A load that must not be sent, or of which nobody said what it is."""


def of_load(project: Project, table: LoadSmoke, url: str | None = None) -> CheckEvidence:
    """Send the load that a table describes, and judge what came of it.

    It goes to `url`, else to the environment's service, and is that of the locustfile; without one, GETs of `url`.
    Raises NoEvidence.
    """
    return of_record(record_of(project, table, url), table)


def record_of(project: Project, table: LoadSmoke, url: str | None = None) -> Record:
    """The run alone. Raises NotAllowed, NoEvidence where there was none, and Interrupted."""
    locustfile = None if table.locustfile is None else project.root / table.locustfile
    if locustfile is None and url is None:
        raise NotAllowed("neither a locustfile nor an address is named, so there is nothing to send")
    if locustfile is not None and not locustfile.is_file():
        raise NotAllowed(f"locustfile {table.locustfile!r} does not exist")
    needed = 0 if table.rps <= _PER_PROCESS else math.ceil(table.rps / _PER_PROCESS)
    workers = table.workers or min(needed, os.cpu_count() or 1)
    with ExitStack() as stack:
        target = url or project.environment.base_url
        if target is not None:
            _check_host(target, table)
        # They get ready while the service does.
        generators = stack.enter_context(Generators(workers, project.root, locustfile))
        load = Load(
            url=(target or stack.enter_context(service_of(project))).rstrip("/" if locustfile else ""),
            rps=table.rps,
            duration_s=seconds(table.duration),
            locustfile=locustfile,
            warmup_s=table.warmup_s,
            arrivals=table.arrivals,
            limit_ms=table.p95_ms,
            deadline_s=table.deadline_s,
            workers=workers,
        )
        record = generators.run(load, Watch(table, project.watched))
    if record.faults and not record.requests and not record.broken:
        raise NoEvidence(f"no load: {record.faults[0]}")
    return record


def _check_host(url: str, table: LoadSmoke) -> None:
    if not is_here(url) and urlsplit(url).hostname not in table.hosts:
        where = f"[tool.artisan.load_smoke] hosts = {list(table.hosts)}"
        raise NotAllowed(f"{urlsplit(url).hostname} is not among {where}, so no load goes there")


def of_record(record: Record, table: LoadSmoke) -> CheckEvidence:
    """What a run shows against the table's limits."""
    if record.broken:
        sent = measured("requests sent", 0, unit="count", equal_to=record.planned)
        return CheckEvidence((sent,), (_finding(table, "contract", record.broken),))
    doubt = "; ".join(_doubts(record, table))
    p95 = replace(_p95("p95", record.requests, record, table.p95_ms), samples=_samples(record))
    measurements = [p95, *_errors(record, table), *_endpoints(record, table), *_generator(record, table)]
    doubted = tuple(replace(m, doubt=doubt) if doubt and m.value is not None else m for m in measurements)
    # What a doubted run found may be the generator's fault as well.
    return CheckEvidence(doubted, () if doubt else tuple(_findings(record, table)))


def _p95(name: str, requests: Sequence[Request], record: Record, limit_ms: float) -> Measurement:
    latencies = [record.latency_ms(request) for request in requests]
    if not latencies:
        return measured(name, None, unit="ms", at_most=limit_ms, n=0)
    value, low, high = series_quantile(latencies, P95)
    # Nothing lasts longer than the slowest one here or the deadline, whichever is more.
    end = max(*latencies, record.load.deadline_s * 1000) if high is None else high
    p95 = measured(name, value, unit="ms", at_most=limit_ms, n=len(latencies), interval=(low, end))
    return replace(p95, proven=shows_at_most([latency > limit_ms for latency in latencies], 1 - P95))


def _errors(record: Record, table: LoadSmoke) -> Iterator[Measurement]:
    failed = _fates(record.requests)
    if failed:
        low, high = share_interval(failed)
        percent, span = 100 * sum(failed) / len(failed), (100 * low, 100 * high)
        errors = measured("errors", percent, unit="%", at_most=table.errors_pct, n=len(failed), interval=span)
        yield replace(errors, proven=shows_at_most(failed, table.errors_pct / 100))
    elif record.stopped != DECIDED:
        yield measured("errors", None, unit="%", at_most=table.errors_pct, n=0)


def _fates(requests: Sequence[Request]) -> list[bool]:
    """Whether each request failed; of one that was not waited for, nobody knows."""
    return [request.failed for request in requests if request.outcome is not Outcome.WAITING]


def _endpoints(record: Record, table: LoadSmoke) -> Iterator[Measurement]:
    """Each endpoint's p95; and of its errors, as few requests say little, what they show for sure."""
    # A limit for an endpoint that nobody asked has no data.
    unasked: dict[str, list[Request]] = {name: [] for name in table.endpoint_p95_ms}
    for name, requests in (unasked | record.by_endpoint()).items():
        limit_ms = table.endpoint_p95_ms.get(name, table.p95_ms)
        yield _p95(f"p95 of {name}", requests, record, limit_ms)
        failed = _fates(requests)
        if failed:
            shown = 100 * share_interval(failed)[0]
            yield measured(f"errors shown of {name}", shown, unit="%", at_most=table.errors_pct, n=len(failed))


def _generator(record: Record, table: LoadSmoke) -> Iterator[Measurement]:
    if record.stopped != DECIDED:
        yield measured("requests sent", record.sent, unit="count", equal_to=record.planned)
    late = nearest_rank(record.late_ms(), 0.99)
    yield measured("lateness p99", late, unit="ms", at_most=_late_limit_ms(table), n=len(record.requests))


def _doubts(record: Record, table: LoadSmoke) -> Iterator[str]:
    """Why the numbers may be the generator's, and not the service's."""
    yield from record.faults
    if record.stopped == INTERRUPTED:
        yield "the run was interrupted"
    unsent = record.planned - record.sent
    if unsent and (record.stopped != DECIDED or _is_cut(record, table)):
        yield f"{unsent} of {record.planned} requests were not sent"
    late = nearest_rank(record.late_ms(), 0.99)
    if late is not None and late > _late_limit_ms(table):
        yield f"the generator was late: p99 {late:.0f} ms, more than {_late_limit_ms(table):.0f} ms"
    whole, alone = nearest_rank(record.latencies_ms(), P95), nearest_rank(record.service_ms(), P95)
    if whole is not None and alone is not None and alone <= table.p95_ms < whole:
        yield f"without the generator's own delay, the p95 is {alone:.6g} ms"


def _is_cut(record: Record, table: LoadSmoke) -> bool:
    """Whether a run was ended as lost, and what still came in then says that it was not."""
    over = sum(record.latency_ms(request) > table.p95_ms for request in record.requests)
    return not (table.early_stop or is_lost(over, len(record.requests)) or _has_too_many_errors(record, table))


def _late_limit_ms(table: LoadSmoke) -> float:
    return max(_LATE_SHARE * table.p95_ms, _LATE_MS)


def _findings(record: Record, table: LoadSmoke) -> Iterator[Finding]:
    """Why requests failed, where too many did."""
    if _has_too_many_errors(record, table):
        for (endpoint, cause), times in record.causes.most_common(_CAUSES):
            yield _finding(table, endpoint, f"{cause} ({times} requests)")


def _has_too_many_errors(record: Record, table: LoadSmoke) -> bool:
    return 100 * record.failed > table.errors_pct * len(_fates(record.requests))


def _finding(table: LoadSmoke, rule: str, text: str) -> Finding:
    return Finding("load_smoke", rule, one_line(text), table.locustfile or "pyproject.toml", 1)


def _samples(record: Record) -> Samples:
    values = [record.latency_ms(r) if not r.failed else None for r in record.requests]
    return Samples.of([request.at for request in record.requests], values, record.late_ms())
