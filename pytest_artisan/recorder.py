"""Records an item's evidence, and fails the item for what its evidence shows."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, SupportsFloat, SupportsIndex

import msgspec
import pytest

from pytest_artisan.context import context_of, gate_of, table_of
from pytest_artisan.gates.gate import Project
from pytest_artisan.ledger import BY_LIMIT, FINDINGS, MEASUREMENT
from pytest_artisan.settings import Table, one_line
from pytest_artisan.verdict.evidence import Bound, Finding, Measurement, measured
from pytest_artisan.verdict.judge import State, judge

# A report crosses process borders several times; what a person can not read there helps nobody.
_FINDINGS_KEPT = 1000
# In a failure's text; the verdict and its reports have the others.
_PROBLEMS_TOLD = 40


class Recorder:
    """The `gate` fixture: an item's measurements, and its gate's settings."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        self._context = context_of(item.config)
        self._problems: list[tuple[State, str]] = []
        self._open = True
        item.stash[_KEY] = self
        if not item.config.pluginmanager.has_plugin(_Enforcer.__name__):
            # Only now: a session without evidence pays for no wrapper.
            item.config.pluginmanager.register(_Enforcer(), _Enforcer.__name__)

    @property
    def name(self) -> str:
        """The gate that this item gives evidence for."""
        return gate_of(self._item, self._context.policy.gates)

    @property
    def policy(self) -> Table:
        """The gate's table as the environment and the item's marker change it."""
        return table_of(self._item, self._context.policy)

    @property
    def project(self) -> Project:
        """The project under judgement, in the session's environment."""
        return self._context.policy.project

    def measure(
        self,
        name: str,
        value: SupportsFloat | None,
        *,
        unit: str,
        at_most: SupportsFloat | None = None,
        at_least: SupportsFloat | None = None,
        below: SupportsFloat | None = None,
        above: SupportsFloat | None = None,
        equal_to: SupportsFloat | None = None,
        n: SupportsIndex | None = None,
        interval: tuple[SupportsFloat, SupportsFloat] | None = None,
    ) -> None:
        """Record a measurement with exactly one bound, in `unit`, from `n` samples with its confidence interval.

        The item fails after its body where a measurement is over its limit, has no data, is not decided by its
        interval or is worse than its baseline; so all of an item's measurements are recorded. Raises TypeError or
        ValueError for what is no measurement or asks less than the policy, RuntimeError when the item is over.
        """
        measurement = measured(
            name,
            value,
            unit=unit,
            at_most=at_most,
            at_least=at_least,
            below=below,
            above=above,
            equal_to=equal_to,
            n=n,
            interval=interval,
        )
        self._check_policy(measurement)
        self.record([measurement])

    def record(self, measurements: Iterable[Measurement], findings: Iterable[Finding] = ()) -> None:
        """Record ready-made evidence."""
        if not self._open:
            text = f"{self._item.nodeid} is over: what is measured now would reach no report"
            # Raised in a thread of the item's own, it would end in a warning.
            self._item.session.shouldfail = text
            raise RuntimeError(text)
        for measurement in measurements:
            if self._context.baselines is not None:
                baseline = self._context.baselines.of(self._item.nodeid, measurement.name, measurement.samples)
                measurement = replace(measurement, baseline=baseline)
            self._add(MEASUREMENT, measurement)
            self._problems += [(state, text) for _, state, text in judge(measurement)]
        found = tuple(findings)
        if found:
            told = (f"{f.path}:{f.line}:{f.column}: {f.text}" for f in found if f.blocks)
            self._problems += [(State.NO_GO, text) for text in told]
            if len(found) > _FINDINGS_KEPT:
                text = f"{len(found)} findings, of which {_FINDINGS_KEPT} are told"
                found = (
                    *found[:_FINDINGS_KEPT],
                    replace(found[-1], rule="more", message=text, blocks=False, details={}),
                )
            self._add(FINDINGS, found)

    def progress(self, done: int, total: int) -> None:
        """Show how far a long item is, on a terminal; elsewhere nothing."""
        self.show(f"{done:,} of {total:,} ({done / total:.0%})")

    def show(self, line: str) -> None:
        """Show a line about this item in the place of the last one, on a terminal; elsewhere nothing."""
        reporter = self._item.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or not reporter.isatty:
            return
        capture = self._item.config.pluginmanager.get_plugin("capturemanager")
        with nullcontext() if capture is None else capture.global_and_fixture_disabled():
            reporter.rewrite(f"{self._item.nodeid} {one_line(line)}", erase=True)

    def enforce(self, *, excused: bool = False) -> None:
        """Fail the item for what was recorded; twice the same evidence fails it once.

        Where a lack of evidence is `excused`, and nothing but that speaks against it, the item is skipped.
        """
        problems, self._problems = self._problems, []
        if not problems:
            return
        lines = [text for _, text in problems[:_PROBLEMS_TOLD]]
        if len(problems) > _PROBLEMS_TOLD:
            lines.append(f"and {len(problems) - _PROBLEMS_TOLD} more")
        told = self._context.masker.text("\n".join(lines))
        if excused and all(state is State.NO_EVIDENCE for state, _ in problems):
            pytest.skip(told)
        self._item.user_properties.append((BY_LIMIT, True))
        pytest.fail(told, pytrace=False)

    def close(self) -> None:
        """Refuse what is measured from now on."""
        self._open = False

    def _check_policy(self, measurement: Measurement) -> None:
        """A limit of the policy has its unit in its key; a measurement of that name has the same, and asks no less."""
        name, limit = measurement.name, measurement.limit
        policy = self.policy
        for key in type(policy).__struct_fields__:
            prefix, _, unit = key.rpartition("_")
            unit = {"pct": "%"}.get(unit, unit)
            has_unit = prefix == name.replace(" ", "_") and unit in ("ms", "s", "%")
            told = f"[tool.artisan.{self.name}] {key}"
            if has_unit and measurement.unit != unit:
                raise ValueError(f"{name} is measured in {unit} ({told}), not in {measurement.unit}")
            asked = getattr(policy, key)
            if limit is not None and (has_unit or key == name.replace(" ", "_")) and isinstance(asked, int | float):
                least = limit.bound in (Bound.AT_LEAST, Bound.ABOVE)
                if limit.value < asked if least else limit.value > asked:
                    raise ValueError(f"{name}: {limit.bound}={limit.value:g} asks less than {told} = {asked:g}")

    def _add(self, name: str, evidence: object) -> None:
        tree: Any = self._context.masker.tree(msgspec.to_builtins(evidence))
        self._item.user_properties.append((name, msgspec.json.encode(tree).decode()))


_KEY = pytest.StashKey[Recorder]()


class _Enforcer:
    """Fails a test for its measurements in its call phase, when its body is done."""

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        result = yield
        recorder = pyfuncitem.stash.get(_KEY, None)
        if recorder is not None:
            recorder.enforce()
        return result
