"""Which parts of the plugin take part in a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_artisan.context import context_of
from pytest_artisan.drills import DrillSession
from pytest_artisan.planning import Withholding
from pytest_artisan.reports.publish import RENDERERS
from pytest_artisan.session import Collecting, GateSession
from pytest_artisan.xdist import LastWords


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
        for name in ("report", "journal", "purpose"):
            if getattr(option, f"artisan_{name}"):
                raise pytest.UsageError(f"--artisan-{name} needs --artisan-gates: without them there is no verdict")
        register(Withholding(context, config), "artisan-withholding")
        return
    if option.collectonly or option.showfixtures or option.show_fixtures_per_test:
        register(Collecting(config), "artisan-collecting")
        return
    if getattr(option, "dist", "no") == "each":
        raise pytest.UsageError("--dist=each runs every item once a worker; gates need each item once")
    collecting = Collecting(config)
    judging = LastWords(config) if hasattr(config, "workerinput") else GateSession(config, collecting, _reports(config))
    for plugin, name in ((collecting, "artisan-collecting"), (judging, "artisan-session")):
        if register(plugin, name) is None:
            raise pytest.UsageError(f"-p no:{name} leaves out a part that gates need")


def _reports(config: pytest.Config) -> list[Path]:
    """The report files, checked before anything runs."""
    reports = [config.invocation_params.dir / name for name in config.option.artisan_report]
    for path in reports:
        if path.suffix not in RENDERERS:
            raise pytest.UsageError(f"--artisan-report={path}: unknown suffix; known: {', '.join(RENDERERS)}")
        if not path.parent.is_dir():
            raise pytest.UsageError(f"--artisan-report={path}: {path.parent} is no directory")
        if path.is_dir():
            raise pytest.UsageError(f"--artisan-report={path}: this is a directory")
    return reports
