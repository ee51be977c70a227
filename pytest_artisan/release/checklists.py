"""The release strategy's checklists: what a verdict proves is ticked, with the evidence beside it; all else stays open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pytest_artisan.release.worktree import CHANGED
from pytest_artisan.reports.machine import Document
from pytest_artisan.reports.markdown import escape
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.decide import GateVerdict, Purpose, Verdict
from pytest_artisan.verdict.judge import State, judge

_LONGEST = 200
CRITICAL = ("unit", "ensemble", "moga_stability", "e2e_evolution")


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a verdict proves what a box says, and its evidence for that or against it."""

    holds: bool
    evidence: str


Prover = Callable[[Verdict], Proof]


@dataclass(frozen=True, slots=True)
class Box:
    """One line of a list; without a `prover` it is for a person alone to tick."""

    text: str
    prover: Prover | None = None


def _gates(first: str, *others: str) -> Prover:
    """The gate `first` is GO, and so are those of the others that the verdict has."""

    def prove(verdict: Verdict) -> Proof:
        found = {gate.name: gate for gate in verdict.gates if gate.name in (first, *others)}
        if first not in found:
            cause = verdict.left_out.get(first)
            return Proof(False, f"{first} was left out: {cause}" if cause else f"the verdict has no gate {first}")
        bad = [gate for gate in found.values() if gate.state is not State.GO]
        return Proof(not bad, "; ".join(_told(verdict, gate) for gate in bad or found.values()))

    return prove


def _told(verdict: Verdict, gate: GateVerdict) -> str:
    reason = next((f": {reason.text}" for reason in verdict.reasons if reason.gate == gate.name), "")
    declared = f" and {gate.declared} declared otherwise" if gate.declared else ""
    return f"{gate.name} {gate.state}, {gate.passed} of {gate.planned}{declared}{reason}"


def _seen(gate: str) -> Prover:
    """Over a time no verdict proves anything; it can speak against it, and for a moment."""

    def prove(verdict: Verdict) -> Proof:
        proof = _gates(gate)(verdict)
        return Proof(False, f"{proof.evidence}, at one moment" if proof.holds else proof.evidence)

    return prove


def _deployed(prover: Prover) -> Prover:
    """The same, of what is deployed: a verdict of dev says nothing about that."""

    def prove(verdict: Verdict) -> Proof:
        proof = prover(verdict)
        deployed = verdict.environment != "dev"
        at = f"in {verdict.environment}" if deployed else "in dev, where nothing is deployed"
        return Proof(proof.holds and deployed, f"{proof.evidence}, {at}")

    return prove


def _go_no_go(verdict: Verdict) -> Proof:
    if not verdict.go:
        return Proof(False, f"NO-GO: {verdict.reasons[0].text}")
    if verdict.purpose is not Purpose.RELEASE or verdict.no_evidence:
        return Proof(False, f"{verdict.line} for the purpose {verdict.purpose}, not for a release")
    policy = f"policy {verdict.policy}".rstrip()
    return Proof(True, f"{verdict.line} for a release, {policy} sha256:{verdict.policy_digest[:12]}")


def _regression(verdict: Verdict) -> Proof:
    compared = [m for gate in verdict.gates for m in gate.measurements if m.baseline is not None]
    against = [text for m in compared for _, _, text in judge(m)]
    if not compared:
        return Proof(False, "no measurement is compared with a baseline (--artisan-regression)")
    if against or not verdict.go:
        return Proof(False, f"NO-GO: {(against or [verdict.reasons[0].text])[0]}")
    return Proof(True, f"{verdict.line}, {len(compared)} measurements compared with their baseline")


LISTS: Mapping[str, tuple[Box, ...]] = {
    "before": (
        Box("All tests pass", _gates(*CRITICAL)),
        Box("Go/no-go says GO", _go_no_go),
        Box("The feature flags are as this release needs them"),
        Box("The migrations go up and down", _gates("migrations")),
        Box("The way back is written down, and somebody knows it"),
        Box("The dashboards show what this release changes"),
    ),
    "during": (
        Box("Traffic moves in stages: canary, or blue/green"),
        Box("At each stage the metrics keep their limits before the next begins", _seen("kpi")),
        Box("Errors and latency are watched"),
        Box("What users say is watched"),
        Box("The one on call stands by"),
    ),
    "after": (
        Box("The smoke tests pass", _deployed(_gates("smoke"))),
        Box("The regression tests pass", _deployed(_regression)),
        Box("The key metrics keep their limits for 24 hours", _seen("kpi")),
        Box("At least 100 users have said what they think"),
        Box("The release notes are out"),
        Box("Where there was trouble, its post-mortem is written"),
    ),
}


def doubt(document: Document) -> str:
    """Why a verdict proves nothing at all; empty where it may prove something."""
    verdict = document.verdict
    if document.answer != verdict.line or verdict.go is bool(verdict.reasons) or not all(map(_adds_up, verdict.gates)):
        return "it contradicts itself"
    if any(g.state is State.GO for g in verdict.gates if g.name in {reason.gate for reason in verdict.reasons}):
        return "it contradicts itself"
    asked = {gate.state for gate in verdict.gates if gate.required and gate.name not in verdict.no_evidence}
    if verdict.go and asked != {State.GO}:
        return "it contradicts itself"
    if verdict.partial:
        return f"its run was limited to {', '.join(verdict.partial)}"
    if not verdict.commit:
        return "it is about no commit"
    if verdict.commit.endswith(CHANGED):
        return "it is about files that are not committed"
    return next((f"its session is in doubt: {r.text}" for r in verdict.reasons if not r.gate), "")


def _adds_up(gate: GateVerdict) -> bool:
    """Whether the numbers of a gate that is GO are those of one."""
    return gate.state is not State.GO or 0 < gate.planned == gate.passed + gate.declared


def as_lines(name: str, document: Document | None, version: str = "") -> list[str]:
    """The list `name` as Markdown for an issue; nothing that the verdict says can become markup."""
    lines = [f"## {name.capitalize()} the deployment{' of ' + _plain(version) if version else ''}", ""]
    verdict, why = (None, "") if document is None else (document.verdict, doubt(document))
    if verdict is not None:
        commit = f"commit {verdict.commit[:12]}" if verdict.commit else "no commit"
        about = f"Verdict {verdict.line}, for {commit}, environment {verdict.environment}, purpose {verdict.purpose}"
        lines += [_plain(f"{about}; it proves nothing here: {why}" if why else about) + ".", ""]
    return [*lines, *_boxes(LISTS[name], None if why else verdict)]


def _boxes(boxes: Iterable[Box], verdict: Verdict | None) -> Iterable[str]:
    for box in boxes:
        proof = box.prover(verdict) if verdict is not None and box.prover is not None else Proof(False, "")
        evidence = f" ({_plain(proof.evidence)})" if proof.evidence else ""
        yield f"- [{'x' if proof.holds else ' '}] {box.text}{evidence}"


def _plain(text: str) -> str:
    cut = one_line(text)
    return escape(cut if len(cut) <= _LONGEST else f"{cut[:_LONGEST]}...")
