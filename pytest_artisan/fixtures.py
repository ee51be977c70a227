"""The fixtures: with one a test gives evidence, with the other it has a service to ask."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_artisan.recorder import Recorder
    from pytest_artisan.service.launcher import Launched


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> Generator[Recorder]:
    """Record measurements as evidence for a release gate: gate.measure("p95", 1847.3, unit="ms", at_most=2500)."""
    from pytest_artisan.recorder import Recorder  # heavy, and idle in most sessions

    recorder = Recorder(request.node)
    yield recorder
    recorder.close()
    # What the test's body recorded was enforced with it; this is for fixtures that measure when they are torn down.
    recorder.enforce()


@pytest.fixture(scope="session")
def artisan_service() -> Generator[Launched]:
    """The service in a process of its own, with an empty database: artisan_service.url."""
    from pytest_artisan.service.launcher import launched

    with launched() as service:
        yield service
