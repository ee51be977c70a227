"""Ten thousand iterations of the optimizer that the service uses, every invariant checked in each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_artisan.gates.gate import Check, Project
from pytest_artisan.gates.moga_stability import GATE

SUBJECT = "pytest_artisan.fragrance.evolution:optimizer"


@pytest.mark.moga_stability(iterations=10_000)
@pytest.mark.parametrize("check", GATE.checks, ids=lambda check: check.name)
def test_the_optimizer_stays_sound(check: Check, gate: Any) -> None:
    table = msgspec.structs.replace(gate.policy, subject=SUBJECT)
    shown = check.run(Project(Path(__file__).parents[1]), table)
    gate.record(shown.measurements, shown.findings)
