"""Checklists: nothing is ticked without evidence, and no text of a verdict becomes markup."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pytest_artisan.cli import main
from pytest_artisan.release.checklists import LISTS, as_lines
from pytest_artisan.reports.machine import VERSION, Document, as_json
from pytest_artisan.verdict.decide import Purpose, Requirements, Verdict, decide
from pytest_artisan.verdict.evidence import (
    Baseline,
    Evidence,
    Fault,
    ItemResult,
    Measurement,
    Outcome,
    Plan,
    measured,
)

GATES = ("unit", "ensemble", "migrations", "smoke", "kpi")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def decided(
    *,
    gates: tuple[str, ...] = GATES,
    failed: tuple[str, ...] = (),
    measurements: tuple[Measurement, ...] = (),
    purpose: Purpose = Purpose.RELEASE,
    environment: str = "stg",
    faults: tuple[tuple[Fault, str], ...] = (),
    partial: tuple[str, ...] = (),
    commit: str = COMMIT,
    detail: str = "assert 1 == 2",
) -> Verdict:
    plan = Plan({gate: (f"test_{gate}.py::test_it",) for gate in gates})
    items = {gate: f"test_{gate}.py::test_it" for gate in gates}
    results = [ItemResult(items[gate], Outcome.FAILED, detail) for gate in failed]
    results += [ItemResult(items["unit"], Outcome.PASSED, measurements=measurements)] if measurements else []
    passed = frozenset(item for gate, item in items.items() if gate not in failed)
    asked = Requirements(
        purpose, gates, "d" * 64, environment=environment, partial=partial, left_out={"security": "not required"}
    )
    verdict = decide(asked, plan, Evidence(passed, tuple(results), faults, exit_status=int(bool(failed))))
    return replace(verdict, commit=commit)


def listed(name: str, verdict: Verdict) -> dict[str, str]:
    """The boxes of a list by their first words, with all that follows."""
    lines = as_lines(name, Document(VERSION, verdict.line, verdict))
    return {box.text: next(line for line in lines if box.text in line) for box in LISTS[name]}


def ticked(name: str, verdict: Verdict) -> list[str]:
    return [text for text, line in listed(name, verdict).items() if line.startswith("- [x] ")]


COMPARED = replace(measured("p95", 10, unit="ms", at_most=20), baseline=Baseline(10, "ms"))
WORSE = replace(COMPARED, baseline=Baseline(5, "ms"))
TESTS, DECISION, MIGRATIONS = "All tests pass", "Go/no-go says GO", "The migrations go up and down"
SMOKE, REGRESSION = "The smoke tests pass", "The regression tests pass"

# What the verdict is, and what of the lists before and after it proves.
PROVED: dict[str, tuple[Verdict, list[str], list[str]]] = {
    "GO": (decided(), [TESTS, DECISION, MIGRATIONS], [SMOKE]),
    "GO of a local run": (decided(purpose=Purpose.LOCAL), [TESTS, MIGRATIONS], [SMOKE]),
    "GO of dev": (decided(environment="dev"), [TESTS, DECISION, MIGRATIONS], []),
    "GO, compared": (decided(measurements=(COMPARED,)), [TESTS, DECISION, MIGRATIONS], [SMOKE, REGRESSION]),
    "GO of dev, compared": (decided(measurements=(COMPARED,), environment="dev"), [TESTS, DECISION, MIGRATIONS], []),
    "worse than its baseline": (decided(measurements=(WORSE,)), [MIGRATIONS], [SMOKE]),
    "a failed test": (decided(failed=("unit",)), [MIGRATIONS], [SMOKE]),
    "a failed critical gate": (decided(failed=("ensemble",)), [MIGRATIONS], [SMOKE]),
    "a failed migration": (decided(failed=("migrations",)), [TESTS], [SMOKE]),
    "no critical gate": (decided(gates=("unit",)), [TESTS, DECISION], []),
    "no unit tests": (decided(gates=("ensemble",)), [DECISION], []),
    "a lost worker": (decided(faults=((Fault.WORKER_LOST, "gw1 died"),)), [], []),
    "a partial run": (decided(purpose=Purpose.MERGE, partial=("unit",)), [], []),
    "no commit": (decided(commit=""), [], []),
    "files that are not committed": (decided(commit=f"{COMMIT}+changed"), [], []),
}


@pytest.mark.parametrize("case", PROVED)
def test_a_box_is_ticked_by_evidence_alone(case: str) -> None:
    verdict, before, after = PROVED[case]

    assert ticked("before", verdict) == before
    assert ticked("after", verdict) == after
    assert ticked("during", verdict) == []


def test_the_evidence_stands_beside_the_box() -> None:
    lines = listed("before", decided(failed=("migrations",)))

    assert lines[TESTS] == f"- [x] {TESTS} (unit GO, 1 of 1; ensemble GO, 1 of 1)"
    assert lines[MIGRATIONS] == f"- [ ] {MIGRATIONS} (migrations NO\\_GO, 0 of 1: failed: assert 1 == 2)"
    assert lines[DECISION] == f"- [ ] {DECISION} (NO\\-GO: failed: assert 1 == 2)"
    assert listed("after", decided())[SMOKE] == f"- [x] {SMOKE} (smoke GO, 1 of 1, in stg)"
    assert "kpi GO, 1 of 1, at one moment" in "\n".join(listed("during", decided()).values())
    assert "kpi NO\\_GO" in "\n".join(listed("during", decided(failed=("kpi",))).values())


def test_the_lists_are_those_of_the_release_strategy() -> None:
    assert {name: len(boxes) for name, boxes in LISTS.items()} == {"before": 6, "during": 5, "after": 6}
    assert all("[ ]" in line for name in LISTS for line in as_lines(name, None)[2:])


# How a verdict can be forged or cut by hand, and what the list says of it.
FORGED: dict[str, Callable[[Document], Document]] = {
    "another answer": lambda d: replace(d, answer="GO!"),
    "go with a reason": lambda d: replace(d, verdict=replace(d.verdict, go=True), answer="GO"),
    "go over a gate that is not": lambda d: replace(d, verdict=replace(d.verdict, go=True, reasons=()), answer="GO"),
    "no reason": lambda d: replace(d, verdict=replace(d.verdict, reasons=())),
    "a gate that is GO with a reason": lambda d: replace(
        d, verdict=replace(d.verdict, gates=tuple(replace(gate, state=type(gate.state).GO) for gate in d.verdict.gates))
    ),
    "a gate without an item": lambda d: replace(
        d, verdict=replace(d.verdict, gates=tuple(replace(gate, planned=0, passed=0) for gate in d.verdict.gates))
    ),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_verdict_that_contradicts_itself_proves_nothing(case: str) -> None:
    verdict = decided(failed=("kpi",))
    assert ticked("before", verdict)

    text = "\n".join(as_lines("before", FORGED[case](Document(VERSION, verdict.line, verdict))))
    assert "it proves nothing here: it contradicts itself" in text
    assert "[x]" not in text


@given(st.text(max_size=60))
def test_no_text_of_a_verdict_becomes_markup_or_a_line_of_its_own(text: str) -> None:
    verdict = decided(failed=("unit",), detail=f"\n- [x] {text} <b> @ada [a](http://b) {'long' * 99}\x1b[2J")
    lines = as_lines("before", Document(VERSION, verdict.line, verdict))

    assert len(lines) == 4 + len(LISTS["before"])
    assert all(line.isprintable() and len(line) < 1000 for line in lines)
    tokens = [child.type for token in MarkdownIt().parse("\n".join(lines)) for child in token.children or ()]
    assert set(tokens) == {"text"}


def test_the_command_prints_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "verdict.json"
    report.write_text(as_json(decided()))

    assert main(["checklist", "after", "--version", "hotfix-20261124-1930", "--verdict", str(report)], clock) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "## After the deployment of hotfix\\-20261124\\-1930"
    assert printed[2] == "Verdict GO, for commit 0123456789ab, environment stg, purpose release."
    assert printed[4].startswith("- [x] The smoke tests pass")


def clock() -> datetime:
    return datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no JSON report"),
        ("", "no JSON report"),
        ('{"version": 2}', "no JSON report"),
        ("[" * 9999, "no JSON report"),
    ],
    ids=["missing", "empty", "another version", "deep"],
)
def test_a_report_that_can_not_be_read_is_bad_input(
    content: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "verdict.json"
    if content is not None:
        report.write_text(content)

    assert main(["checklist", "before", "--verdict", str(report)], clock) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert f"verdict.json: {told}" in captured.err


@pytest.mark.parametrize("version", ["2.1.0", "v2", "v2.1.0\n- [x] all", "hotfix-1"])
def test_a_version_that_is_none_is_bad_input(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checklist", "before", "--version", version], clock) == 2
    assert "is no version" in capsys.readouterr().err


def test_a_cut_report_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = json.loads(as_json(decided()))
    for key in whole["verdict"]:
        cut = {**whole, "verdict": {k: v for k, v in whole["verdict"].items() if k != key}}
        (tmp_path / "verdict.json").write_text(json.dumps(cut))
        assert main(["checklist", "before", "--verdict", str(tmp_path / "verdict.json")], clock) == 2, key
    capsys.readouterr()
