"""Whether recorded evidence comes to the very verdict that was reported, and signed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pytest_artisan.release.attestation.attesting import derived, grounds_of, report_digest
from pytest_artisan.release.attestation.envelope import envelope_at, opened
from pytest_artisan.release.attestation.keys import trusted
from pytest_artisan.release.attestation.statement import encodable, parsed
from pytest_artisan.reports.machine import Document, as_json
from pytest_artisan.settings import parse_json
from pytest_artisan.verdict.decide import Requirements, Verdict
from pytest_artisan.verdict.evidence import Evidence, Plan

Told = tuple[Requirements, Plan, Evidence]


def report_differences(verdict: Verdict, path: Path) -> Iterator[str]:
    """The parts in which the JSON report at `path` is not that of the verdict. Raises SettingsError."""
    data = envelope_at(path)
    if data == as_json(verdict).encode():
        return
    document: Document = parse_json(data, Document, f"{path}: no JSON report")
    yield from _differing(msgspec.to_builtins(document.verdict), msgspec.to_builtins(verdict)) or ["layout"]


def statement_differences(told: Told, verdict: Verdict, root: Path, path: Path, keys: Sequence[Path]) -> Iterator[str]:
    """The parts in which the signed verdict at `path` is not of this evidence, or does not follow from it.

    Raises Refused for one that none of the `keys`, else of main's, has signed, SettingsError and NoEvidence.
    """
    said = parsed(opened(envelope_at(path), trusted(root, keys))).predicate
    grounds = {**grounds_of(*told), "report": report_digest(verdict)}
    yield from _differing(msgspec.to_builtins(said.grounds), grounds)
    yield from _differing(*(encodable(msgspec.to_builtins(one)) for one in (said, derived(verdict))))


def _differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [key for key, value in now.items() if before[key] != value]
