"""`decide` is pure and total, and says GO exactly where the rule of judgement allows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from strategies import Session, close_sessions, wild_sessions

from pytest_artisan.verdict.decide import Expected, Purpose, Requirements, Verdict, decide
from pytest_artisan.verdict.evidence import (
    Baseline,
    Bound,
    Evidence,
    Fault,
    Finding,
    ItemResult,
    Limit,
    Measurement,
    Outcome,
    Plan,
)
from pytest_artisan.verdict.judge import Code, State

ASKED = Requirements(Purpose.RELEASE, ("unit",), "policy")
LOCAL = replace(ASKED, purpose=Purpose.LOCAL, local_optional=("unit",))
PLAN = Plan({"unit": ("a", "b")})
GREEN = Evidence(frozenset({"a", "b"}))
OVER = Measurement("p95", 3.0, "ms", Limit(Bound.AT_MOST, 2.0))
FINDING = Finding("ruff", "F401", "unused", "a.py", 1)
sessions = close_sessions() | wild_sessions()
quick = settings(max_examples=150, derandomize=True, deadline=None)


# The rule of judgement once more, in its own words: what speaks against GO, and how.
# red: something was found; undecided: it ran and decides nothing; missing: nothing readable came back.


def fits(pattern: str, text: str) -> bool:
    return pattern == text or (pattern.endswith("*") and text.startswith(pattern[:-1]))


def is_declared(asked: Requirements, outcome: str, node: str, reason: str) -> bool:
    return any(e.outcome == outcome and fits(e.item, node) and fits(e.reason, reason) for e in asked.expected)


def keeps(limit: Limit, value: float) -> bool:
    match limit.bound:
        case Bound.AT_MOST:
            return value <= limit.value
        case Bound.AT_LEAST:
            return value >= limit.value
        case Bound.BELOW:
            return value < limit.value
        case Bound.ABOVE:
            return value > limit.value
        case Bound.EQUAL_TO:
            return value == limit.value


def is_readable(value: float | None, interval: tuple[float, float] | None) -> bool:
    if value is None or not math.isfinite(value):
        return False
    return interval is None or -math.inf < interval[0] <= value <= interval[1] < math.inf


def is_worse(m: Measurement, value: float, limit: Limit, base: Baseline, base_value: float) -> bool:
    if limit.bound is Bound.EQUAL_TO:
        return value != base_value
    low_is_good = limit.bound in (Bound.AT_MOST, Bound.BELOW)
    if base.ratio is not None and low_is_good:
        return not base.ratio <= 1.2
    if m.interval and base.interval:
        return m.interval[0] > base.interval[1] if low_is_good else m.interval[1] < base.interval[0]
    slack = abs(base_value) / 10
    return value > base_value + slack if low_is_good else value < base_value - slack


def flaws(m: Measurement) -> Iterator[str]:
    if m.limit is None or not math.isfinite(m.limit.value):
        yield "undecided"
    elif m.value is None or not is_readable(m.value, m.interval) or (m.n is not None and m.n <= 0):
        yield "missing"
    elif m.doubt:
        yield "undecided"
    elif not keeps(m.limit, m.value):
        yield "red"
    else:
        if m.proven is None and not all(keeps(m.limit, edge) for edge in m.interval or ()):
            yield "undecided"
        base = m.baseline
        if base is None:
            return
        if base.value is None or not is_readable(base.value, base.interval) or base.unit != m.unit:
            yield "missing"
        elif is_worse(m, m.value, m.limit, base, base.value):
            yield "red"


def troubles_of_report(asked: Requirements, r: ItemResult) -> Iterator[str]:
    own = [flaw for m in r.measurements for flaw in flaws(m)] + ["red" for _ in r.findings]
    yield from own
    match r.outcome:
        case Outcome.PASSED if r.attempts > 1:
            yield "undecided"
        case Outcome.FLAKY:
            yield "undecided"
        case Outcome.FAILED if r.by_limit and own:
            pass
        case Outcome.FAILED | Outcome.ERROR | Outcome.CRASHED:
            yield "red"
        case Outcome.SKIPPED if not is_declared(asked, "skip", r.nodeid, r.detail):
            yield "missing"
        case Outcome.XFAILED if not is_declared(asked, "xfail", r.nodeid, r.detail):
            yield "red"
        case Outcome.XPASSED if not is_declared(asked, "xpass", r.nodeid, r.detail):
            yield "undecided"


def troubles_of_gate(asked: Requirements, plan: Plan, seen: Evidence, gate: str) -> Iterator[str]:
    planned = plan.gates.get(gate, ())
    if len(planned) < max(1, asked.min_items.get(gate, 1)) or len(set(planned)) < len(planned):
        yield "missing"
    passed, units = 0, dict[str, set[str]]()
    for node in planned:
        reports = [r for r in seen.results if r.nodeid == node]
        for r in reports:
            yield from troubles_of_report(asked, r)
            for m in r.measurements:
                units.setdefault(m.name, set()).add(m.unit)
        if not reports and node not in seen.passed:
            if node not in plan.removed or not is_declared(asked, "deselected", node, plan.removed[node]):
                yield "missing"
        elif all(r.outcome is Outcome.PASSED and r.attempts == 1 for r in reports):
            passed += 1
    if not passed or any(len(kinds) > 1 for kinds in units.values()):
        yield "missing"


def may_go(asked: Requirements, plan: Plan, seen: Evidence) -> bool:
    known = {node for nodes in plan.gates.values() for node in nodes}
    undeclared = [n for n, why in plan.skipped_modules.items() if not is_declared(asked, "skip", n, why)]
    if seen.faults or seen.exit_status != 0 or undeclared or not asked.required:
        return False
    if not (seen.passed | {r.nodeid for r in seen.results}) <= known:
        return False
    if asked.purpose is Purpose.RELEASE and asked.partial:
        return False
    for gate in {*plan.gates, *asked.required}:
        troubles = set(troubles_of_gate(asked, plan, seen, gate))
        excusable = asked.purpose is Purpose.LOCAL and gate in asked.local_optional
        if "red" in troubles or (gate in asked.required and troubles - ({"missing"} if excusable else set())):
            return False
    return any(not set(troubles_of_gate(asked, plan, seen, gate)) for gate in asked.required)


@quick
@given(sessions)
def test_any_input_has_a_verdict_and_always_the_same(session: Session) -> None:
    assert repr(decide(*session)) == repr(decide(*session))


@settings(quick, max_examples=600)
@given(sessions)
def test_go_is_said_exactly_where_the_rule_allows_it(session: Session) -> None:
    verdict = decide(*session)

    assert verdict.go == may_go(*session)
    assert verdict.go == (not verdict.reasons)


@quick
@given(sessions)
def test_only_a_local_run_excuses_and_only_what_its_policy_names(session: Session) -> None:
    asked, plan, seen = session
    excused = set(decide(*session).no_evidence)

    assert excused <= set(asked.local_optional) & set(asked.required)
    assert not excused or asked.purpose is Purpose.LOCAL
    for gate in excused:
        assert set(troubles_of_gate(asked, plan, seen, gate)) == {"missing"}


KINDS_OF_GO: dict[str, Callable[[Session, Verdict], object]] = {
    "three gates": lambda session, verdict: len(verdict.gates) == 3 and not verdict.no_evidence,
    "excused": lambda session, verdict: verdict.no_evidence,
    "declared": lambda session, verdict: verdict.counts["declared"] and verdict.counts["passed"],
    "measured": lambda session, verdict: any(gate.measurements for gate in verdict.gates),
    "release": lambda session, verdict: session[0].purpose is Purpose.RELEASE,
}


@pytest.mark.parametrize("kind", KINDS_OF_GO)
def test_the_generated_sessions_reach_every_kind_of_go(kind: str) -> None:
    def is_reached(session: Session) -> bool:
        verdict = decide(*session)
        return verdict.go and bool(KINDS_OF_GO[kind](session, verdict))

    assert find(close_sessions(), is_reached, settings=settings(quick, max_examples=1000, phases=[Phase.generate]))


def worsened(draw: st.DrawFn, session: Session) -> Session:
    asked, plan, seen = session
    known = sorted({node for nodes in plan.gates.values() for node in nodes})
    number = draw(st.integers(0, max(len(seen.results) - 1, 0)))
    told = seen.results[number] if seen.results else ItemResult("stranger", Outcome.PASSED)
    changed = {
        "finding": replace(told, findings=(*told.findings, FINDING)),
        "limit": replace(told, measurements=(*told.measurements, OVER)),
        "failure": replace(told, outcome=draw(st.sampled_from((Outcome.FAILED, Outcome.ERROR, Outcome.CRASHED)))),
    }
    if told.outcome is Outcome.PASSED and told.attempts == 1:
        changed["outcome"] = replace(told, outcome=draw(st.sampled_from(Outcome)))
    ways = {
        "fault": replace(seen, faults=(*seen.faults, (Fault.INTERRUPTED, ""))),
        "exit status": replace(seen, exit_status=seen.exit_status or 3),
        "another report": replace(seen, results=(*seen.results, ItemResult((known or ["x"])[0], Outcome.ERROR))),
    }
    for node in seen.passed & set(known):
        ways[f"without {node}"] = replace(seen, passed=seen.passed - {node})
    for way, result in changed.items():
        others = (*seen.results[:number], result, *seen.results[number + 1 :])
        ways[way] = replace(seen, results=others)
    return asked, plan, ways[draw(st.sampled_from(sorted(ways)))]


@settings(quick, max_examples=400)
@given(st.data(), sessions)
def test_worse_evidence_never_turns_no_go_into_go(data: st.DataObject, session: Session) -> None:
    worse = data.draw(st.composite(worsened)(session))

    assert decide(*session).go or not decide(*worse).go


@quick
@given(sessions)
def test_the_counts_add_up(session: Session) -> None:
    verdict = decide(*session)
    counts = verdict.counts
    kinds = [*(outcome.value for outcome in Outcome), "deselected", "not_run"]

    assert counts["planned"] == sum(counts[kind] for kind in kinds)
    assert counts["planned"] == len({node for nodes in session[1].gates.values() for node in nodes})
    assert all(number >= 0 for number in counts.values())
    for gate in verdict.gates:
        assert gate.planned == len(session[1].gates.get(gate.name, ()))
        assert 0 <= gate.passed <= gate.planned
        assert 0 <= gate.declared <= gate.planned - gate.passed


def told(outcome: Outcome, *measurements: Measurement, **fields: object) -> Evidence:
    """The item `b` passes; this is what `a` reports."""
    result = replace(ItemResult("a", outcome, "why", measurements=measurements), **fields)  # type: ignore[arg-type]
    return Evidence(frozenset({"b"}), (result,))


def number(**fields: object) -> Measurement:
    return replace(Measurement("p95", 1.0, "ms", Limit(Bound.AT_MOST, 2.0)), **fields)  # type: ignore[arg-type]


PASSED = Outcome.PASSED
ALL_SKIPS = replace(ASKED, expected=(Expected("skip", "no GPU here"), Expected("deselected", "slow")))
CASES: list[tuple[Code, State, Session]] = [
    (Code.OVER_LIMIT, State.NO_GO, (ASKED, PLAN, told(PASSED, OVER))),
    (Code.OVER_LIMIT, State.NO_GO, (ASKED, PLAN, told(Outcome.FAILED, OVER, by_limit=True))),
    (Code.NO_LIMIT, State.INCONCLUSIVE, (ASKED, PLAN, told(PASSED, number(limit=None)))),
    (Code.NO_LIMIT, State.INCONCLUSIVE, (ASKED, PLAN, told(PASSED, number(limit=Limit(Bound.BELOW, math.nan))))),
    (Code.NO_DATA, State.NO_EVIDENCE, (ASKED, PLAN, told(PASSED, number(value=None)))),
    (Code.NO_DATA, State.NO_EVIDENCE, (ASKED, PLAN, told(PASSED, number(value=math.nan)))),
    (Code.NO_DATA, State.NO_EVIDENCE, (ASKED, PLAN, told(PASSED, number(n=0)))),
    (Code.NO_DATA, State.NO_EVIDENCE, (ASKED, PLAN, told(PASSED, number(interval=(math.nan, 1.5))))),
    (Code.INTERVAL, State.INCONCLUSIVE, (ASKED, PLAN, told(PASSED, number(interval=(0.5, 2.5))))),
    (Code.DOUBT, State.INCONCLUSIVE, (ASKED, PLAN, told(PASSED, number(doubt="its clock was late")))),
    (Code.REGRESSION, State.NO_GO, (ASKED, PLAN, told(PASSED, number(baseline=Baseline(0.5, "ms"))))),
    (Code.NO_BASELINE, State.NO_EVIDENCE, (ASKED, PLAN, told(PASSED, number(baseline=Baseline())))),
    (Code.NO_BASELINE, State.NO_EVIDENCE, (ASKED, PLAN, told(PASSED, number(baseline=Baseline(math.inf, "ms"))))),
    (Code.UNIT, State.NO_EVIDENCE, (ASKED, PLAN, told(PASSED, number(baseline=Baseline(1.0, "s"))))),
    (Code.UNIT, State.NO_EVIDENCE, (ASKED, PLAN, told(PASSED, number(), number(unit="s")))),
    (Code.FINDING, State.NO_GO, (ASKED, PLAN, told(PASSED, findings=(FINDING,)))),
    (Code.FAILED, State.NO_GO, (ASKED, PLAN, told(Outcome.FAILED))),
    (Code.FAILED, State.NO_GO, (ASKED, PLAN, told(Outcome.FAILED, number(), by_limit=True))),
    (Code.ERROR, State.NO_GO, (ASKED, PLAN, told(Outcome.ERROR, number(value=None), by_limit=True))),
    (Code.CRASHED, State.NO_GO, (ASKED, PLAN, told(Outcome.CRASHED))),
    (Code.FLAKY, State.INCONCLUSIVE, (ASKED, PLAN, told(Outcome.FLAKY))),
    (Code.FLAKY, State.INCONCLUSIVE, (ASKED, PLAN, told(PASSED, attempts=2))),
    (Code.SKIPPED, State.NO_EVIDENCE, (ASKED, PLAN, told(Outcome.SKIPPED))),
    (Code.SKIPPED, State.GO, (ASKED, replace(PLAN, skipped_modules={"m.py": "no GPU"}), GREEN)),
    (Code.XFAILED, State.NO_GO, (ASKED, PLAN, told(Outcome.XFAILED, number(value=None), by_limit=True))),
    (Code.XPASSED, State.INCONCLUSIVE, (ASKED, PLAN, told(Outcome.XPASSED))),
    (Code.DESELECTED, State.NO_EVIDENCE, (ASKED, replace(PLAN, removed={"a": "-k"}), Evidence(frozenset("b")))),
    (Code.NOT_RUN, State.NO_EVIDENCE, (ASKED, PLAN, Evidence(frozenset("b"), stopped="-x"))),
    (Code.NO_ITEMS, State.NO_EVIDENCE, (ASKED, Plan({}), Evidence())),
    (Code.NO_ITEMS, State.GO, (replace(ASKED, required=()), PLAN, GREEN)),
    (Code.TOO_FEW, State.NO_EVIDENCE, (replace(ASKED, min_items={"unit": 3}), PLAN, GREEN)),
    (Code.NOTHING_PASSED, State.NO_EVIDENCE, (ALL_SKIPS, Plan({"unit": ("a",)}, {"a": "-m"}), Evidence())),
    (Code.DUPLICATE, State.NO_EVIDENCE, (ASKED, Plan({"unit": ("a", "a", "b")}), GREEN)),
    (Code.UNPLANNED, State.GO, (ASKED, PLAN, Evidence(frozenset("abc")))),
    (Code.UNUSED, State.GO, (ALL_SKIPS, PLAN, GREEN)),
    (Code.PARTIAL, State.GO, (replace(ASKED, partial=("unit",)), PLAN, GREEN)),
    (Code.SESSION, State.GO, (ASKED, PLAN, replace(GREEN, faults=((Fault.CLOCK, "backwards"),)))),
    (Code.SESSION, State.GO, (ASKED, PLAN, replace(GREEN, exit_status=3))),
]


@pytest.mark.parametrize(
    ("code", "state", "session"), CASES, ids=[f"{code}-{row}" for row, (code, _, _) in enumerate(CASES)]
)
def test_each_trouble_has_its_own_code_and_state(code: Code, state: State, session: Session) -> None:
    verdict = decide(*session)
    [gate] = verdict.gates

    assert code in {reason.code for reason in (verdict.warnings if code is Code.UNUSED else verdict.reasons)}
    assert gate.state is state
    assert verdict.go == (code is Code.UNUSED)


def test_every_code_has_a_case() -> None:
    assert {code for code, _, _ in CASES} == set(Code)


TWICE = [
    ((PASSED, ()), (PASSED, (OVER,)), Code.OVER_LIMIT),
    ((Outcome.XFAILED, ()), (PASSED, (OVER,)), Code.OVER_LIMIT),
    ((Outcome.XFAILED, ()), (Outcome.SKIPPED, ()), Code.SKIPPED),
    ((PASSED, ()), (Outcome.CRASHED, ()), Code.CRASHED),
]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(("first", "second", "code"), TWICE)
def test_nothing_that_one_of_two_reports_of_an_item_shows_is_lost(
    first: tuple[Outcome, tuple[Measurement, ...]],
    second: tuple[Outcome, tuple[Measurement, ...]],
    code: Code,
    swapped: bool,
) -> None:
    reports = tuple(ItemResult("a", outcome, measurements=ms) for outcome, ms in (first, second))
    asked = replace(ASKED, expected=(Expected("xfail", "a known bug"),))
    verdict = decide(asked, PLAN, Evidence(frozenset("b"), reports[::-1] if swapped else reports))

    assert not verdict.go
    assert code in {reason.code for reason in verdict.reasons}


def test_a_gate_that_could_not_decide_is_not_excused_because_another_item_did_not_run() -> None:
    flaky = ItemResult("a", Outcome.FLAKY)

    assert not decide(LOCAL, PLAN, Evidence(frozenset("b"), (flaky,))).go
    assert not decide(LOCAL, PLAN, Evidence(results=(flaky,))).go


LINES = [
    (ASKED, GREEN, "GO"),
    (ASKED, Evidence(frozenset("a")), "NO-GO"),
    (LOCAL, Evidence(frozenset("a")), "GO (local; no evidence: unit)"),
    (replace(LOCAL, partial=("unit",)), GREEN, "GO (partial: unit)"),
    (replace(LOCAL, purpose=Purpose.MERGE), Evidence(frozenset("a")), "NO-GO"),
    (LOCAL, told(Outcome.FAILED), "NO-GO"),
]


@pytest.mark.parametrize(("asked", "seen", "line"), LINES)
def test_the_last_line_says_for_what_it_is_go(asked: Requirements, seen: Evidence, line: str) -> None:
    # Beside a gate that did show something: a run in which all are excused is no GO.
    plan = Plan({**PLAN.gates, "smoke": ("c",)})
    seen = replace(seen, passed=seen.passed | {"c"})

    assert decide(replace(asked, required=("unit", "smoke")), plan, seen).line == line


def test_a_run_in_which_every_gate_is_excused_shows_nothing() -> None:
    verdict = decide(LOCAL, PLAN, Evidence(frozenset("a")))

    assert (verdict.no_evidence, verdict.line) == (("unit",), "NO-GO")
