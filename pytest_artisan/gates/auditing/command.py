"""What `artisan audit` does: the gate's audit and judgement, outside of a session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from pytest_artisan.audit.audit import Audit, Vulnerability
from pytest_artisan.audit.inventory import NoAudit, Pin
from pytest_artisan.audit.snapshot import import_records
from pytest_artisan.audit.waivers import Waiver
from pytest_artisan.gates.auditing.evidence import audit_of, of_audit, told
from pytest_artisan.gates.gate import CheckEvidence, NoEvidence, Project, state_of
from pytest_artisan.gates.tables import Security
from pytest_artisan.reports.markdown import escape
from pytest_artisan.settings import SettingsError, one_line
from pytest_artisan.verdict.judge import State, judge

_HEAD = ("package", "installed", "advisory", "severity", "from", "fixed in", "waiver")


def import_into(sources: Sequence[Path], into: Path, now: datetime) -> None:
    """Import, and print what of, and what of it nobody can read. Raises SettingsError."""
    try:
        done = import_records(sources, into, now)
    except NoAudit as error:
        raise SettingsError(str(error)) from None
    for bad in done.malformed:
        print(one_line(f"{bad.id}: can not be read: {bad.why}"))
    for id_, texts in done.unplaced.items():
        print(one_line(f"{id_}: names {', '.join(map(repr, texts))}, which is no version"))
    manifest = done.manifest
    print(
        f"{into}: {manifest.records} records, the newest of {manifest.modified:%Y-%m-%d}, sha256:{manifest.digest[:12]}"
    )


def audit_files(project: Project, table: Security, form: str, now: datetime) -> State:
    """Audit, and print what is known as `form` has it."""
    try:
        audited, waivers = audit_of(project, table, now)
    except NoEvidence as error:
        reasons = [str(error)]
        print(_json(State.NO_EVIDENCE, reasons, None) if form == "json" else f"NO-EVIDENCE {one_line(str(error))}")
        return State.NO_EVIDENCE
    evidence = of_audit(audited, waivers, table, now.date())
    state, reasons = state_of(evidence), _reasons(evidence)
    match form:
        case "json":
            print(_json(state, reasons, audited))
        case "md":
            print(_markdown(audited))
        case _:
            print("\n".join(_text(audited, reasons, state, [w for w in waivers if w.expires_soon(now.date())])))
    return state


def _reasons(evidence: CheckEvidence) -> list[str]:
    reasons = [text for measurement in evidence.measurements for _, _, text in judge(measurement)]
    return reasons + [f"{f.path}:{f.line}: {f.rule}: {f.message}" for f in evidence.findings]


def _text(audited: Audit, reasons: Sequence[str], state: State, ending: Sequence[Waiver]) -> list[str]:
    lines = [f"{len(audited.dependencies)} releases by {', '.join(audited.origins)}"]
    for pin, found in audited.vulnerabilities():
        lines.append(
            f"{pin.file}:{pin.line}: {found.id}: {told(pin, found)}" + (f"; {found.pardon}" if found.pardon else "")
        )
    lines = [line for line in lines if line not in reasons]
    lines += [f"warning {waiver.name} expires on {waiver.expires}" for waiver in ending]
    answer = state.replace("_", "-")
    return [one_line(line) for line in [*lines, *(f"{answer} {reason}" for reason in reasons), answer]]


def _json(state: State, reasons: Sequence[str], audited: Audit | None) -> str:
    shown: dict[str, Any] = {"state": state, "reasons": reasons}
    if audited is not None:
        shown["sources"] = audited.origins
        shown["dependencies"] = [
            {
                "name": d.pin.name,
                "version": d.pin.version,
                "file": d.pin.file,
                "line": d.pin.line,
                "findings": [_finding(v) for v in d.vulnerabilities],
                "undecided": [msgspec.to_builtins(one) for one in d.undecided],
            }
            for d in audited.dependencies
        ]
        shown["unaudited"] = [msgspec.to_builtins(one) for one in audited.unaudited]
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


def _finding(found: Vulnerability) -> dict[str, Any]:
    return {
        "id": found.id,
        "aliases": found.aliases,
        "severity": found.rating.severity.value,
        "severity_source": found.rating.origin,
        "score": found.rating.score,
        "known_exploited": found.is_exploited,
        "malware": found.is_malware,
        "fixed_in": found.fixed_in,
        "waiver": found.pardon or None,
    }


def _markdown(audited: Audit) -> str:
    rows = [_HEAD, ("---",) * len(_HEAD), *(_row(pin, found) for pin, found in audited.vulnerabilities())]
    return "\n".join(
        "| " + " | ".join(cell if n == 1 else escape(cell) for cell in row) + " |" for n, row in enumerate(rows)
    )


def _row(pin: Pin, found: Vulnerability) -> tuple[str, ...]:
    rating = found.rating
    severity = rating.severity.value if rating.score is None else f"{rating.severity.value} {rating.score:g}"
    return pin.name, pin.version, found.id, severity, rating.origin, found.fixed_in or "-", found.pardon or "-"
