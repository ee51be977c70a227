"""The deployed service answers, and each answer keeps its contract."""

from __future__ import annotations

from functools import partial

from pytest_artisan.gates.gate import CheckEvidence, Gate, Project
from pytest_artisan.gates.subjects import Runs, checks_of_subject, load_factory
from pytest_artisan.gates.tables import Smoke
from pytest_artisan.verdict.evidence import NoEvidence


def _calls(part: str, drill: bool, project: Project, table: Smoke) -> CheckEvidence:
    from pytest_artisan.gates.deployed import impostor
    from pytest_artisan.gates.deployed.calls import Journey, of_calls, service_of
    from pytest_artisan.gates.deployed.journey import journey
    from pytest_artisan.loopback import served

    made = journey() if drill else load_factory(table.subject, project.root)()
    if not isinstance(made, Journey):
        raise NoEvidence(f"subject {table.subject!r} made {type(made).__name__}, and no Journey")
    for call in made.reads:
        if call.method not in _READING:
            # It would go to environments that nobody may write to.
            raise NoEvidence(f"subject {table.subject!r}: {call.name} is among the calls that only read")
    with served(impostor.app) if drill else service_of(project) as url:
        return of_calls(url, getattr(made, part), table.timeout_s)


_READING = ("GET", "HEAD")

_PLANTED = "a healthy service that answers all else with a wrong body"
_RUNS: Runs = tuple((part, partial(_calls, part)) for part in ("reads", "writes"))

GATE = Gate(
    "smoke",
    "the deployed service answers",
    Smoke,
    checks=checks_of_subject(_RUNS, dict.fromkeys(("reads", "writes"), _PLANTED), writing=frozenset({"writes"})),
)
