"""Which parts of the plugin take part in a session."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_artisan.context import Context, context_of
from pytest_artisan.drills import DrillSession
from pytest_artisan.planning import Withholding
from pytest_artisan.reports.publish import HTML, SIGNED, SUFFIXES, pictures_beside, set_aside, suffix_of
from pytest_artisan.session import Collecting, GateSession
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.decide import Purpose
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.xdist import LastWords

if TYPE_CHECKING:
    from pytest_artisan.release.attestation.attesting import Attestor

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
        for name in ("report", "journal", "purpose", "policy", "base", "version", "stage", "previous"):
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
    if hasattr(config, "workerinput"):
        judging: LastWords | GateSession = LastWords(config)
    else:
        judging = GateSession(config, collecting, reports, _attestor(config, context, reports))
    for plugin, name in ((collecting, "artisan-collecting"), (judging, "artisan-session")):
        if register(plugin, name) is None:
            raise pytest.UsageError(f"-p no:{name} leaves out a part that gates need")


def _attestor(config: pytest.Config, context: Context, reports: Iterable[Path]) -> Attestor | None:
    """Who signs the verdict, where that is asked for; raises pytest.UsageError."""
    option = config.option
    given = {name: getattr(option, f"artisan_{name}") for name in ("version", "stage", "previous")}
    wanted = next((path for path in reports if suffix_of(path) == SIGNED), None)
    if wanted is None:
        for name in filter(given.get, given):
            raise pytest.UsageError(f"--artisan-{name} needs --artisan-report=FILE{SIGNED}: it is of a signed verdict")
        return None
    if context.purpose is not Purpose.RELEASE:
        raise pytest.UsageError(f"--artisan-report={wanted}: needs --artisan-purpose=release, to be deployed by")
    from pytest_artisan.release.attestation.attesting import Attestor, Order, stage_of

    folder, policy = config.invocation_params.dir, context.policy
    try:
        order = Order(
            given["version"] or "",
            stage_of(given["stage"]) if given["stage"] else None,
            folder / given["previous"] if given["previous"] else None,
        )
        return Attestor.of(policy.project.root, policy.name, order, lambda: datetime.now(UTC))
    except (SettingsError, NoEvidence) as error:
        raise pytest.UsageError(f"--artisan-report={wanted}: {error}") from None


def _only_asks(config: pytest.Config) -> bool:
    return any(getattr(config.option, name, None) for name in _ASKING)


def check_reports(folder: Path, names: Iterable[str]) -> list[Path]:
    """The report files, without what an earlier run left there: it must not be taken for this one's, should this fail.

    The page is set aside, hidden, until the next one has taken its history over.
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
            if suffix_of(path) == HTML:
                set_aside(path)
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
