"""`--artisan-drill`: every gate is given a planted violation, and has to say NO-GO."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_artisan import tools
from pytest_artisan.context import Context, context_of
from pytest_artisan.gates.gate import Check, Gate
from pytest_artisan.gates.registry import GATES
from pytest_artisan.items import DRILL, PLANTED, DrillItem
from pytest_artisan.planning import Planner
from pytest_artisan.reports.machine import Document
from pytest_artisan.reports.wording import aligned, by_cause
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.decide import Purpose, Requirements, decide
from pytest_artisan.verdict.evidence import Evidence, ItemResult, NoEvidence, Outcome, Plan
from pytest_artisan.verdict.judge import State

# One sound test, so that nothing but the planted ones can be the cause.
_PLANTED_TESTS = """\
import pytest

pytestmark = [{marks}]

def test_sound():
    assert True

def test_planted_failure():
    assert 1 == 2

def test_planted_skip():
    pytest.skip("planted")

@pytest.mark.xfail
def test_planted_xfail():
    assert False

def test_planted_nan(gate):
    gate.measure("planted", float("nan"), unit="count", at_most=1)

def test_planted_excess(gate):
    gate.measure("planted", 2, unit="count", at_most=1)
"""
_PLANTED_CONFTEST = """\
from pytest_artisan.gates import Gate

def pytest_artisan_gates(config):
    return Gate({name!r}, "a gate under drill")
"""
_ID = "artisan::drill::"
# What moves users to a release, and has to bring them back: no gates of a session.
MACHINES = ("canary", "blue_green")
_TIMEOUT_S = 120


class DrillSession:
    """Replaces the collected items by drills of the gates that they belong to."""

    def __init__(self, config: pytest.Config) -> None:
        self._context: Context = context_of(config)
        self._rows: dict[str, list[tuple[str, str]]] = {}
        self._left_out: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        planner = Planner(self._context, session.config)
        planner.collected(session, items)
        session.config.hook.pytest_deselected(items=list(items))
        policy, selected = self._context.policy, self._context.selected
        planned = planner.finish(session.config, items).gates
        asked = policy.requirements(self._context.purpose, selected, (), planned)
        excused = asked.local_optional if asked.purpose is Purpose.LOCAL else ()
        unconfigured = {name: text for name, text in asked.unconfigured.items() if name not in planned}
        self._left_out = dict(asked.left_out) | {n: text for n, text in unconfigured.items() if n in excused}
        items[:] = [
            DrillItem.create(session, "drill", name, kind, drill=drill, planted=text)
            for name in planned
            if name in asked.required
            for kind, text, drill in _drills(policy.gates[name], self._context)
        ]
        items += [
            DrillItem.create(session, "drill", name, "tests", drill=partial(_no_drill, text), planted="nothing")
            for name, text in unconfigured.items()
            if name not in excused
        ]
        items += [
            DrillItem.create(session, "drill", name, drill=partial(_drill_machine, name), planted="violations")
            for name in (() if self._context.wanted else MACHINES)
        ]
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.failed:
            told: dict[str, Any] = dict(report.user_properties)
            failed = [(told.get(PLANTED, ""), report.longreprtext.strip())]
            self._rows[report.nodeid.removeprefix(_ID)] = told.get(DRILL) or failed

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("artisan drill")
        order = [*self._context.policy.gates, *MACHINES]
        told = sorted(self._rows.items(), key=lambda row: order.index(row[0].partition("::")[0]))
        table = [("gate", "planted", "answer"), *((name, *cells) for name, rows in told for cells in rows)]
        for row in aligned(table):
            terminalreporter.write_line(one_line(row.rstrip()))
        if self._left_out:
            terminalreporter.write_line(f"not drilled: {by_cause(self._left_out)}")


def _drills(gate: Gate, context: Context) -> Generator[tuple[str, str, partial[str]]]:
    """The name of each drill, what it plants, and the drill."""
    table = context.policy.tables[gate.name]
    wanted = [check for check in gate.checks if check.applies(context.policy.project, table)]
    # Where tests stand in for the checks, these still have to show that they can fail.
    for check in wanted or [check for check in gate.checks if check.drill is not None]:
        yield check.name, check.planted or check.name, partial(_drill_check, gate, check, context)
    if not wanted:
        yield "tests", "a failure, a skip, an xfail, a NaN and an excess", partial(_drill_tests, gate)


def _drill_check(gate: Gate, check: Check, context: Context, folder: Path) -> str:
    """The gate's own decision over what the check says to its planted violation."""
    if check.drill is None:
        pytest.fail(f"{check.name} has no drill, so nothing shows that it can fail", pytrace=False)
    try:
        evidence = check.drill(context.policy.project, context.policy.tables[gate.name])
    except NoEvidence as error:
        pytest.fail(f"{check.name} could not be drilled: {error}", pytrace=False)
    result = ItemResult("drill", Outcome.PASSED, "", 1, evidence.measurements, evidence.findings)
    asked = Requirements(Purpose.RELEASE, (gate.name,), context.policy.digest)
    verdict = decide(asked, Plan({gate.name: ("drill",)}), Evidence(results=(result,)))
    if verdict.go or verdict.gates[0].state is not State.NO_GO:
        pytest.fail(f"{check.name} answered {verdict.gates[0].state} to a planted violation", pytrace=False)
    return f"NO-GO: {verdict.reasons[0].text}"


def _drill_machine(name: str, folder: Path) -> list[tuple[str, str]]:
    """What a deployment under way says to each violation; it has to be as before in the end."""
    drills: Callable[[], Iterator[tuple[str, str, bool]]] = import_module(
        f"pytest_artisan.release.{name}.drills"
    ).drills
    told = [*drills()]
    for violation, answer, is_no in told:
        if not is_no:
            pytest.fail(f"{name} let this pass: {violation}: {answer}", pytrace=False)
    return [(violation, f"NO-GO: {answer}") for violation, answer, _ in told]


def _no_drill(text: str, folder: Path) -> str:
    """A gate that the policy requires, and nothing shows that it can say NO-GO."""
    pytest.fail(text, pytrace=False)


def _drill_tests(gate: Gate, folder: Path) -> str:
    """A session of its own over planted tests: each of them must be among its reasons."""
    marks = "" if gate.name == "unit" else f"pytest.mark.{gate.name}"
    (folder / "test_planted.py").write_text(_PLANTED_TESTS.format(marks=marks), encoding="utf-8")
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n", encoding="utf-8")
    if gate.name not in {known.name for known in GATES}:
        (folder / "conftest.py").write_text(_PLANTED_CONFTEST.format(name=gate.name), encoding="utf-8")
    options = [f"--artisan-gates={gate.name}", "--artisan-report=verdict.json", "-p", "no:cacheprovider", "-q"]
    command = ["-m", "pytest", "-p", "pytest_artisan.plugin", *options]
    answer = tools.run(
        sys.executable, command, cwd=folder, timeout_s=_TIMEOUT_S, extra={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    )
    report = folder / "verdict.json"
    if not report.exists():
        pytest.fail(f"the session over planted tests wrote no verdict: {answer.stdout[-400:]}", pytrace=False)
    verdict = msgspec.json.decode(report.read_bytes(), type=Document).verdict
    named = {reason.subject.rpartition("::")[2] for reason in verdict.reasons if reason.gate == gate.name}
    planted = {line.split("(")[0].split()[1] for line in _PLANTED_TESTS.splitlines() if "def test_planted" in line}
    if verdict.go or answer.status == 0 or named != planted:
        missed = ", ".join(sorted(planted - named)) or "exit status"
        pytest.fail(f"{gate.name} let a planted violation pass: {missed}", pytrace=False)
    return f"NO-GO: all of {len(planted)} planted tests named"
