"""The service's whole flow: brief, DNA, options, feedback, update, better options; and what it does under stress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_artisan.gates.e2e_evolution import GATE
from pytest_artisan.gates.gate import Check, Project

SUBJECT = "pytest_artisan.service.flow:HouseFlow"


@pytest.mark.e2e_evolution
@pytest.mark.parametrize("check", GATE.checks, ids=lambda check: check.name)
def test_the_flow_learns_from_feedback_and_keeps_its_limits(check: Check, gate: Any) -> None:
    table = msgspec.structs.replace(gate.policy, subject=SUBJECT)
    shown = check.run(Project(Path(__file__).parents[1]), table)
    gate.record(shown.measurements, shown.findings)
