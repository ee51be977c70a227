"""The service's ensemble: routing, retries, fallbacks, breakers and cache against real HTTP, and what it understands."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pytest_artisan.gates.ensemble import GATE
from pytest_artisan.gates.gate import Check

SUBJECT = "pytest_artisan.ensemble.ensemble:Ensemble"


@pytest.mark.ensemble
@pytest.mark.parametrize("check", GATE.checks, ids=lambda check: check.name)
def test_a_wish_becomes_a_brief_whatever_happens(check: Check, gate: Any) -> None:
    table = msgspec.structs.replace(gate.policy, subject=SUBJECT)
    shown = check.run(gate.project, table)
    gate.record(shown.measurements, shown.findings)
