"""The gate `security`: what is installed has no critical, exploited or malicious release, and everything was looked at."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from pytest_artisan.gates.gate import Check, CheckEvidence, Gate, Project
from pytest_artisan.gates.tables import Security

# Of nobody's making: something critical with a fix, and malware, as every snapshot needs them.
_VECTOR = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
_PLANTED: dict[str, dict[str, Any]] = {
    "planted-flaw": {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}], "versions": ["1"]},
    "planted-malware": {"versions": ["1"]},
}  # fmt: skip


def _run(project: Project, table: Security) -> CheckEvidence:
    from pytest_artisan.gates.auditing.evidence import audit_of, of_audit

    now = datetime.now(UTC)
    return of_audit(*audit_of(project, table, now), table, now.date())


def _drill(project: Project, table: Security) -> CheckEvidence:
    """The same for a planted pin, by a snapshot of planted records."""
    from pytest_artisan.audit.snapshot import import_records

    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="artisan-drill-") as name:
        folder = Path(name)
        (folder / "records.jsonl").write_text("".join(_records(now)), encoding="utf-8")
        (folder / "requirements.txt").write_text("planted-flaw==1\n", encoding="utf-8")
        import_records([folder / "records.jsonl"], folder / "snapshot", now)
        planted = msgspec.structs.replace(
            table, files=("requirements.txt",), snapshot="snapshot", snapshot_floor=1, waivers=None, vex=(), kev=None
        )
        return _run(Project(folder), planted)


def _records(now: datetime) -> list[str]:
    shared: dict[str, Any] = {"modified": now.isoformat(), "severity": [_VECTOR]}
    records = (
        {"id": f"MAL-{n}" if n else "PLANTED", "affected": [{"package": {"ecosystem": "PyPI", "name": name}, **part}]}
        for n, (name, part) in enumerate(_PLANTED.items())
    )
    return [json.dumps(record | shared) + "\n" for record in records]


GATE = Gate(
    "security",
    "no critical advisory for anything that is installed",
    Security,
    (Check("advisories", _run, _drill, lambda table: table.snapshot is not None),),
)
