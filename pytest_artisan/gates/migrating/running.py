"""The checks that run a project's migrations: up, down and up again; beside its models; under load; dual writes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.gates.migrating.databases import fresh_databases, fresh_postgresql, with_lock_timeout
from pytest_artisan.gates.migrating.evidence import new_revisions
from pytest_artisan.gates.migrating.history import history_of
from pytest_artisan.gates.migrating.inside.messages import LOCK_RULES, ROUND_TRIP_RULES, DualWrite, Run
from pytest_artisan.gates.migrating.revisions import read
from pytest_artisan.gates.migrating.runs import ask, findings_of
from pytest_artisan.gates.migrating.waivers import read_waivers, settled
from pytest_artisan.gates.tables import Migrations
from pytest_artisan.verdict.evidence import Measurement, NoEvidence, measured


def round_trip(project: Project, table: Migrations, now: datetime) -> CheckEvidence:
    """Every revision on rows of its own: up, down, up again. Raises NoEvidence."""
    with fresh_databases(project, table) as urls:
        runs = ask("round_trip", project.root, table, urls)
    return evidence(project, table, runs, _whole(runs), ROUND_TRIP_RULES, now)


def _whole(runs: Mapping[str, Run]) -> Iterator[Measurement]:
    for dialect, run in runs.items():
        done, all_ = run.counts["revisions"], run.counts["of"]
        yield measured(f"revisions run on {dialect}", done, unit="count", at_least=all_, n=all_)


def models(project: Project, table: Migrations, now: datetime) -> CheckEvidence:
    """The models against the database that the migrations make. Raises NoEvidence."""
    with fresh_databases(project, table) as urls:
        runs = ask("models", project.root, table, urls)
    return evidence(project, table, runs, reach("tables compared", runs, "tables"), (), now)


def dual_write(project: Project, table: Migrations, now: datetime) -> CheckEvidence:
    """Each declared dual write, with several values. Raises NoEvidence."""
    declared = tuple(DualWrite(**msgspec.structs.asdict(one)) for one in table.dual_write)
    with fresh_databases(project, table) as urls:
        runs = ask("dual_write", project.root, table, urls, dual_writes=declared)
    return evidence(project, table, runs, reach("values of dual writes", runs, "writes"), (), now)


def locks(project: Project, table: Migrations, now: datetime) -> CheckEvidence:
    """Each new revision under a reader and a writer of filled tables, on the server. Raises NoEvidence."""
    directory = read(project, table)
    if directory.problems:
        raise NoEvidence(directory.problems[0].message)
    return under_load(project, table, new_revisions(directory, history_of(project.root)), now)


def under_load(project: Project, table: Migrations, new: Sequence[str], now: datetime) -> CheckEvidence:
    """The same for these revisions."""
    if table.postgresql_env is None:
        raise NoEvidence("postgresql_env names no server")
    with fresh_postgresql(table.postgresql_env) as url:
        urls = {"postgresql": with_lock_timeout(url, math.ceil(table.stall_ms))}
        runs = ask("stalls", project.root, table, urls, new=tuple(new), rows=table.lock_rows)
    run = runs["postgresql"]
    done = measured("new revisions run under load", run.counts["revisions"], unit="count", at_least=len(new))
    stalls = (
        measured(name, longest, unit="ms", at_most=table.stall_ms, n=run.counts[name])
        for name, longest in run.stalls_ms.items()
    )
    return evidence(project, table, runs, (done, *stalls), LOCK_RULES, now)


def reach(name: str, runs: Mapping[str, Run], tried: str) -> Iterator[Measurement]:
    """How much was tried on each database: what went wrong there are findings, which somebody may answer for."""
    for dialect, run in runs.items():
        yield measured(f"{name} on {dialect}", run.counts[tried], unit="count", at_least=1)


def evidence(
    project: Project,
    table: Migrations,
    runs: Mapping[str, Run],
    measurements: Iterable[Measurement],
    rules: Sequence[str],
    now: datetime,
) -> CheckEvidence:
    """What was measured, and a finding for each trouble of the runs; of those by these rules, some are waived."""
    found = findings_of(runs, project.root, table)
    waivers = read_waivers(project.root, table.waivers)
    findings = settled(found, waivers, table.waivers or "", now.date(), rules=rules, released=())
    return CheckEvidence(tuple(measurements), tuple(findings))
