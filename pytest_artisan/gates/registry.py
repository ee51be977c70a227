"""All gates of the release strategy, in the order of a report."""

from __future__ import annotations

from pytest_artisan.gates import (
    e2e_evolution,
    ensemble,
    kpi,
    load_smoke,
    migrations,
    moga_stability,
    pull_request,
    security,
    smoke,
    static_analysis,
    tables,
)
from pytest_artisan.gates.gate import Gate

UNIT, SECURITY, PULL_REQUEST = "unit", security.GATE.name, pull_request.GATE.name

GATES = (
    Gate(UNIT, "every test without a gate's marker", tables.Tests, absent=lambda project: None),
    static_analysis.GATE,
    ensemble.GATE,
    moga_stability.GATE,
    e2e_evolution.GATE,
    load_smoke.GATE,
    security.GATE,
    smoke.GATE,
    kpi.GATE,
    migrations.GATE,
    pull_request.GATE,
)
