"""What was reported, item by item, and the journal that outlives the process."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_artisan.release.secrets import Masker
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.decide import Requirements
from pytest_artisan.verdict.evidence import Evidence, Fault, Finding, ItemResult, Measurement, Outcome, Plan

# Evidence rides on a report's user properties: they reach the controller of pytest-xdist, and JUnit XML.
MEASUREMENT = "artisan.measurement"
FINDINGS = "artisan.findings"
BY_LIMIT = "artisan.by_limit"
CRASH = "???"
_DETAIL_LENGTH = 400


@dataclass(slots=True)
class _Pending:
    """An item between its first remarkable report and its end."""

    report: pytest.TestReport
    outcome: Outcome = Outcome.PASSED
    detail: str = ""
    attempts: int = 1
    called: bool = False
    by_limit: bool = False  # whether `detail` tells of the item's own evidence
    limits: int = 0  # how often the item failed for it
    properties: dict[int, tuple[str, object]] = field(default_factory=dict)
    told: dict[tuple[Outcome, str], None] = field(default_factory=dict)  # all else that was not a pass


class Ledger:
    """Folds test reports into evidence; the plain pass, which most tests are, costs next to nothing."""

    def __init__(self, masker: Masker) -> None:
        self._mask = masker
        self._called: set[str] = set()
        self._passed: set[str] = set()
        self._pending: dict[str, _Pending] = {}
        self._results: list[ItemResult] = []  # an item that ran twice stands here twice: the verdict judges both
        self._nanoseconds: dict[str, int] = {}
        self.journal: Journal | None = None

    def add(self, report: pytest.TestReport) -> None:
        """Take one report of pytest_runtest_logreport."""
        nodeid = report.nodeid
        # Whole numbers: their sum is the same in every order, and writing one costs a fifth of writing a float.
        self._nanoseconds[nodeid] = self._nanoseconds.get(nodeid, 0) + int(report.duration * 1e9)
        if (
            report.outcome == "passed"
            and type(report) is pytest.TestReport
            and not report.user_properties
            and nodeid not in self._pending
            and "wasxfail" not in report.__dict__
        ):
            if report.when == "call":
                self._called.add(nodeid)
            elif report.when == "teardown" and nodeid in self._called:
                self._called.discard(nodeid)
                self._passed.add(nodeid)
                if self.journal is not None:
                    self.journal.passed(nodeid, self._nanoseconds[nodeid])
            return
        self._fold(report)

    def _fold(self, report: pytest.TestReport) -> None:
        pending = self._pending.setdefault(report.nodeid, _Pending(report))
        pending.called |= report.when == "call" or report.nodeid in self._called
        for number, entry in enumerate(report.user_properties):
            pending.properties[number] = entry
        outcome, detail = _read(report)
        # A subtest that failed before has a reason of its own, which the measurements' must not hide.
        limits = sum(name == BY_LIMIT for name, _ in report.user_properties)
        by_limit, pending.limits = limits > pending.limits, limits
        if outcome is None:
            pending.attempts += 1
        elif outcome is not Outcome.PASSED:
            detail = self._mask.text(detail)
            if not by_limit or outcome is not Outcome.FAILED:
                pending.told[outcome, detail] = None
            if outcome.badness > pending.outcome.badness:
                pending.outcome, pending.detail, pending.by_limit = outcome, detail, by_limit
        if report.when in ("teardown", CRASH):
            self._finish(report.nodeid)

    def _finish(self, nodeid: str) -> None:
        pending = self._pending.pop(nodeid)
        self._called.discard(nodeid)
        result = _result(nodeid, pending)
        if _is_plain(result):
            if pending.called:
                self._passed.add(nodeid)
                if self.journal is not None:
                    self.journal.passed(nodeid, self._nanoseconds[nodeid])
            return
        if result.outcome is Outcome.PASSED and not pending.called:
            # --setup-only and its like: what a fixture measured is no test that ran.
            return
        # A subtest's skip must not hide another one's: each has to be declared.
        others = [told for told in pending.told if told != (pending.outcome, pending.detail)]
        bare = replace(result, measurements=(), findings=(), by_limit=False)
        for one in (result, *(replace(bare, outcome=outcome, detail=detail) for outcome, detail in others)):
            self._results.append(one)
            if self.journal is not None:
                self.journal.result(one, self._nanoseconds[nodeid])

    def evidence(
        self, plan: Plan, faults: Iterable[tuple[Fault, str]] = (), stopped: str = "", exit_status: int = 0
    ) -> Evidence:
        """All that was reported so far. An item without its teardown has not passed; one that failed has failed."""
        unfinished = [_result(nodeid, pending) for nodeid, pending in self._pending.items()]
        told = [r for r in unfinished if r.outcome.badness > Outcome.PASSED.badness]
        results = _sorted([*self._results, *told])
        return Evidence(
            frozenset(self._passed.difference(r.nodeid for r in results)),
            results,
            tuple((fault, self._mask.text(text)) for fault, text in faults),
            _by_gate(plan, self._nanoseconds),
            self._mask.text(stopped),
            int(exit_status),
        )


def _sorted(results: list[ItemResult]) -> tuple[ItemResult, ...]:
    return tuple(sorted(results, key=lambda r: r.nodeid))


def _by_gate(plan: Plan, nanoseconds: Mapping[str, int]) -> dict[str, float]:
    """The seconds that each gate's items took, to the microsecond."""
    took = {gate: sum(nanoseconds.get(nodeid, 0) for nodeid in nodeids) for gate, nodeids in plan.gates.items()}
    return {gate: round(total / 1e9, 6) for gate, total in took.items()}


def _read(report: pytest.TestReport) -> tuple[Outcome | None, str]:
    """The outcome of one phase and its detail; None for an attempt that a plugin retried."""
    wasxfail = getattr(report, "wasxfail", None)
    if report.outcome == "passed":
        return (Outcome.PASSED, "") if wasxfail is None else (Outcome.XPASSED, str(wasxfail))
    if report.outcome == "skipped":
        if wasxfail is not None:
            return Outcome.XFAILED, str(wasxfail).removeprefix("reason: ")
        return Outcome.SKIPPED, skip_reason(report)
    if report.outcome == "failed":
        # pytest-xdist reports the item of a crashed worker in a phase of its own.
        phases = {"call": Outcome.FAILED, CRASH: Outcome.CRASHED}
        return phases.get(str(report.when), Outcome.ERROR), _first_line(report)
    return None, ""


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why an item or a module was skipped."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr or "")
    return text.removeprefix("Skipped: ").strip() or "no reason given"


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message) if crash is not None else str(report.longrepr or "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    where = "" if report.when in ("call", CRASH) else f"in {report.when}: "
    # A text without a crash location, such as a missing fixture's, names its cause on the E line.
    told = next((line.removeprefix("E").strip() for line in lines if line.startswith("E ")), lines[0] if lines else "")
    return (where + told)[:_DETAIL_LENGTH]


def _result(nodeid: str, pending: _Pending) -> ItemResult:
    measurements: list[Measurement] = []
    findings: tuple[Finding, ...] = ()
    outcome, detail = pending.outcome, pending.detail
    for name, value in pending.properties.values():
        if name == MEASUREMENT:
            measurements.append(msgspec.json.decode(str(value), type=Measurement))
        elif name == FINDINGS:
            findings = msgspec.json.decode(str(value), type=tuple[Finding, ...])
    if pending.attempts > 1 and outcome.badness < Outcome.FLAKY.badness:
        outcome, detail = Outcome.FLAKY, f"{outcome} at attempt {pending.attempts}" + (f": {detail}" if detail else "")
    path, line, _ = pending.report.location
    return ItemResult(
        nodeid,
        outcome,
        detail,
        pending.attempts,
        tuple(measurements),
        findings,
        pending.by_limit,
        path,
        (line or 0) + 1,
    )


def _is_plain(result: ItemResult) -> bool:
    return result.outcome is Outcome.PASSED and not result.measurements and not result.findings


class Journal:
    """A file of JSON lines, each on its way to the disk when its call returns; `replay` makes evidence of it."""

    def __init__(self, path: Path, masker: Masker) -> None:
        self.path = path
        self._mask = masker
        self.failure = ""
        self._number: dict[str, int] = {}
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            # Two sessions in one journal would be one verdict over half of each.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise OSError(errno.EBUSY, "another session is writing it") from None
        if os.fstat(self._file).st_size:  # a device such as /dev/null has none, and can not be truncated
            os.ftruncate(self._file, 0)

    def start(self, requirements: Requirements) -> None:
        self._line({"journal": 1, "requirements": msgspec.to_builtins(requirements)})

    def plan(self, requirements: Requirements, plan: Plan) -> None:
        self._number = {nodeid: number for number, nodeid in enumerate(_nodeids(plan))}
        self._line({"requirements": msgspec.to_builtins(requirements), "plan": msgspec.to_builtins(plan)})

    def passed(self, nodeid: str, nanoseconds: int) -> None:
        number = self._number.get(nodeid)
        if number is None:
            self._line({"unplanned": nodeid, "ns": nanoseconds})
        else:
            # No encoder and no mask here: two numbers can hold no secret.
            try:
                os.write(self._file, b'{"i":%d,"ns":%d}\n' % (number, nanoseconds))
            except OSError as error:
                self._lost(error)

    def result(self, result: ItemResult, nanoseconds: int) -> None:
        self._line({"ns": nanoseconds, "result": msgspec.to_builtins(result)})

    def end(self, evidence: Evidence) -> None:
        tail = replace(evidence, passed=frozenset(), results=(), seconds={})
        self._line({"end": msgspec.to_builtins(tail)})

    def close(self) -> None:
        os.close(self._file)

    def _line(self, value: dict[str, Any]) -> None:
        line = json.dumps(self._mask.tree(value), separators=(",", ":")).encode() + b"\n"
        try:
            os.write(self._file, line)
        except OSError as error:
            self._lost(error)

    def _lost(self, error: OSError) -> None:
        """The session goes on, and its verdict tells."""
        self.failure = str(error.strerror)


def _nodeids(plan: Plan) -> list[str]:
    return [nodeid for nodeids in plan.gates.values() for nodeid in nodeids]


def replay(path: Path) -> tuple[Requirements, Plan, Evidence]:
    """What a journal holds; raises SettingsError where it is none.

    A journal without its last line belongs to a session that died: that is a fault of its evidence.
    """
    try:
        lines = path.read_bytes().split(b"\n")
        head = json.loads(lines[0])
        requirements = msgspec.convert(head["requirements"], Requirements)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path}: no journal of a gate session: {error}") from None
    tape = _Tape(requirements)
    with suppress(ValueError, KeyError, TypeError, IndexError):
        # A line that can not be read is where the process died: nothing after it counts, least of all an end.
        for line in filter(None, lines[1:]):
            tape.read(json.loads(line))
    return tape.requirements, tape.plan, tape.evidence()


class _Tape:
    """A journal's lines, read back."""

    def __init__(self, requirements: Requirements) -> None:
        self.requirements = requirements
        self.plan = Plan({})
        self._nodeids: list[str] = []
        self._passed: set[str] = set()
        self._results: list[ItemResult] = []
        self._nanoseconds: dict[str, int] = {}
        self._end: Evidence | None = None

    def read(self, entry: dict[str, Any]) -> None:
        if "end" in entry:
            self._end = msgspec.convert(entry["end"], Evidence)
        elif "plan" in entry:
            self.plan = msgspec.convert(entry["plan"], Plan)
            self.requirements = msgspec.convert(entry["requirements"], Requirements)
            self._nodeids = _nodeids(self.plan)
        elif "result" in entry:
            result = msgspec.convert(entry["result"], ItemResult)
            self._results.append(result)
            self._nanoseconds[result.nodeid] = entry["ns"]
        else:
            nodeid = self._nodeids[entry["i"]] if "i" in entry else entry["unplanned"]
            self._passed.add(nodeid)
            self._nanoseconds[nodeid] = entry["ns"]

    def evidence(self) -> Evidence:
        end = self._end or Evidence(faults=((Fault.UNFINISHED, self._unfinished()),), exit_status=1)
        return replace(
            end,
            passed=frozenset(self._passed.difference(r.nodeid for r in self._results)),
            results=_sorted(self._results),
            seconds=_by_gate(self.plan, self._nanoseconds),
        )

    def _unfinished(self) -> str:
        reported = self._passed | {r.nodeid for r in self._results} | self.plan.removed.keys()
        silent = next((nodeid for nodeid in self._nodeids if nodeid not in reported), "")
        where = f"; the first item without a report is {silent}" if silent else ""
        return f"the session ended without a verdict: its process was killed{where}"
