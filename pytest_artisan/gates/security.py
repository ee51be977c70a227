"""The gate `security`: what is installed has no critical, exploited or malicious release, and everything was looked at."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_artisan.gates.gate import Check, CheckEvidence, Gate, Project
from pytest_artisan.gates.tables import Security

# Of nobody's making: something critical with a fix, and malware, as every snapshot needs them.
_VECTOR = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
_RANGE = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}


def _run(project: Project, table: Security) -> CheckEvidence:
    from pytest_artisan.gates.auditing.components import components
    from pytest_artisan.gates.auditing.evidence import of_review
    from pytest_artisan.gates.auditing.review import review_of

    now = datetime.now(UTC)
    review = review_of(project, table, now)
    evidence = of_review(review, table, now.date())
    return replace(evidence, measurements=(*evidence.measurements, components(project, review, table, now)))


def _drill(project: Project, table: Security) -> CheckEvidence:
    """The same for a planted pin, by a snapshot of planted records."""
    from pytest_artisan.audit.snapshot import import_records

    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="artisan-drill-") as name:
        folder = Path(name)
        flaws = [f"planted-flaw-{n}" for n in range(table.critical + 1)]
        (folder / "records.jsonl").write_text("".join(_records(flaws, now)), encoding="utf-8")
        (folder / "requirements.txt").write_text("".join(f"{flaw}==1\n" for flaw in flaws), encoding="utf-8")
        import_records([folder / "records.jsonl"], folder / "snapshot", now)
        planted = Security(files=("requirements.txt",), snapshot="snapshot", snapshot_floor=1, critical=table.critical)
        return _run(Project(folder), planted)


def _records(flaws: Sequence[str], now: datetime) -> Iterator[str]:
    planted = [(f"PLANTED-{flaw}", flaw, [_RANGE]) for flaw in flaws]
    for id_, name, ranges in [*planted, ("MAL-0", "planted-malware", [])]:
        affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges, "versions": ["1"]}
        record = {"id": id_, "modified": now.isoformat(), "severity": [_VECTOR], "affected": [affected]}
        yield json.dumps(record) + "\n"


GATE = Gate(
    "security",
    "no critical advisory for anything that is installed",
    Security,
    (Check("advisories", _run, _drill, planted="a pin with a critical advisory"),),
    absent=lambda project: None,
)
