"""What somebody answers for: a rule that a revision may break, for a while."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace as replace_fields

from pytest_artisan.audit.waivers import Answered, ends_soon, lines_of
from pytest_artisan.gates.migrating.inside.messages import LOCK_RULES, OLD_RULES, ROUND_TRIP_RULES
from pytest_artisan.gates.migrating.rules import RULES
from pytest_artisan.settings import Table, convert, one_line, read_toml
from pytest_artisan.verdict.evidence import Finding

# Those of the checks that run the revisions.
RUN_RULES = (*ROUND_TRIP_RULES, *OLD_RULES, *LOCK_RULES)
_Text = Annotated[str, Meta(min_length=1)]


class Waiver(Table, Answered, frozen=True):
    """`owner` answers for a revision that breaks `rule`, through the day `expires` in UTC."""

    revision: _Text
    rule: _Text
    expires: date
    reason: str = ""
    owner: str = ""
    line: int = 1

    def lint(self) -> Iterator[str]:
        if self.rule not in (*RULES, *RUN_RULES):
            yield f"rule: {self.rule!r} is none of {', '.join((*RULES, *RUN_RULES))}"

    @property
    def name(self) -> str:
        return f"waiver of {self.rule} for revision {self.revision}"


class _WaiverFile(Table, frozen=True):
    waiver: tuple[Waiver, ...] = ()

    def lint(self) -> Iterator[str]:
        for number, table in enumerate(self.waiver):
            yield from (f"waiver[{number}] {complaint}" for complaint in table.lint())


def read_waivers(root: Path, name: str | None) -> tuple[Waiver, ...]:
    """The `[[waiver]]` tables of a TOML file below `root`. Raises SettingsError."""
    if name is None:
        return ()
    tables = convert(read_toml(root / name), _WaiverFile, name).waiver
    lines = lines_of(root / name)
    return tuple(replace_fields(table, line=line) for table, line in zip(tables, lines, strict=False))


def settled(
    found: Iterable[tuple[str, Finding]],
    waivers: Iterable[Waiver],
    file: str,
    today: date,
    *,
    rules: Collection[str],
    released: Collection[str],
) -> list[Finding]:
    """Findings, each with its revision, where what is waived does not block; and what is wrong with waivers of `rules`.

    One for a revision that is `released` has done its duty.
    """
    own = [waiver for waiver in waivers if waiver.rule in rules]
    in_force = {(one.revision, one.rule): one for one in own if not any(one.faults(today))}
    used, findings = set[tuple[str, str]](), list[Finding]()
    for revision, finding in found:
        waiver = in_force.get((revision, finding.rule))
        if waiver is not None:
            used.add((revision, finding.rule))
            finding = replace(finding, blocks=False, message=one_line(f"{finding.message}; {waiver.told()}"))
        findings.append(finding)
    for waiver in own:
        for text, blocks in _told(waiver, today, used, released):
            findings.append(
                Finding("migrations", "waiver", one_line(f"{waiver.name} {text}"), file, waiver.line, blocks=blocks)
            )
    return findings


def _told(
    waiver: Waiver, today: date, used: Collection[tuple[str, str]], released: Collection[str]
) -> Iterator[tuple[str, bool]]:
    """What there is to say about a waiver, and whether that blocks."""
    if waiver.revision in released and (waiver.revision, waiver.rule) not in used:
        yield "can go: the revision is released", False
        return
    faults = list(waiver.faults(today))
    yield from ((fault, True) for fault in faults)
    if not faults and (waiver.revision, waiver.rule) not in used:
        yield "waives nothing that is there", True
    if ends_soon(waiver.expires, today):
        yield f"expires on {waiver.expires}", False
