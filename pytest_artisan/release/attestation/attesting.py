"""What a session attests: its verdict, what it was given for, and what it rests on, signed."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version as installed
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_artisan.release.attestation.attested import POLICIES
from pytest_artisan.release.attestation.envelope import payload_digest, sealed
from pytest_artisan.release.attestation.keys import signer
from pytest_artisan.release.attestation.settings import Attestation, table_here
from pytest_artisan.release.attestation.statement import (
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    VERIFIER,
    GateResult,
    Grounds,
    Number,
    PolicyUsed,
    Predicate,
    Purpose,
    Statement,
    Subject,
    Verifier,
    Waived,
    canonical,
)
from pytest_artisan.release.attestation.subjects import subjects
from pytest_artisan.release.baselines import path_of
from pytest_artisan.release.versions import check_version
from pytest_artisan.release.worktree import Worktree, worktree
from pytest_artisan.reports.machine import as_json
from pytest_artisan.settings import SettingsError, seconds
from pytest_artisan.verdict.decide import GateVerdict, Requirements, Verdict
from pytest_artisan.verdict.evidence import Evidence, Measurement, Plan

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

_WAIVED = re.compile(r"(?:waived by (?P<owner>.+?)|allowed) until (?P<expires>\d{4}-\d\d-\d\d)")


@dataclass(frozen=True, slots=True)
class Order:
    """What a verdict is to be used for: a version, a stage in per cent, after the signed verdict in a file."""

    version: str = ""
    stage: float | None = None
    previous: Path | None = None


def stage_of(text: str) -> float:
    """A stage from the command line; raises SettingsError."""
    try:
        stage = float(text.removesuffix("%"))
    except ValueError:
        stage = 0.0
    if not 0 < stage <= 100:
        raise SettingsError(f"--artisan-stage={text}: is no percentage above 0 and at most 100")
    return stage


@dataclass(frozen=True, slots=True)
class Attestor:
    """Who signs the verdict of a session, and for what. All that can be wrong with that is known before it begins."""

    root: Path
    table: Attestation
    signer: Signer
    order: Order
    previous: str | None
    tested: tuple[Subject, ...]
    now: Callable[[], datetime]

    @classmethod
    def of(cls, root: Path, policy: str, order: Order, now: Callable[[], datetime]) -> Attestor:
        """For a session at `root` by the policy of this name. Raises SettingsError and NoEvidence."""
        if policy not in POLICIES:
            raise SettingsError(f"nobody deploys by the policy {policy}, but by the main one, and by that of a hotfix")
        if order.version:
            check_version(order.version)
        tree = worktree(root)
        if told := tree.told or ("" if tree.commit else "there is none yet"):
            raise SettingsError(f"the files here are not just those of a commit: {told}; commit or ignore them")
        table = table_here(root)
        previous = None if order.previous is None else payload_digest(order.previous)
        # The gate security may write the SBOM in this very run.
        tested = _read(root, msgspec.structs.replace(table, sbom=None), tree)
        return cls(root, table, signer(table), order, previous, tested, now)

    def attest(self, verdict: Verdict, grounds: Mapping[str, str], *, baseline: bool) -> str:
        """The envelope. `grounds` are digests by the fields of Grounds but for the report's.

        Raises SettingsError and NoEvidence for what can not be read or signed, or is not what was tested.
        """
        tree = worktree(self.root)
        if tree.commit != verdict.commit or tree.changed:
            raise SettingsError("the commit changed during the run, so nothing can be said of it")
        found = _read(self.root, self.table, tree)
        if changed := [one.name for one in self.tested if one not in found]:
            raise SettingsError(f"{', '.join(changed)}: changed during the run, so nothing can be said of it")
        return sealed(payload_of(found, self._predicate(verdict, grounds, baseline=baseline)), self.signer)

    def _predicate(self, verdict: Verdict, grounds: Mapping[str, str], *, baseline: bool) -> Predicate:
        issued = self.now().astimezone(UTC).replace(microsecond=0)
        kept, order = path_of(self.root, verdict.environment), self.order
        purpose = {"kind": POLICIES[verdict.policy], "environment": verdict.environment}
        return Predicate(
            **derived(verdict),
            purpose=msgspec.convert({**purpose, "version": order.version, "stage": order.stage}, Purpose),
            baseline=hashlib.sha256(kept.read_bytes()).hexdigest() if baseline else None,
            grounds=msgspec.convert({**grounds, "report": report_digest(verdict)}, Grounds),
            issued_at=issued,
            expires_at=issued + timedelta(seconds=seconds(self.table.valid)),
            nonce=secrets.token_hex(16),
            previous=self.previous,
            verifier=Verifier(id=VERIFIER, version=installed("pytest-artisan")),
        )


def _read(root: Path, table: Attestation, tree: Worktree) -> tuple[Subject, ...]:
    return tuple(one for read in subjects(root, table, tree).values() if (one := read()) is not None)


def derived(verdict: Verdict) -> dict[str, Any]:
    """The fields of a predicate that follow from the verdict alone."""
    return {
        "verdict": "GO" if verdict.line == "GO" else "NO_GO",
        "policy": PolicyUsed(name=verdict.policy, digest=verdict.policy_digest),
        "plan": verdict.plan_digest,
        "counts": dict(verdict.counts),
        "gates": tuple(_gate(verdict, gate) for gate in verdict.gates),
        "reasons": tuple(reason.text for reason in verdict.reasons if not reason.gate),
        "waivers": tuple(_waived(verdict)),
    }


def grounds_of(
    requirements: Requirements, plan: Plan, evidence: Evidence, mask: Callable[[Any], Any] = lambda tree: tree
) -> dict[str, str]:
    """The digests of what a verdict rests on, by part; of a session by its mask, as its journal has it."""
    parts = {"requirements": requirements, "plan": plan, "evidence": evidence}
    trees = {name: mask(msgspec.to_builtins(part, order="deterministic")) for name, part in parts.items()}
    # In the order of their ids, which a mask may have changed, or made to one.
    seen = trees["evidence"]
    seen |= {"passed": sorted(set(seen["passed"])), "results": sorted(seen["results"], key=itemgetter("nodeid"))}
    return {name: tree_digest(tree) for name, tree in trees.items()}


def payload_of(found: tuple[Subject, ...], predicate: Predicate) -> bytes:
    """The statement as canonical JSON (RFC 8785); raises SettingsError for a number that it can not hold."""
    statement = Statement(type=STATEMENT_TYPE, subject=found, predicate_type=PREDICATE_TYPE, predicate=predicate)
    try:
        return canonical(statement)
    except ValueError as error:
        raise SettingsError(f"the verdict can not be written as canonical JSON: {error}") from None


def tree_digest(tree: Any) -> str:
    """SHA-256 of a tree of plain values, the same for the same tree wherever it was read from."""
    return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def report_digest(verdict: Verdict) -> str:
    """SHA-256 of the JSON report."""
    return hashlib.sha256(as_json(verdict).encode()).hexdigest()


def _gate(verdict: Verdict, gate: GateVerdict) -> GateResult:
    reasons = tuple(reason.text for reason in verdict.reasons if reason.gate == gate.name)
    return GateResult(
        name=gate.name,
        state=gate.state.value,
        required=gate.required,
        planned=gate.planned,
        passed=gate.passed,
        declared=gate.declared,
        measurements=tuple(map(_number, gate.measurements)),
        reasons=reasons,
    )


def _number(measurement: Measurement) -> Number:
    limit = measurement.limit
    return Number(
        item=measurement.item,
        name=measurement.name,
        value=measurement.value,
        unit=measurement.unit,
        limit=None if limit is None else (limit.bound.value, limit.value),
        n=measurement.n,
        interval=measurement.interval,
    )


def _waived(verdict: Verdict) -> Iterator[Waived]:
    """What the gates' findings say of those who answer for them."""
    for gate in verdict.gates:
        for finding in (finding for finding in gate.findings if not finding.blocks):
            for told in _WAIVED.finditer(finding.message):
                with suppress(ValueError):  # a tool's own words, and no date
                    expires = date.fromisoformat(told["expires"])
                    yield Waived(gate=gate.name, finding=finding.text, owner=told["owner"] or "", expires=expires)
