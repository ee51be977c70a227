"""What new revisions do, against the rules and the releases, as evidence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.gates.migrating.history import History, history_of
from pytest_artisan.gates.migrating.judging import Fault, faults_of
from pytest_artisan.gates.migrating.revisions import read
from pytest_artisan.gates.migrating.rules import RULES
from pytest_artisan.gates.migrating.steps import Directory
from pytest_artisan.gates.migrating.waivers import read_waivers, settled
from pytest_artisan.gates.tables import Migrations
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import Finding, NoEvidence, measured


def new_revisions(directory: Directory, history: History) -> list[str]:
    """Those that no release holds, from the base up."""
    return [revision.id for revision in directory.revisions if revision.id not in history.released]


def of_operations(project: Project, table: Migrations, now: datetime) -> CheckEvidence:
    """The judgement of all new revisions. Raises NoEvidence, and SettingsError for waivers that can not be read."""
    waivers = read_waivers(project.root, table.waivers)
    directory = read(project, table)
    if directory.problems:
        raise NoEvidence(directory.problems[0].message)
    if not directory.revisions:
        raise NoEvidence(f"no revision in {', '.join(directory.places)}")
    history = history_of(project.root)
    new = new_revisions(directory, history)
    unused = {revision.id for revision in directory.revisions} - history.tagged
    may_not_drop = partial(history.may_not_drop, days=table.drop_days, now=now)
    faults = [*history.changes(directory), *faults_of(directory, new, unused, may_not_drop)]
    found = ((fault.revision, _finding(fault)) for fault in faults)
    findings = settled(found, waivers, table.waivers or "", now.date(), rules=RULES, released=history.released)
    steps = sum(len(revision.steps) for revision in directory.revisions if revision.id in new)
    unsafe = sum(finding.blocks and finding.rule in RULES for finding in findings)
    return CheckEvidence(
        (
            measured("unsafe operations", unsafe, unit="count", at_most=0, n=steps or None),
            measured("new revisions", len(new), unit="count", at_most=len(directory.revisions)),
        ),
        (*sorted(findings, key=lambda one: not one.blocks), *_remarks(directory, history)),
    )


def _finding(fault: Fault) -> Finding:
    blocks = RULES[fault.rule].blocks
    return Finding("migrations", fault.rule, one_line(fault.message), fault.path, fault.line, blocks=blocks)


def _remarks(directory: Directory, history: History) -> Iterator[Finding]:
    """What was not asked, and why."""
    if directory.dialect != "postgresql":
        left_out = sum(rule.locks for rule in RULES.values())
        told = (
            f"{left_out} rules about PostgreSQL alone are left out: neither an environment nor postgresql_env names one"
        )
        yield Finding("migrations", "no-postgresql", told, "pyproject.toml", 1, blocks=False)
    if not history.releases:
        told = f"no release yet, so that all {len(directory.revisions)} revisions count as new"
        yield Finding("migrations", "no-release", told, "pyproject.toml", 1, blocks=False)
