"""The service's indicators, over the last minutes, by its Prometheus."""

from __future__ import annotations

from pytest_artisan.gates.gate import Check, CheckEvidence, Gate, Project, state_of
from pytest_artisan.gates.tables import Kpi
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State


def _indicators(project: Project, table: Kpi) -> CheckEvidence:
    from pytest_artisan.gates.indicating.evidence import of_kpis

    return of_kpis(project, table)


def _drill(project: Project, table: Kpi) -> CheckEvidence:
    from pytest_artisan.gates.indicating.ailing import TABLE, ailing
    from pytest_artisan.gates.indicating.evidence import of_kpis

    with ailing() as url:
        evidence = of_kpis(project, TABLE, url)
    for one in evidence.measurements:
        if state_of(CheckEvidence((one,))) is not State.NO_GO:
            raise NoEvidence(f"{one.name} does not say NO-GO to an excess")
    return evidence


def _absent(project: Project) -> str | None:
    return None if _needed(project) else "no prometheus_url for this environment, and no table [tool.artisan.kpi]"


def _needed(project: Project) -> bool:
    return project.environment.prometheus_url is not None


GATE = Gate(
    "kpi",
    "the service's indicators in Prometheus",
    Kpi,
    checks=(
        Check(
            "indicators",
            _indicators,
            _drill,
            lambda table: table.subject is not None,
            planted="a Prometheus that shows each indicator over its limit",
            needed=_needed,
        ),
    ),
    absent=_absent,
    otherwise="this environment has no prometheus_url (in dev, a subject in [tool.artisan.kpi] would do as well)",
)
