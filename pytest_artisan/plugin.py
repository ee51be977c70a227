"""pytest's door: options, markers and the fixtures. Whatever costs time is imported by the sessions that use it."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from pytest_artisan.fixtures import artisan_service, gate

__all__ = ["add_short_options", "artisan_service", "gate"]

MARKERS = (
    "ensemble: evidence for the release gate of the model ensemble",
    "moga_stability(iterations=10_000): evidence for the release gate of the optimizer",
    "e2e_evolution: evidence for the release gate of the whole flow, from wish to refined formula",
    'load_smoke(rps=10, duration="30s", p95_ms=2500): evidence for the release gate of load',
    "security: evidence for the release gate of advisories and SBOM",
    "smoke: evidence for the release gate of a deployed service",
    "static_analysis: evidence for the release gate of Ruff and mypy",
    "kpi: evidence for the release gate of the service's indicators",
    "migrations: evidence for the release gate of the database",
    "pull_request: evidence for the release gate of a branch",
    "unit: evidence for the release gate of all other tests",
    "exclusive: runs while no other item runs, also under pytest-xdist with gates",
    "writes: changes its environment; left out in stg and prod unless the environment allows writes",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("artisan", "release gates")
    group.addoption(
        "--artisan-gates",
        nargs="?",
        const="all",
        metavar="GATE,...",
        help="Judge all release gates, or the named ones, and end in GO or NO-GO.",
    )
    group.addoption(
        "--artisan-report",
        action="append",
        default=[],
        metavar="FILE",
        help="Write the verdict to FILE: .json, .md, .sarif, .html or .intoto.json (may be given several times).",
    )
    group.addoption("--artisan-journal", metavar="FILE", help="Keep the journal of the session in FILE.")
    group.addoption("--artisan-drill", action="store_true", help="Let every gate show that it can say NO-GO.")
    group.addoption(
        "--artisan-purpose",
        choices=("local", "merge", "release"),
        help="What the verdict is for (default: merge where CI is set, else local).",
    )
    group.addoption(
        "--artisan-policy",
        default="",
        metavar="NAME",
        help="Judge by this table of [tool.artisan.policies] (hotfix needs none); by default by [tool.artisan] itself.",
    )
    group.addoption("--artisan-version", metavar="VERSION", help="The release that a signed verdict is for.")
    group.addoption(
        "--artisan-stage", metavar="PERCENT", help="The one stage of a canary that it is for (default: all of them)."
    )
    group.addoption(
        "--artisan-previous", metavar="FILE", help="The signed verdict of this release that it comes after."
    )
    group.addoption(
        "--artisan-env", metavar="NAME", help="The environment: dev, stg or prod (default: ARTISAN_ENV, else dev)."
    )
    group.addoption(
        "--artisan-base",
        metavar="REF",
        help="Of known vulnerabilities count those alone that the commit REF has not, by the policy of that commit.",
    )
    group.addoption(
        "--artisan-regression",
        action="store_true",
        help="Compare every measurement with the environment's baseline.",
    )


def add_short_options(parser: pytest.Parser) -> None:
    """Add --env and --regression; for the pytest_addoption of a project's root conftest.py.

    The plugin can not own names that many projects already use: pytest ends where two own one.
    """
    parser.addoption("--env", dest="artisan_env", help="The same as --artisan-env.")
    parser.addoption("--regression", action="store_true", dest="artisan_regression", help="As --artisan-regression.")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    # In idle sessions too: pytest ends where a conftest.py that it loads late implements a hook without a specification.
    from pytest_artisan import newhooks

    pluginmanager.add_hookspecs(newhooks)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    option = early_config.known_args_namespace
    if option.artisan_report or option.artisan_gates is not None:
        from pytest_artisan.activation import check_reports, no_silent_exit

        check_reports(early_config.invocation_params.dir, option.artisan_report)
        with no_silent_exit():
            return (yield)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int, int]:
    if config.option.artisan_gates is None or config.option.artisan_drill:
        return (yield)
    from pytest_artisan.activation import end, no_silent_exit

    with no_silent_exit():
        try:
            status = yield
        except pytest.UsageError:
            end(config, pytest.ExitCode.USAGE_ERROR)
            raise
        except BaseException as error:
            end(config, pytest.ExitCode.TESTS_FAILED, repr(error))
            raise
        return end(config, status)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if config.hook.pytest_artisan_gates.get_hookimpls():
        from pytest_artisan.context import added_gates

        for gate in added_gates(config):
            config.addinivalue_line("markers", gate.marker_line)
    option = config.option
    if (
        option.artisan_gates is not None
        or option.artisan_drill
        or option.artisan_env is not None
        or option.artisan_regression
        or option.artisan_report
        or option.artisan_purpose
        or option.artisan_policy
        or option.artisan_journal
        or option.artisan_base
        or option.artisan_version
        or option.artisan_stage
        or option.artisan_previous
        or "ARTISAN_ENV" in os.environ
    ):
        from pytest_artisan.activation import activate

        activate(config)
