"""The sentences that every report for people shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_artisan.verdict.decide import DECLARABLE, GateVerdict, Verdict, declaration
from pytest_artisan.verdict.judge import Code, Reason, describe, judge, reach

# Of a cell in the table.
_WIDEST = 80


@dataclass(frozen=True, slots=True)
class Told:
    """One line for all reasons that say the same of different items."""

    first: Reason
    others: int

    @property
    def text(self) -> str:
        reason = self.first
        subject = f"{reason.path}:{reason.line}" if reason.code is Code.FINDING else reason.subject
        more = f" (and {self.others} more)" if self.others else ""
        return f"{reason.gate or 'session'}: {subject + ': ' if subject else ''}{reason.text}{more}"

    @property
    def remedy(self) -> str:
        """The entry that declares all of them: by their item where it is one, else by the reason that they share."""
        if self.others and self.first.cause:
            return declaration(DECLARABLE[self.first.code], "reason", self.first.cause)
        return self.first.remedy


def grouped(reasons: Iterable[Reason]) -> list[Told]:
    """The worst first; what differs in its item alone is told once."""
    groups: dict[tuple[str, ...], list[Reason]] = {}
    for reason in reasons:
        place = (reason.path, str(reason.line)) if reason.code is Code.FINDING else ()
        groups.setdefault((reason.gate, reason.code, reason.text, *place), []).append(reason)
    told = [Told(group[0], len(group) - 1) for group in groups.values()]
    return sorted(told, key=lambda t: -t.first.state.badness)


def key_measurement(gate: GateVerdict) -> str:
    """What decided the gate: its worst measurement with its reach, else how many of its items passed."""
    if not gate.measurements:
        if not gate.planned:
            return "-"
        declared = f", {gate.declared} declared otherwise" if gate.declared else ""
        return f"{gate.passed} of {gate.planned} passed{declared}"
    worst = next((m for m in gate.measurements if any(judge(m))), gate.measurements[0])
    others, extent = len(gate.measurements) - 1, reach(worst)
    shown = describe(worst)
    if len(shown) > _WIDEST and worst.value is None:
        # One of the reasons has the cause, whole.
        shown = f"{worst.name}: no data"
    return f"{shown}{'; ' + extent if extent else ''}{f' (+{others} more)' if others else ''}"


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table, every cell as wide as the widest of its column."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]


def rows(verdict: Verdict) -> list[tuple[str, str, str, str]]:
    """Gate, state, key measurement and time of every gate."""
    return [
        (gate.name + ("" if gate.required else " (not required)"), gate.state, key_measurement(gate), _time(gate))
        for gate in verdict.gates
    ]


def _time(gate: GateVerdict) -> str:
    return f"{gate.seconds:.1f} s" if gate.seconds < 100 else f"{gate.seconds / 60:.1f} min"


def by_cause(causes: Mapping[str, str]) -> str:
    """Names with the cause that each has, every cause told once."""
    names: dict[str, list[str]] = {}
    for name, cause in causes.items():
        names.setdefault(cause, []).append(name)
    return "; ".join(f"{', '.join(told)} ({cause})" for cause, told in names.items())


def notes(verdict: Verdict) -> list[str]:
    """What a reader must know beside the gates: counts, what was left out, for what the verdict is."""
    counts = {kind: number for kind, number in verdict.counts.items() if number and kind != "planned"}
    told = ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in counts.items()) or "nothing ran"
    lines = [f"{verdict.counts.get('planned', 0)} items planned: {told}"]
    if verdict.left_out:
        lines.append(f"left out: {by_cause(verdict.left_out)}")
    if verdict.withheld:
        lines.append(f"withheld in {verdict.environment}: {len(verdict.withheld)} tests marked writes")
    oid, sign, changed = verdict.commit.partition("+")
    commit = f"commit {oid[:12]}{sign}{changed}, " if verdict.commit else ""
    policy = f"{verdict.policy} " if verdict.policy else ""
    lines.append(
        f"purpose {verdict.purpose}, environment {verdict.environment}, {commit}"
        f"policy {policy}sha256:{verdict.policy_digest[:12]}, plan sha256:{verdict.plan_digest[:12]}"
    )
    return lines
