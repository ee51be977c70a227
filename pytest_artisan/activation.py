"""Which parts of the plugin take part in a session."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_artisan.context import context_of
from pytest_artisan.drills import DrillSession
from pytest_artisan.planning import Withholding
from pytest_artisan.reports.publish import SUFFIXES, pictures_beside, suffix_of
from pytest_artisan.session import Collecting, GateSession
from pytest_artisan.xdist import LastWords

# Options with which pytest answers a question, and runs no test.
_ASKING = ("collectonly", "showfixtures", "show_fixtures_per_test", "help", "version", "markers", "cacheshow")


def activate(config: pytest.Config) -> None:
    """Register what the options ask for; raises pytest.UsageError with one line for the user."""
    option = config.option
    context = context_of(config)
    register = config.pluginmanager.register
    if not __debug__ and (option.artisan_drill or option.artisan_gates is not None):
        raise pytest.UsageError("gates need assert: this Python leaves it out (-O or PYTHONOPTIMIZE)")
    if option.artisan_drill:
        register(DrillSession(config), "artisan-drill")
        return
    if option.artisan_gates is None:
        for name in ("report", "journal", "purpose", "policy", "base"):
            if getattr(option, f"artisan_{name}"):
                raise pytest.UsageError(f"--artisan-{name} needs --artisan-gates: without them there is no verdict")
        register(Withholding(context, config), "artisan-withholding")
        return
    if _only_asks(config):
        register(Collecting(config), "artisan-collecting")
        return
    if getattr(option, "dist", "no") == "each":
        raise pytest.UsageError("--dist=each runs every item once a worker; gates need each item once")
    collecting = Collecting(config)
    reports = check_reports(config.invocation_params.dir, option.artisan_report)
    judging = LastWords(config) if hasattr(config, "workerinput") else GateSession(config, collecting, reports)
    for plugin, name in ((collecting, "artisan-collecting"), (judging, "artisan-session")):
        if register(plugin, name) is None:
            raise pytest.UsageError(f"-p no:{name} leaves out a part that gates need")


def _only_asks(config: pytest.Config) -> bool:
    return any(getattr(config.option, name, None) for name in _ASKING)


def check_reports(folder: Path, names: Iterable[str]) -> list[Path]:
    """The report files, without what an earlier run left there: it must not be taken for this one's, should this fail.

    Raises pytest.UsageError for a file that can not be written.
    """
    reports = [folder / name for name in names]
    for path in reports:
        if not suffix_of(path):
            raise pytest.UsageError(f"--artisan-report={path}: unknown suffix; known: {', '.join(SUFFIXES)}")
        if not path.parent.is_dir():
            raise pytest.UsageError(f"--artisan-report={path}: {path.parent} is no directory")
        if path.is_dir():
            raise pytest.UsageError(f"--artisan-report={path}: this is a directory")
        try:
            for left in (path, *pictures_beside(path)):
                left.unlink(missing_ok=True)
        except OSError as error:
            raise pytest.UsageError(f"--artisan-report={path}: {error.strerror}") from None
    return reports


@contextmanager
def no_silent_exit() -> Generator[None]:
    """A plugin or a conftest.py that calls sys.exit() leaves without a GO, and so never with 0."""
    try:
        yield
    except SystemExit as error:
        if not error.code:
            raise SystemExit(pytest.ExitCode.TESTS_FAILED) from error
        raise


def end(config: pytest.Config, status: int, failure: str = "") -> int:
    """The exit status of a session with gates, when all plugins are done: 0 for GO alone."""
    judging: GateSession | LastWords | None = config.pluginmanager.get_plugin("artisan-session")
    if judging is not None:
        return judging.end(status, failure)
    if status == pytest.ExitCode.OK and not _only_asks(config):
        print("the session ended before it began\nNO-GO", file=sys.stderr)
        return pytest.ExitCode.TESTS_FAILED
    return status
