"""Policy, plan and evidence in; a verdict out. Everything that is not shown is NO-GO."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache

from pytest_artisan.verdict.evidence import BUILT_IN, Evidence, Fault, Finding, ItemResult, Measurement, Outcome, Plan
from pytest_artisan.verdict.judge import Code, Reason, State, judge


class Purpose(StrEnum):
    """What a verdict is for; only a local run may let gates go without evidence."""

    LOCAL = "local"
    MERGE = "merge"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Expected:
    """An outcome other than a pass that the policy declares; `*` and `?` are wildcards in `item` and `reason`."""

    outcome: str
    why: str
    item: str = "*"
    reason: str = "*"

    def matches(self, outcome: str, nodeid: str, reason: str) -> bool:
        return (
            outcome == self.outcome
            and _pattern(self.item).fullmatch(nodeid) is not None
            and _pattern(self.reason).fullmatch(reason) is not None
        )


@cache
def _pattern(text: str) -> re.Pattern[str]:
    # Not fnmatch: the brackets of a parametrised node id are no character class.
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a policy asks of one session; all that `decide` needs to know of it.

    `time_limits` are seconds that all items of a gate may take together. `partial` holds what was asked for instead of
    everything, `left_out` and `unconfigured` a text for each gate. `policy` names a policy other than the main one.
    `commit` is the id of the commit under test, with "+changed" behind it where files differ, and empty without one.
    """

    purpose: Purpose
    required: tuple[str, ...]
    policy_digest: str
    environment: str = "dev"
    local_optional: tuple[str, ...] = ()
    expected: tuple[Expected, ...] = ()
    min_items: Mapping[str, int] = field(default_factory=dict)
    time_limits: Mapping[str, float] = field(default_factory=dict)
    partial: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    unconfigured: Mapping[str, str] = field(default_factory=dict)
    policy: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """One gate's state; `planned` = `passed` + `declared` + the items that its reasons name."""

    name: str
    state: State
    required: bool
    planned: int
    passed: int
    declared: int
    seconds: float
    measurements: tuple[Measurement, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: GO, or NO-GO with a reason for everything that is not GO."""

    go: bool
    purpose: Purpose
    environment: str
    partial: tuple[str, ...]
    no_evidence: tuple[str, ...]
    gates: tuple[GateVerdict, ...]
    reasons: tuple[Reason, ...]
    warnings: tuple[Reason, ...]
    left_out: Mapping[str, str]
    withheld: tuple[str, ...]
    counts: Mapping[str, int]
    policy: str
    policy_digest: str
    plan_digest: str
    commit: str

    @property
    def line(self) -> str:
        """The last line of a report: `GO`, `NO-GO`, or `GO (local; no evidence: security)`."""
        if not self.go:
            return "NO-GO"
        notes = [f"partial: {', '.join(self.partial)}"] if self.partial else []
        if self.no_evidence:
            notes += ["local", f"no evidence: {', '.join(self.no_evidence)}"]
        return f"GO ({'; '.join(notes)})" if notes else "GO"


@dataclass(frozen=True, slots=True)
class _Case:
    """All that was asked and all that was seen, with the results of each item, the worst first."""

    asked: Requirements
    plan: Plan
    seen: Evidence
    results: Mapping[str, list[ItemResult]]

    def worst(self, nodeid: str) -> Outcome:
        return self.results[nodeid][0].outcome

    def declared(self, outcome: str, nodeid: str, reason: str) -> bool:
        if nodeid.startswith(f"{BUILT_IN}::"):
            return False
        return any(e.matches(outcome, nodeid, reason) for e in self.asked.expected)


def decide(requirements: Requirements, plan: Plan, evidence: Evidence) -> Verdict:
    """The verdict. Total: any input has one, and GO needs evidence for every requirement."""
    case = _Case(requirements, plan, evidence, _by_item(evidence.results))
    names = dict.fromkeys([*plan.gates, *requirements.required])
    judged = [_judge_gate(case, name) for name in names]
    gates = tuple(gate for gate, _ in judged)
    reasons = [*_session_reasons(case), *_module_reasons(case), *(r for _, found in judged for r in found)]
    local = requirements.purpose is Purpose.LOCAL
    optional = set(requirements.local_optional if local else ()) & set(requirements.required)
    excused = tuple(gate.name for gate, reasons in judged if gate.name in optional and _lacks_evidence(reasons))
    binding = set(requirements.required) - set(excused)
    blocking = [r for r in reasons if _blocks(r, binding)]
    if excused and not binding:
        blocking.append(_session(Code.NO_ITEMS, "every required gate went without evidence, so nothing was shown"))
    status = evidence.exit_status
    if status != 0 and (status != 1 or not blocking):
        # Status 1 is pytest's word for failed items, which have reasons of their own.
        blocking.insert(0, _session(Code.SESSION, f"pytest ended with exit status {status}", Fault.EXIT_STATUS))
    return Verdict(
        go=not blocking,
        purpose=requirements.purpose,
        environment=requirements.environment,
        partial=requirements.partial,
        no_evidence=excused,
        gates=gates,
        reasons=tuple(blocking),
        warnings=(*(r for r in reasons if not _blocks(r, binding)), *_remarks(gates), *_unused(case)),
        left_out=requirements.left_out,
        withheld=plan.withheld,
        counts=_counts(case, gates),
        policy=requirements.policy,
        policy_digest=requirements.policy_digest,
        plan_digest=plan.digest,
        commit=requirements.commit,
    )


def _by_item(results: Iterable[ItemResult]) -> dict[str, list[ItemResult]]:
    """A replaced worker or a subtest may report an item twice: its worst outcome counts, and all that was found."""
    reports: dict[str, list[ItemResult]] = {}
    for result in results:
        retried = result.outcome is Outcome.PASSED and result.attempts > 1
        reports.setdefault(result.nodeid, []).append(replace(result, outcome=Outcome.FLAKY) if retried else result)
    for reported in reports.values():
        reported.sort(key=lambda result: -result.outcome.badness)
    return reports


def _lacks_evidence(reasons: list[Reason]) -> bool:
    """Whether nothing but a lack of evidence speaks against a gate: what ran and could not decide is more than that."""
    return bool(reasons) and all(reason.state is State.NO_EVIDENCE for reason in reasons)


def _blocks(reason: Reason, binding: set[str]) -> bool:
    """What was found, and what befell the session, always blocks; a lack of evidence where the gate is binding."""
    return reason.state is State.NO_GO or not reason.gate or reason.gate in binding


def _judge_gate(case: _Case, name: str) -> tuple[GateVerdict, list[Reason]]:
    planned = case.plan.gates.get(name, ())
    items = dict.fromkeys(planned)
    told = [result for nodeid in items for result in case.results.get(nodeid, ())]
    doubts: dict[str, list[Reason]] = {}
    for nodeid in items:
        if nodeid in case.results:
            doubts[nodeid] = _item_reasons(case, name, nodeid)
        elif nodeid not in case.seen.passed:
            doubts[nodeid] = _silence_reasons(case, name, nodeid)
    undoubted = {r.nodeid for r in told if not doubts[r.nodeid] and case.worst(r.nodeid) is Outcome.PASSED}
    declared = sum(not found for found in doubts.values()) - len(undoubted)
    passed = len(items) - len(doubts) + len(undoubted)
    reasons = [reason for found in doubts.values() for reason in found]
    reasons += [*_sufficiency(case, name, planned), *_unit_conflicts(name, told), *_overtime(case, name)]
    if planned and not passed and not reasons:
        reasons.append(Reason(Code.NOTHING_PASSED, State.NO_EVIDENCE, "no item passed, all are declared away", name))
    gate = GateVerdict(
        name=name,
        state=max((r.state for r in reasons), key=lambda state: state.badness, default=State.GO),
        required=name in case.asked.required,
        planned=len(planned),
        passed=passed,
        declared=declared,
        seconds=case.seen.seconds.get(name, 0.0),
        measurements=tuple(replace(m, item=r.nodeid) for r in told for m in r.measurements),
        findings=tuple(f for r in told for f in r.findings),
    )
    return gate, reasons


def _counts(case: _Case, gates: Iterable[GateVerdict]) -> dict[str, int]:
    """How the planned items ended; `planned` is the sum of all but `declared` and `modules_skipped`."""
    planned = {nodeid for nodeids in case.plan.gates.values() for nodeid in nodeids}
    counts = Counter(case.worst(nodeid).value for nodeid in case.results.keys() & planned)
    plain = (case.seen.passed & planned) - case.results.keys()
    silent = planned - plain - case.results.keys()
    counts["passed"] += len(plain)
    counts["deselected"] = len(silent & case.plan.removed.keys())
    counts["not_run"] = len(silent) - counts["deselected"]
    return {
        "planned": sum(counts.values()),
        **{kind: counts[kind] for kind in [*(o.value for o in Outcome), "deselected", "not_run"]},
        "declared": sum(gate.declared for gate in gates),
        "modules_skipped": len(case.plan.skipped_modules),
    }


def _item_reasons(case: _Case, gate: str, nodeid: str) -> list[Reason]:
    """The reasons of all reports of an item, the same one once."""
    return list(dict.fromkeys(r for result in case.results[nodeid] for r in _result_reasons(case, gate, result)))


def _result_reasons(case: _Case, gate: str, result: ItemResult) -> list[Reason]:
    reasons = [
        Reason(code, state, text, gate, result.nodeid, "", result.path, result.line)
        for measurement in result.measurements
        for code, state, text in judge(measurement)
    ]
    reasons += [_of_finding(finding, State.NO_GO, gate, result.nodeid) for finding in result.findings if finding.blocks]
    # What an item measured says more than that it failed, or gave up, for it.
    told = reasons and (result.by_limit if result.outcome is Outcome.FAILED else result.outcome is Outcome.SKIPPED)
    if result.outcome is Outcome.PASSED or told:
        return reasons
    return reasons + _outcome_reasons(case, gate, result)


def _of_finding(finding: Finding, state: State, gate: str, nodeid: str) -> Reason:
    return Reason(Code.FINDING, state, finding.text, gate, nodeid, "", finding.path, finding.line)


def _remarks(gates: Iterable[GateVerdict]) -> Iterator[Reason]:
    """What was found and does not block."""
    for gate in gates:
        yield from (_of_finding(f, State.GO, gate.name, "") for f in gate.findings if not f.blocks)


_OUTCOMES = {
    Outcome.FAILED: (Code.FAILED, State.NO_GO, "failed"),
    Outcome.ERROR: (Code.ERROR, State.NO_GO, "error"),
    Outcome.CRASHED: (Code.CRASHED, State.NO_GO, "crashed its process"),
    Outcome.FLAKY: (Code.FLAKY, State.INCONCLUSIVE, "FLAKY: passed only when it was retried"),
    Outcome.SKIPPED: (Code.SKIPPED, State.NO_EVIDENCE, "skipped"),
    Outcome.XFAILED: (
        Code.XFAILED,
        State.NO_GO,
        "failed as its xfail marker expects, which the policy does not declare",
    ),
    Outcome.XPASSED: (Code.XPASSED, State.INCONCLUSIVE, "passed although its xfail marker expects a failure"),
}
DECLARABLE = {Code.SKIPPED: "skip", Code.XFAILED: "xfail", Code.XPASSED: "xpass", Code.DESELECTED: "deselected"}


def _outcome_reasons(case: _Case, gate: str, result: ItemResult) -> list[Reason]:
    code, state, text = _OUTCOMES[result.outcome]
    kind = DECLARABLE.get(code)
    if kind is not None and case.declared(kind, result.nodeid, result.detail):
        return []
    full = f"{text}: {result.detail}" if result.detail else text
    remedy = "" if kind is None else declaration(kind, "item", result.nodeid)
    cause = "" if kind is None else result.detail
    return [Reason(code, state, full, gate, result.nodeid, remedy, result.path, result.line, cause)]


def declaration(outcome: str, key: str, pattern: str) -> str:
    """The entry that declares an outcome by its `item` or its `reason`, for the list `expected` of [tool.artisan]."""
    # A string of JSON is one of TOML, too.
    return f'{{ outcome = "{outcome}", {key} = {json.dumps(pattern, ensure_ascii=False)}, why = "..." }}'


def _silence_reasons(case: _Case, gate: str, nodeid: str) -> list[Reason]:
    cause = case.plan.removed.get(nodeid)
    if cause is None:
        text = f"did not run: {case.seen.stopped or 'nothing was reported for it'}"
        return [Reason(Code.NOT_RUN, State.NO_EVIDENCE, text, gate, nodeid)]
    if case.declared("deselected", nodeid, cause):
        return []
    remedy = declaration("deselected", "item", nodeid)
    text = f"deselected by {cause}"
    return [Reason(Code.DESELECTED, State.NO_EVIDENCE, text, gate, nodeid, remedy, cause=cause)]


def _sufficiency(case: _Case, gate: str, planned: tuple[str, ...]) -> Iterator[Reason]:
    """No item, too few, or one twice: no evidence, however green the rest is."""
    least = case.asked.min_items.get(gate, 1)
    if not planned:
        text = case.asked.unconfigured.get(gate, "no item gives evidence for it")
        yield Reason(Code.NO_ITEMS, State.NO_EVIDENCE, text, gate)
    elif len(planned) < least:
        text = f"{len(planned)} items were collected, the policy's min_items is {least}"
        yield Reason(Code.TOO_FEW, State.NO_EVIDENCE, text, gate)
    if len(set(planned)) < len(planned):
        for nodeid, times in Counter(planned).items():
            if times > 1:
                text = f"collected {times} times under one id, so no outcome is sure to be its own"
                yield Reason(Code.DUPLICATE, State.NO_EVIDENCE, text, gate, nodeid)


def _overtime(case: _Case, gate: str) -> Iterator[Reason]:
    limit = case.asked.time_limits.get(gate)
    taken = case.seen.seconds.get(gate, 0.0)
    if limit is not None and not taken <= limit:
        yield Reason(Code.OVER_LIMIT, State.NO_GO, f"session_limit: its items took {taken:.0f} s > {limit:g} s", gate)


def _unit_conflicts(gate: str, results: Iterable[ItemResult]) -> Iterator[Reason]:
    units: dict[str, str] = {}
    for result in results:
        for m in result.measurements:
            if units.setdefault(m.name, m.unit) != m.unit:
                text = f"{m.name} is measured in {units[m.name]} and in {m.unit}"
                yield Reason(Code.UNIT, State.NO_EVIDENCE, text, gate, result.nodeid)


def _session(code: Code, text: str, subject: str = "", remedy: str = "") -> Reason:
    return Reason(code, State.NO_EVIDENCE, text, "", subject, remedy)


def _session_reasons(case: _Case) -> Iterator[Reason]:
    for fault, text in case.seen.faults:
        yield _session(Code.SESSION, text, fault)
    known = {nodeid for nodeids in case.plan.gates.values() for nodeid in nodeids}
    for nodeid in sorted((case.seen.passed | case.results.keys()) - known):
        yield _session(Code.UNPLANNED, "reported, but not in the plan", nodeid)
    if case.asked.partial and case.asked.purpose is Purpose.RELEASE:
        text = f"a release needs every gate, this run was limited to {', '.join(case.asked.partial)}"
        yield _session(Code.PARTIAL, text)
    if not case.asked.required:
        yield _session(Code.NO_ITEMS, "no gate is required, so nothing was decided")


def _module_reasons(case: _Case) -> Iterator[Reason]:
    """A module that skips itself hides items that nobody can count."""
    for nodeid, reason in case.plan.skipped_modules.items():
        if not case.declared("skip", nodeid, reason):
            yield _session(Code.SKIPPED, f"module skipped: {reason}", nodeid, declaration("skip", "item", nodeid))


def _unused(case: _Case) -> Iterator[Reason]:
    """Declared outcomes that did not occur; a warning, as they may belong to another platform."""
    if not case.asked.expected:
        return
    results = [result for reported in case.results.values() for result in reported]
    codes = {outcome: code for outcome, (code, _, _) in _OUTCOMES.items() if code in DECLARABLE}
    seen = [(DECLARABLE[codes[r.outcome]], r.nodeid, r.detail) for r in results if r.outcome in codes]
    seen += [("skip", nodeid, reason) for nodeid, reason in case.plan.skipped_modules.items()]
    seen += [("deselected", nodeid, cause) for nodeid, cause in case.plan.removed.items()]
    for e in case.asked.expected:
        if not any(e.matches(*occurrence) for occurrence in seen):
            text = f"declared {e.outcome} did not occur: item {e.item!r}, reason {e.reason!r}"
            yield Reason(Code.UNUSED, State.GO, text)
