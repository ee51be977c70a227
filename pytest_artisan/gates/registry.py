"""All gates of the release strategy, in the order of a report."""

from __future__ import annotations

from pytest_artisan.gates import (
    e2e_evolution,
    ensemble,
    load_smoke,
    moga_stability,
    security,
    smoke,
    static_analysis,
    tables,
)
from pytest_artisan.gates.gate import Gate, Project

UNIT, SECURITY = "unit", security.GATE.name


def _no_alembic(project: Project) -> str | None:
    return None if (project.root / "alembic.ini").exists() else "no alembic.ini"


GATES = (
    Gate(UNIT, "every test without a gate's marker", tables.Tests, absent=lambda project: None),
    static_analysis.GATE,
    ensemble.GATE,
    moga_stability.GATE,
    e2e_evolution.GATE,
    load_smoke.GATE,
    security.GATE,
    smoke.GATE,
    Gate("kpi", "the service's indicators in Prometheus", tables.Kpi, absent=lambda project: "no subject configured"),
    Gate("migrations", "the database goes up and down", tables.Migrations, absent=_no_alembic),
    Gate("pull_request", "small, young, well named", tables.PullRequest, absent=lambda p: "no subject configured"),
)
