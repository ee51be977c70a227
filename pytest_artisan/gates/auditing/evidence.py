"""A review against the policy's limits: what counts, what is waived, and what nobody could tell."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace
from datetime import date

from packaging.utils import NormalizedName, canonicalize_name

from pytest_artisan.audit.audit import Audit, Vulnerability
from pytest_artisan.audit.inventory import Pin
from pytest_artisan.audit.severity import Severity
from pytest_artisan.audit.waivers import ends_soon, term_faults
from pytest_artisan.gates.auditing.review import Review
from pytest_artisan.gates.auditing.wording import finding, vulnerability_finding
from pytest_artisan.gates.gate import CheckEvidence
from pytest_artisan.gates.tables import Allowance, Security
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import Finding, Measurement, measured

_NAMED = 5  # in one line


def of_review(review: Review, table: Security, today: date, *, is_part: bool = False) -> CheckEvidence:
    """What a review shows against the table's limits; what is no reason to stop is a finding that does not block.

    Where it is of a part of what the policy names, a decision without a cause may be about the rest.
    """
    audited, allowed = review.audited, _allowed(table, today)
    measurements = [_complete(audited, allowed)]
    blocking: set[tuple[Pin, str]] = set()
    for name, (limit, is_such) in _limits(table, review.tells_malware).items():
        found = [(pin, v.id) for pin, v in audited.vulnerabilities() if is_such(v)]
        measurements.append(measured(name, len(found), unit="count", at_most=limit, n=len(audited.dependencies)))
        if len(found) > limit:
            blocking |= set(found)
    faults = list(_faults(review, today, is_part))
    broken = sum(fault.blocks for fault in faults)
    measurements.append(measured("decisions out of order", broken, unit="count", at_most=0))
    worst_first = sorted(audited.vulnerabilities(), key=lambda found: _haste(found[1]))
    told = (vulnerability_finding(pin, v, blocks=(pin, v.id) in blocking) for pin, v in worst_first)
    findings = sorted([*told, *faults, *_remarks(review, allowed, today)], key=lambda found: not found.blocks)
    return CheckEvidence(tuple(measurements), tuple(findings))


def missing_in(review: Review, table: Security, today: date) -> str:
    """What nobody could audit, in a line; "" where that is nothing."""
    return _complete(review.audited, _allowed(table, today)).no_data


def _allowed(table: Security, today: date) -> dict[NormalizedName, Allowance]:
    return {canonicalize_name(a.name): a for a in table.unaudited if not any(term_faults(a.expires, today))}


def _complete(audited: Audit, allowed: Container[str]) -> Measurement:
    """How much was audited, where that is all; else no number, and what is missing."""
    n = len(audited.dependencies)
    unaudited = (one for one in audited.unaudited if canonicalize_name(one.name) not in allowed)
    left = [*audited.silent, *(f"{one.file}:{one.line}: {one.name} {one.why}" for one in unaudited)]
    left += [
        f"{d.pin.name}: {one.id}: {one.why}" for d in audited.dependencies for one in d.undecided if not one.pardon
    ]
    whole = measured("releases audited", n, unit="count", at_least=1, n=n)
    if not left:
        return whole
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return replace(whole, value=None, no_data=one_line("; ".join(left[:_NAMED]) + more))


def _limits(table: Security, tells_malware: bool) -> dict[str, tuple[int, Callable[[Vulnerability], bool]]]:
    """How many there may be of what somebody can tell.

    What is used in attacks, or was made for them, no waiver and no base excuses.
    """
    limits: dict[str, tuple[int, Callable[[Vulnerability], bool]]] = {
        "critical": (table.critical, lambda v: v.counts and v.rating.severity is Severity.CRITICAL)
    }
    if table.kev is not None:
        limits["known exploited"] = (table.known_exploited, lambda v: v.is_exploited)
    if tells_malware:
        limits["malware"] = (table.malware, lambda v: v.is_malware)
    if table.unknown == "block":
        limits["unrated"] = (0, lambda v: v.counts and v.rating.severity is Severity.UNKNOWN)
    return limits


def _haste(found: Vulnerability) -> tuple[bool, bool, bool, int]:
    """What to read first."""
    severity = found.rating.severity
    return not found.is_malware, not found.is_exploited, severity is not Severity.CRITICAL, -severity.badness


def _faults(review: Review, today: date, is_part: bool) -> Iterator[Finding]:
    """Decisions that do not hold, and those without a cause."""
    for waiver in review.waivers:
        for fault in waiver.faults(today):
            yield finding("waiver", f"{waiver.name} {fault}", waiver.file, waiver.line)
        if waiver not in review.audited.used and not any(waiver.faults(today)):
            told = f"{waiver.name} waives nothing that is there"
            yield finding("waiver", told, waiver.file, waiver.line, blocks=not is_part)
    there = {canonicalize_name(one.name) for one in review.audited.unaudited}
    for allowance in review.allowances:
        entry = f"the entry for {allowance.name}"
        for fault in term_faults(allowance.expires, today):
            yield finding("unaudited", f"{entry} {fault}", "pyproject.toml", 1)
        if canonicalize_name(allowance.name) not in there:
            told = f"{entry} allows nothing that is there"
            yield finding("unaudited", told, "pyproject.toml", 1, blocks=not is_part)


def _remarks(review: Review, allowed: Mapping[NormalizedName, Allowance], today: date) -> Iterator[Finding]:
    """What somebody answers for, and what ends soon."""
    for dependency in review.audited.dependencies:
        pin = dependency.pin
        for one in (one for one in dependency.undecided if one.pardon):
            yield finding(one.id, f"{pin.name}: {one.why}; {one.pardon}", pin.file, pin.line, blocks=False)
    for left in review.audited.unaudited:
        allowance = allowed.get(canonicalize_name(left.name))
        if allowance is not None:
            message = f"{left.name} {left.why}; {allowance.told()}"
            yield finding("unaudited", message, left.file, left.line, blocks=False)
    terms = [(w.name, w.expires, w.file, w.line) for w in review.waivers]
    terms += [(f"the entry for {a.name}", a.expires, "pyproject.toml", 1) for a in allowed.values()]
    for name, expires, file, line in terms:
        if ends_soon(expires, today):
            yield finding("waiver", f"{name} expires on {expires}", file, line, blocks=False)
