"""The hooks that pytest-artisan offers; implement them with `@pytest.hookimpl(optionalhook=True)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_artisan.gates import Gate


def pytest_artisan_gates(config: pytest.Config) -> Gate | Sequence[Gate] | None:
    """Return gates of your own; each is known by its marker, its policy table and `--artisan-gates=<name>`."""
