"""An audit of a project against its policy: what counts, what is waived, and what nobody could tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

from pytest_artisan.audit.audit import Audit, Vulnerability, audit
from pytest_artisan.audit.inputs import inventory_of
from pytest_artisan.audit.inputs.installed import ENVIRONMENT
from pytest_artisan.audit.inventory import NoAudit, Pin
from pytest_artisan.audit.kev import read_kev
from pytest_artisan.audit.severity import Severity
from pytest_artisan.audit.snapshot import Snapshot
from pytest_artisan.audit.vex import read_vex
from pytest_artisan.audit.waivers import Waiver, read_waivers
from pytest_artisan.gates.gate import CheckEvidence, NoEvidence, Project
from pytest_artisan.gates.tables import Security
from pytest_artisan.settings import SettingsError, one_line
from pytest_artisan.verdict.evidence import Finding, Measurement, measured

_TOOL = "audit"
_NAMED = 5  # in one line


def audit_of(project: Project, table: Security, now: datetime) -> tuple[Audit, tuple[Waiver, ...]]:
    """The audit, and all waivers, in force or not. Raises NoEvidence."""
    root = project.root
    try:
        if table.snapshot is None:
            raise NoAudit("no snapshot of advisories is named; artisan audit import makes one")
        source = Snapshot(
            root / table.snapshot, max_age=timedelta(days=table.snapshot_days), floor=table.snapshot_floor, now=now
        )
        waivers = () if table.waivers is None else read_waivers(root / table.waivers, table.waivers)
        in_force = [waiver for waiver in waivers if not any(waiver.faults(now.date()))]
        stated = [statement for name in table.vex for statement in read_vex(root / name, name)]
        exploited = frozenset[str]() if table.kev is None else read_kev(root / table.kev, table.kev)
        inventory = inventory_of(root, table.files)
        return audit(inventory, [source], exploited=exploited, pardons=[*in_force, *stated]), waivers
    except (NoAudit, SettingsError) as error:
        raise NoEvidence(str(error)) from None


def of_audit(audited: Audit, waivers: Iterable[Waiver], table: Security, today: date) -> CheckEvidence:
    """What an audit shows against the table's limits."""
    counted = [(pin, v) for pin, v in audited.vulnerabilities() if v.counts]
    limits: dict[str, tuple[int, Callable[[Vulnerability], bool]]] = {
        "critical": (table.critical, lambda v: v.rating.severity is Severity.CRITICAL),
        "known exploited": (table.known_exploited, lambda v: v.is_exploited),
        "malware": (table.malware, lambda v: v.is_malware),
    }
    if table.unknown == "block":
        limits["unrated"] = (0, lambda v: v.rating.severity is Severity.UNKNOWN)
    n = len(audited.dependencies)
    measurements = [_complete(audited)]
    blocking: dict[tuple[Pin, Vulnerability], None] = {}
    for name, (limit, is_such) in limits.items():
        found = [(pin, v) for pin, v in counted if is_such(v)]
        measurements.append(measured(name, len(found), unit="count", at_most=limit, n=n))
        if len(found) > limit:
            blocking |= dict.fromkeys(found)
    faults = list(_waiver_findings(audited, waivers, today))
    measurements.append(measured("waivers out of order", len(faults), unit="count", at_most=0))
    return CheckEvidence(tuple(measurements), (*(_finding(pin, v) for pin, v in blocking), *faults))


def _complete(audited: Audit) -> Measurement:
    """How much was audited, where that is all; else no number, and what is missing."""
    n, left = len(audited.dependencies), [f"{one.name} {one.why}" for one in audited.unaudited]
    left += [
        f"{d.pin.name}: {one.id}: {one.why}" for d in audited.dependencies for one in d.undecided if not one.pardon
    ]
    whole = measured("releases audited", n, unit="count", equal_to=n + len(audited.unaudited), n=n)
    if not left:
        return whole
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return replace(whole, value=None, no_data=one_line("; ".join(left[:_NAMED]) + more))


def _finding(pin: Pin, found: Vulnerability) -> Finding:
    return Finding(_TOOL, found.id, one_line(told(pin, found)), *_place(pin.file, pin.line))


def told(pin: Pin, found: Vulnerability) -> str:
    """A vulnerability in a line."""
    kinds = [word for word, is_so in (("malware", found.is_malware), ("exploited", found.is_exploited)) if is_so]
    score = "" if found.rating.score is None else f" {found.rating.score:g}"
    rated = f"{found.rating.severity.value}{score}, {found.rating.origin}"
    fix = f"go to {found.fixed_in}" if found.fixed_in else "no fix is known"
    return f"{pin.name} {pin.version}: {'; '.join([*kinds, rated, fix])}"


def _waiver_findings(audited: Audit, waivers: Iterable[Waiver], today: date) -> Iterator[Finding]:
    for waiver in waivers:
        faults = list(waiver.faults(today)) or ([] if waiver in audited.used else ["waives nothing that is there"])
        for fault in faults:
            yield Finding(_TOOL, "waiver", one_line(f"{waiver.name} {fault}"), waiver.file, waiver.line)


def _place(file: str, line: int) -> tuple[str, int]:
    return ("pyproject.toml", 1) if file == ENVIRONMENT else (Path(file).as_posix(), line)
