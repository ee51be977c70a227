"""What `artisan audit` and `artisan sbom` do: the gate's audit and judgement, outside of a session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from pytest_artisan.audit.audit import Audit, Dependency, Vulnerability
from pytest_artisan.audit.inventory import NoAudit
from pytest_artisan.audit.snapshot import import_records
from pytest_artisan.gates.auditing.components import bill_of
from pytest_artisan.gates.auditing.evidence import missing_in, of_review
from pytest_artisan.gates.auditing.review import listed, review_of
from pytest_artisan.gates.auditing.sources import snapshot_of
from pytest_artisan.gates.auditing.wording import finding
from pytest_artisan.gates.gate import CheckEvidence, Project, state_of
from pytest_artisan.gates.tables import Security
from pytest_artisan.reports.machine import sarif_of, sarif_result
from pytest_artisan.reports.markdown import details_of, escape
from pytest_artisan.settings import SettingsError, one_line
from pytest_artisan.verdict.evidence import Finding, NoEvidence, no_evidence
from pytest_artisan.verdict.judge import State, judge


def import_into(sources: Sequence[Path], into: Path, table: Security, now: datetime) -> str:
    """Import; what was, what of it nobody can read, and why no audit would believe it, a line each. Raises SettingsError."""
    try:
        done = import_records(sources, into, now)
    except NoAudit as error:
        raise SettingsError(str(error)) from None
    lines = [f"{bad.id}: can not be read: {bad.why}" for bad in done.malformed]
    lines += [
        f"{id_}: names {', '.join(map(repr, texts))}, which is no version" for id_, texts in done.unplaced.items()
    ]
    manifest = done.manifest
    newest = f"{manifest.modified:%Y-%m-%d}"
    lines.append(f"{into}: {manifest.records} records, the newest of {newest}, sha256:{manifest.digest[:12]}")
    try:
        snapshot_of(into, table, now)
    except NoAudit as error:
        lines.append(f"warning an audit refuses it: {error}")
    return "\n".join(map(one_line, lines))


def audit_files(project: Project, table: Security, form: str, now: datetime, *, is_part: bool) -> tuple[State, str]:
    """Audit what the table names, or a part of it; the state, and what is known as `form` has it."""
    try:
        review = review_of(project, table, now)
    except NoEvidence as error:
        return State.NO_EVIDENCE, _nothing(str(error), form)
    evidence = of_review(review, table, now.date(), is_part=is_part)
    match form:
        case "json":
            text = _json(evidence, review.audited)
        case "md":
            text = "\n".join(_markdown(evidence))
        case "sarif":
            missing = (_unknown(t) for m in evidence.measurements for _, s, t in judge(m) if s is State.NO_EVIDENCE)
            text = sarif_of(map(sarif_result, (*missing, *evidence.findings)))
        case _:
            text = "\n".join(map(one_line, _text(evidence, review.audited)))
    return state_of(evidence), text


def sbom_of_files(project: Project, table: Security, now: datetime) -> str:
    """The SBOM's text; with the vulnerabilities where a source of advisories is named. Raises NoEvidence."""
    is_named = table.snapshot or table.osv_url or table.pip_audit
    review = review_of(project, table, now) if is_named else listed(project, table)
    missing = missing_in(review, table, now.date())
    if missing:
        raise NoEvidence(missing)
    return bill_of(project, review, table, now)


def _nothing(cause: str, form: str) -> str:
    """What is said where nothing is known; a log of SARIF without a result would read as a clean one."""
    match form:
        case "json":
            return _json(CheckEvidence((no_evidence("audit", cause),)), Audit((), (), ()))
        case "sarif":
            return sarif_of([sarif_result(_unknown(cause))])
        case _:
            return f"NO-EVIDENCE {one_line(cause)}"


def _unknown(cause: str) -> Finding:
    return finding("no-evidence", cause, "pyproject.toml", 1)


def _markdown(evidence: CheckEvidence) -> list[str]:
    """The answer, its reasons, and the table of what was found."""
    lines = [f"**{escape(_word(state_of(evidence)))}**", ""]
    lines += [f"- {escape(reason)}" for reason in _reasons(evidence, [f for f in evidence.findings if not f.details])]
    return lines + details_of(evidence.findings)


def _reasons(evidence: CheckEvidence, findings: Iterable[Finding]) -> list[str]:
    reasons = [text for measurement in evidence.measurements for _, _, text in judge(measurement)]
    return reasons + [_line(found) for found in findings if found.blocks]


def _line(finding: Finding) -> str:
    return f"{finding.path}:{finding.line}: {finding.rule}: {finding.message}"


def _text(evidence: CheckEvidence, audited: Audit) -> list[str]:
    """What does not block, then what does, each with what it is called, then the answer."""
    lines = [f"{len(audited.dependencies)} pins by {', '.join(audited.origins)}"]
    lines += [f"warning {_line(found)}" for found in evidence.findings if not found.blocks]
    for measurement in evidence.measurements:
        lines += [f"{_word(state)} {text}" for _, state, text in judge(measurement)]
    lines += [f"{_word(State.NO_GO)} {_line(found)}" for found in evidence.findings if found.blocks]
    return [*lines, _word(state_of(evidence))]


def _word(state: State) -> str:
    return state.replace("_", "-")


def _json(evidence: CheckEvidence, audited: Audit) -> str:
    shown: dict[str, Any] = {
        "state": state_of(evidence),
        "reasons": _reasons(evidence, evidence.findings),
        "warnings": [_line(found) for found in evidence.findings if not found.blocks and not found.details],
        "sources": audited.origins,
        "dependencies": [_dependency(dependency) for dependency in audited.dependencies],
        "unaudited": [msgspec.to_builtins(one) for one in audited.unaudited],
    }
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


def _dependency(dependency: Dependency) -> dict[str, Any]:
    pin = dependency.pin
    return {
        "name": pin.name,
        "version": pin.version,
        "file": pin.file,
        "line": pin.line,
        "findings": [_found(v) for v in dependency.vulnerabilities],
        "undecided": [msgspec.to_builtins(one) for one in dependency.undecided],
    }


def _found(found: Vulnerability) -> dict[str, Any]:
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
