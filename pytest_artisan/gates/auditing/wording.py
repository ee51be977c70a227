"""Findings of an audit in words: a line each, and the cells of a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_artisan.audit.audit import Vulnerability
from pytest_artisan.audit.inputs.installed import ENVIRONMENT
from pytest_artisan.audit.inventory import Pin
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import Finding

_TOOL = "audit"


def finding(
    rule: str, message: str, file: str, line: int, *, blocks: bool = True, details: Mapping[str, str] | None = None
) -> Finding:
    """A finding with a place in a file: of the environment it is the policy."""
    path, line = ("pyproject.toml", 1) if file == ENVIRONMENT else (Path(file).as_posix(), line)
    cells = {head: one_line(cell) for head, cell in (details or {}).items()}
    return Finding(_TOOL, rule, one_line(message), path, line, blocks=blocks, details=cells)


def vulnerability_finding(pin: Pin, found: Vulnerability, *, blocks: bool) -> Finding:
    """A vulnerability of a release, where it is pinned."""
    rating = found.rating
    score = "" if rating.score is None else f" {rating.score:g}"
    kinds = [word for word, is_so in (("malware", found.is_malware), ("exploited", found.is_exploited)) if is_so]
    excuse = found.pardon or ("known in the base" if found.is_known else "")
    severity = ", ".join([*kinds, f"{rating.severity.value}{score}"])
    details = {
        "blocks": "yes" if blocks else "no",
        "package": pin.name,
        "installed": pin.version,
        "advisory": ", ".join((found.id, *found.aliases)),
        "severity": severity,
        "from": rating.origin,
        "fixed in": found.fixed_in or "-",
        "waiver": excuse or "-",
    }
    # People know a vulnerability by its CVE, and need not read the finding's own id twice.
    cve = next((f" {name}" for name in found.aliases if name.startswith("CVE-")), "")
    rated = f"{severity}, {rating.origin.removesuffix(f' of {found.id}')}"
    fix = f"go to {found.fixed_in}" if found.fixed_in else "no fix is known"
    message = f"{pin.name} {pin.version}:{cve} {'; '.join([rated, fix, *([excuse] if excuse else [])])}"
    return finding(found.id, message, pin.file, pin.line, blocks=blocks, details=details)
