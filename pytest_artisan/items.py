"""The items that the plugin itself collects: built-in checks and drills."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_artisan.context import context_of
from pytest_artisan.gates.gate import Check, Gate
from pytest_artisan.gates.tables import session_limit
from pytest_artisan.recorder import Recorder
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.decide import Purpose
from pytest_artisan.verdict.evidence import BUILT_IN, NoEvidence, no_evidence

# What a drill was answered: to the one violation, or to each.
Answers = str | list[tuple[str, str]]
DRILL, PLANTED = "artisan.drill", "artisan.planted"


class BuiltInItem(pytest.Item):
    """An item without a source file; its failures are a line, not a traceback.

    Many a conftest.py asks each item for what only test functions have: `function`, `fixturenames`, `cls`, `module`.
    """

    cls = module = None

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.fixturenames: list[str] = []

    @property
    def function(self) -> Callable[[], None]:
        return self.runtest

    @classmethod
    def create(cls, session: pytest.Session, *names: str, **attributes: Any) -> Any:
        """An item whose id has these names."""
        nodeid = "::".join((BUILT_IN, *names))
        return cls.from_parent(session, name="::".join(names), nodeid=nodeid, **attributes)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.config.rootpath / BUILT_IN, 0, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, NoEvidence | SettingsError | pytest.fail.Exception):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)


class CheckItem(BuiltInItem):
    """One built-in check of a gate."""

    def __init__(self, *, gate: Gate, check: Check, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.check = check
        self.add_marker(gate.name)
        for marker in ("writes", "exclusive"):
            if getattr(check, marker):
                self.add_marker(marker)
        self._gate = gate
        limit = session_limit(context_of(self.config).policy.tables[gate.name])
        if limit is not None and self.config.pluginmanager.has_plugin("timeout"):
            # What hangs ends with the limit; what is only slow is judged by it.
            self.add_marker(pytest.mark.timeout(limit))

    def runtest(self) -> None:
        context = context_of(self.config)
        recorder = Recorder(self)
        local = context.purpose is Purpose.LOCAL
        project = replace(context.policy.project, afresh=not local, watched=recorder.show)
        try:
            evidence = self.check.run(project, context.policy.tables[self._gate.name])
        except NoEvidence as error:
            recorder.record([no_evidence(self.check.name, str(error))])
        else:
            nothing = [] if evidence.measurements else [no_evidence(self.check.name, "it measured nothing")]
            recorder.record([*evidence.measurements, *nothing], evidence.findings)
        recorder.enforce(excused=local and self._gate.name in context.policy.core.local_optional)


class DrillItem(BuiltInItem):
    """A violation that is `planted`; `drill` returns what the gate said to it, and fails the item where that was GO.

    Of several it returns each with the answer.
    """

    def __init__(self, *, drill: Callable[[Path], Answers], planted: str, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._drill = drill
        self.user_properties.append((PLANTED, planted))

    def runtest(self) -> None:
        with tempfile.TemporaryDirectory(prefix="artisan-drill-") as folder:
            answers = self._drill(Path(folder))
        told = dict(self.user_properties)[PLANTED]
        self.user_properties.append((DRILL, [(told, answers)] if isinstance(answers, str) else answers))
