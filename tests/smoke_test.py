"""The service answers, and keeps its contract: the one of `--env`, or one that is started here."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_artisan.gates.deployed.calls import of_calls
from pytest_artisan.gates.deployed.journey import journey

pytestmark = pytest.mark.smoke


@pytest.fixture
def url(gate: Any, request: pytest.FixtureRequest) -> str:
    environment = gate.project.environment
    if environment.base_url is None and environment.env != "dev":
        pytest.fail(f"{environment.env}: base_url is not set, so there is no service to ask", pytrace=False)
    return str(environment.base_url or request.getfixturevalue("artisan_service").url)


def test_whoever_only_reads_is_answered(url: str, gate: Any) -> None:
    shown = of_calls(url, journey().reads, gate.policy.timeout_s)
    gate.record(shown.measurements, shown.findings)


@pytest.mark.writes
def test_a_wish_becomes_a_perfume(url: str, gate: Any) -> None:
    shown = of_calls(url, journey().writes, gate.policy.timeout_s)
    gate.record(shown.measurements, shown.findings)
