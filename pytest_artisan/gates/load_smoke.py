"""The p95 and the errors of a service, at a fixed rate of requests that waits for no answer."""

from __future__ import annotations

from pytest_artisan.gates.gate import Check, CheckEvidence, Gate, Project
from pytest_artisan.gates.tables import LoadSmoke


def _load(project: Project, table: LoadSmoke) -> CheckEvidence:
    from pytest_artisan.gates.loading.evidence import of_load

    return of_load(project, table)


def _drill(project: Project, table: LoadSmoke) -> CheckEvidence:
    from pytest_artisan.gates.loading.evidence import of_load
    from pytest_artisan.gates.loading.laggard import laggard

    with laggard() as (url, planted):
        return of_load(project, planted, url)


_CHECK = "p95 at a fixed rate"
ITEM = f"artisan::load_smoke::{_CHECK}"

GATE = Gate(
    "load_smoke",
    "p95 at a fixed rate",
    LoadSmoke,
    # What a locustfile does to an environment is not known, so that it may do it where writing is allowed.
    checks=(
        Check(
            _CHECK,
            _load,
            _drill,
            lambda table: table.locustfile is not None,
            writes=True,
            exclusive=True,
            planted="answers after 100 ms where 50 are allowed",
        ),
    ),
)
