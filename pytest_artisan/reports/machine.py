"""The verdict for programs: JSON and SARIF."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from pytest_artisan.verdict.decide import Verdict
from pytest_artisan.verdict.evidence import Finding
from pytest_artisan.verdict.judge import Code, Reason

VERSION: Final = 1
_INFORMATION = "https://pypi.org/project/pytest-artisan/"
_SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


@dataclass(frozen=True, slots=True)
class Document:
    """The JSON report; `answer` is the verdict's last line."""

    version: Literal[1]
    answer: str
    verdict: Verdict


def as_json(verdict: Verdict) -> str:
    """The verdict by the schema of `json_schema`."""
    document = Document(VERSION, verdict.line, verdict)
    try:
        encoded = msgspec.json.encode(document)
    except UnicodeEncodeError:
        encoded = _without_surrogates(json.dumps(msgspec.to_builtins(document), ensure_ascii=False)).encode()
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def _without_surrogates(text: str) -> str:
    """A test's text may hold half a character, which no encoding of JSON can."""
    return text.encode(errors="replace").decode()


def json_schema() -> dict[str, Any]:
    """The published JSON Schema (2020-12) of the JSON report."""
    text = files("pytest_artisan.reports").joinpath("verdict.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def made_schema() -> dict[str, Any]:
    """The schema that the types of today make; a test holds it against the published one."""
    schema = json.loads(msgspec.json.encode(msgspec.json.schema(Document)))  # a default is a tuple before that
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "pytest-artisan verdict", **schema}


def as_sarif(verdict: Verdict) -> str:
    """SARIF 2.1.0 of all that has a place in a file: the tools' findings, and items that are not GO."""
    return sarif_of(_results(verdict))


def sarif_of(found: Iterable[dict[str, Any]]) -> str:
    """A log of SARIF with these results."""
    results = list(found)
    rules = sorted({str(result["ruleId"]) for result in results})
    driver = {"name": "pytest-artisan", "informationUri": _INFORMATION, "rules": [{"id": rule} for rule in rules]}
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}
    log = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return _without_surrogates(json.dumps(log, indent=2, ensure_ascii=False)) + "\n"


def _results(verdict: Verdict) -> Iterator[dict[str, Any]]:
    for gate in verdict.gates:
        yield from map(sarif_result, gate.findings)
    for level, reasons in (("error", verdict.reasons), ("warning", verdict.warnings)):
        for reason in reasons:
            if reason.path and reason.code is not Code.FINDING:
                yield _result(f"artisan/{reason.code}", level, f"{reason.subject}: {reason.text}", reason)


def sarif_result(finding: Finding) -> dict[str, Any]:
    """A finding as SARIF has it."""
    level = "error" if finding.blocks else "warning"
    return _result(f"{finding.tool}/{finding.rule}", level, finding.message, finding)


def _result(rule: str, level: str, text: str, place: Finding | Reason) -> dict[str, Any]:
    region = {"startLine": max(place.line, 1), "startColumn": max(getattr(place, "column", 1), 1)}
    location = {"artifactLocation": {"uri": quote(place.path, errors="surrogatepass")}, "region": region}
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    }
