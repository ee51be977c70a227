"""The fixture with which a test gives evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_artisan.recorder import Recorder


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> Recorder:
    """Record measurements as evidence for a release gate: gate.measure("p95", 1847.3, unit="ms", at_most=2500)."""
    from pytest_artisan.recorder import Recorder  # heavy, and idle in most sessions

    return Recorder(request.node)
