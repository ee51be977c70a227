"""The short option names of this repository: --env and --regression; one thread for each process; quick tests alone."""

import os

import pytest

from pytest_artisan.plugin import add_short_options

# Workers share the cores already: a linear algebra library that takes all of them for each worker doubles the time.
for _library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """As any project may: the plugin itself owns the long names alone."""
    add_short_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Evidence that takes minutes is judged with the gates: a plain run of everything leaves it to them."""
    option = config.option
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if is_whole and option.artisan_gates is None and not option.artisan_drill and not option.markexpr:
        # Workers get it from here.
        option.markexpr = "not (ensemble or moga_stability or e2e_evolution)"
