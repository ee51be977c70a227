"""Records of OSV for tests: a small snapshot of our own, and the real data where it lies beside the project."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_artisan.audit.advisories import Advisory, advisory_of

DATA = Path(__file__).parents[2] / "shared" / "data" / "security"
PYPA, GHSA = DATA / "pypa-advisories-2026-07-23.slim.jsonl.gz", DATA / "ghsa-14.json"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the advisory data is not beside the project")

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
MEDIUM = "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:L/I:L/A:N"


def record(id_: str, package: str, *events: str, **changes: Any) -> dict[str, Any]:
    """A record about one package; events such as "introduced 0" and "fixed 1.2" make its range."""
    ranges = [{"type": "ECOSYSTEM", "events": [dict([event.split(" ", 1)]) for event in events]}] if events else []
    affected = {"package": {"ecosystem": "PyPI", "name": package}, "ranges": ranges}
    affected |= {key: changes.pop(key) for key in ("versions",) if key in changes}
    vectors = [{"type": f"CVSS_V{v[5]}", "score": v} for v in changes.pop("vectors", ())]
    return {"id": id_, "modified": "2026-11-23T00:00:00Z", "severity": vectors, "affected": [affected], **changes}


def advisory(id_: str, package: str, *events: str, **changes: Any) -> Advisory:
    return advisory_of(json.dumps(record(id_, package, *events, **changes)).encode())


# What every snapshot needs: something critical that has a fix, and malware.
GROUND = (
    record("PYSEC-1", "ground", "introduced 0", "fixed 1.1", versions=["1.0"], vectors=[CRITICAL], aliases=["CVE-1"]),
    record("MAL-1", "trap", versions=["0.1"]),
)


def written(path: Path, *records: dict[str, Any]) -> Path:
    """A file of records, a line each."""
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return path
