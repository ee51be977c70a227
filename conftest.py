"""The short option names of this repository: --env and --regression; one thread for each process."""

import os

import pytest

from pytest_artisan.plugin import add_short_options

# Workers share the cores already: a linear algebra library that takes all of them for each worker doubles the time.
for _library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """As any project may: the plugin itself owns the long names alone."""
    add_short_options(parser)
