"""The verdict as Markdown, for a pull request or a job's summary."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence

from pytest_artisan.reports.wording import grouped, notes, rows
from pytest_artisan.verdict.decide import Verdict
from pytest_artisan.verdict.evidence import Finding
from pytest_artisan.verdict.judge import Reason


def as_markdown(verdict: Verdict, limit: int | None = None, pictures: Mapping[str, str] | None = None) -> str:
    """The verdict, the worst first; of more than `limit` bytes the last reasons are only counted.

    `pictures` holds a text for each picture's quoted address.
    """
    head = [f"## {'✅' if verdict.go else '❌'} {escape(verdict.line)}", ""]
    head += table(["gate", "state", "measured", "time"], rows(verdict))
    head += [line for address, text in (pictures or {}).items() for line in ("", f"![{escape(text)}]({address})")]
    tail = ["", *(f"- {escape(note)}" for note in notes(verdict)), ""]
    findings = [finding for gate in verdict.gates for finding in gate.findings]
    # What has a row of its own in the table below needs no line.
    rowed = {(finding.path, finding.line, finding.text) for finding in findings if finding.details}
    body = [
        f"- **{escape(told.first.state)}** {escape(told.text)}" for told in grouped(_others(verdict.reasons, rowed))
    ]
    body += [f"- warning: {escape(told.text)}" for told in grouped(_others(verdict.warnings, rowed))]
    body += details_of(findings)
    if limit is not None:
        body = _cut(body, limit - _size([*head, "", *tail]))
    text = "\n".join([*head, "", *body, *tail])
    if limit is None or _size([text]) <= limit + 1:
        return text
    # Not even the table has room: the answer alone, or nothing.
    return head[0] + "\n" if _size([head[0]]) <= limit else ""


def _others(reasons: Iterable[Reason], rowed: Container[tuple[str, int, str]]) -> list[Reason]:
    return [reason for reason in reasons if (reason.path, reason.line, reason.text) not in rowed]


def details_of(findings: Iterable[Finding]) -> list[str]:
    """The table of those findings that have details; empty where none has."""
    detailed = [finding.details for finding in findings if finding.details]
    return ["", *table(list(detailed[0]), [list(cells.values()) for cells in detailed])] if detailed else []


def table(head: Sequence[str], cells: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + ["| " + " | ".join(map(escape, row)) + " |" for row in cells]


def _cut(body: list[str], limit: int) -> list[str]:
    size, kept = 0, list[str]()
    for line in body:
        size += _size([line])
        if size > limit - 100:
            return [*kept, f"- and {len(body) - len(kept)} more"]
        kept.append(line)
    return kept


def _size(lines: list[str]) -> int:
    return sum(len(line.encode(errors="backslashreplace")) + 1 for line in lines)


def escape(text: str) -> str:
    """Text of a test, a tool or a model as plain text: neither Markdown nor HTML may come of it."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~$-])", r"\\\1", plain)
    # A backslash stops neither a mention nor the link that GitHub makes of a bare address; a space of no width does.
    return re.sub(r"(@|:(?=//)|www(?=\.))", r"\1&#8203;", escaped, flags=re.IGNORECASE)
