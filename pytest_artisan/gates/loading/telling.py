"""A run under load for people and for programs, outside of a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from pytest_artisan.gates.gate import CheckEvidence, state_of
from pytest_artisan.load.messages import Outcome
from pytest_artisan.load.record import Record, Request, nearest_rank
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import Measurement
from pytest_artisan.verdict.judge import State, describe, judge

_ANSWERS = {State.GO: "PASSED", State.NO_GO: "FAILED"}
_CAUSES = 5


def text_of(record: Record, evidence: CheckEvidence) -> str:
    return "\n".join(one_line(line) for line in _lines(record, evidence))


def _lines(record: Record, evidence: CheckEvidence) -> Iterator[str]:
    if record.sent:
        yield from _seen(record, {m.name: m for m in evidence.measurements})
    for measurement in evidence.measurements:
        yield from (f"{state.replace('_', '-')} {text}" for _, state, text in judge(measurement))
    if evidence.findings:
        yield from (f"NO-GO {finding.rule}: {finding.message}" for finding in evidence.findings)
    else:
        told = record.causes.most_common(_CAUSES)
        yield from (f"failed {endpoint}: {cause} ({times} requests)" for (endpoint, cause), times in told)
    state = state_of(evidence)
    yield _ANSWERS.get(state, state.value)


def _seen(record: Record, by_name: dict[str, Measurement]) -> Iterator[str]:
    whole = _numbers(record, record.requests)
    rate = f"{_rate(record):.6g} of {record.load.rps:g} a second"
    yield f"Warm-up         {record.warmed} sent, {record.warmup_failed} failed, not counted"
    yield f"Total Requests  {record.planned} planned = {record.sent} sent + {record.planned - record.sent} unsent, {rate}"
    yield f"Successful      {whole['succeeded']}{''.join(f', {_told(m)}' for m in by_name.values() if m.name == 'errors')}"
    yield f"p50 Latency     {_ms(whole['p50_ms'])}"
    yield f"p95 Latency     {_told(by_name['p95'])}"
    yield f"p99 Latency     {_ms(whole['p99_ms'])}"
    yield f"Generator       {describe(by_name['lateness p99'])}"
    yield f"{'Endpoint':<32}{'requests':>9}{'failed':>8}{'p50':>12}{'p95':>12}{'p99':>12}"
    for name, requests in record.by_endpoint().items():
        n = _numbers(record, requests)
        ranks = "".join(f"{_ms(n[f'p{rank}_ms']):>12}" for rank in (50, 95, 99))
        yield f"{name:<32}{n['sent']:>9}{n['failed']:>8}{ranks}"


def _ms(number: float | None) -> str:
    return "-" if number is None else f"{number:.4g} ms"


def _told(m: Measurement) -> str:
    assert m.limit is not None
    span = "" if m.interval is None else f"; 95 % interval {m.interval[0]:.4g} to {m.interval[1]:.4g} {m.unit}"
    proof = "; proven" if m.proven else "; point estimate" if m.value is not None and m.limit.holds(m.value) else ""
    return f"{describe(m)}{span}{proof}"


def json_of(record: Record, evidence: CheckEvidence) -> str:
    """One object; a percentile is null where nothing was sent."""
    p95 = next((m for m in evidence.measurements if m.name == "p95"), None)
    told = {
        "state": state_of(evidence),
        "planned": record.planned,
        "unsent": record.planned - record.sent,
        "unjudged": record.sent - len(record.requests),
        **_numbers(record, record.requests),
        "sent": record.sent,
        "p95_interval_ms": p95 and p95.interval,
        "p95_limit_ms": record.load.limit_ms,
        "p95_proven": p95 and p95.proven,
        "rate": None if record.broken else _rate(record),
        "lateness_p99_ms": nearest_rank(record.late_ms(), 0.99),
        "warmup": {"sent": record.warmed, "failed": record.warmup_failed},
        "endpoints": [{"name": name, **_numbers(record, requests)} for name, requests in record.by_endpoint().items()],
        "reasons": [text for m in evidence.measurements for _, _, text in judge(m)]
        + [f"{finding.rule}: {finding.message}" for finding in evidence.findings],
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode()


def _numbers(record: Record, requests: list[Request]) -> dict[str, Any]:
    latencies = [record.latency_ms(request) for request in requests]
    succeeded = sum(request.outcome is Outcome.OK for request in requests)
    ranks = {f"p{rank}_ms": nearest_rank(latencies, rank / 100) for rank in (50, 95, 99)}
    return {"sent": len(requests), "succeeded": succeeded, "failed": len(requests) - succeeded, **ranks}


def _rate(record: Record) -> float:
    """Requests a second: of a whole run, over its planned time and the lateness of its last one."""
    if record.sent < record.planned:
        return record.sent / max(record.now, 1e-9)
    last = record.requests[-1]
    return record.sent / max(record.load.duration_s, last.at + last.late_ms / 1000)
