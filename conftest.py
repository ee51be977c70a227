"""The short option names of this repository: --env and --regression."""

import pytest

from pytest_artisan.plugin import add_short_options


def pytest_addoption(parser: pytest.Parser) -> None:
    """As any project may: the plugin itself owns the long names alone."""
    add_short_options(parser)
