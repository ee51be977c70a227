"""The plan of a session: which items give evidence for which gate, fixed before the first one runs."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_artisan.context import Context, gate_of, overrides_of, table_of
from pytest_artisan.gates.registry import UNIT
from pytest_artisan.items import CheckItem
from pytest_artisan.ledger import skip_reason
from pytest_artisan.release.environments import Environment
from pytest_artisan.uncollected import Uncollected
from pytest_artisan.verdict.evidence import Plan


class Planner:
    """Watches one collection, in the process that collects."""

    def __init__(self, context: Context, config: pytest.Config) -> None:
        self._context = context
        self._uncollected = Uncollected(config)
        config.pluginmanager.register(self._uncollected)
        self._gates: dict[str, list[str]] = {}
        self._kept: list[pytest.Item] = []
        self._withheld: list[str] = []
        self._modules: dict[str, str] = {}
        self._overrides: dict[str, str] = {}
        self._marked: dict[pytest.Collector, str | None] = {}

    def collected(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Take the collected items before anything deselects one: add the checks, drop what this run leaves out."""
        items += self._checks(session)
        present = set(items)
        lost = {item: None for item in self._uncollected.items if item not in present}
        kept, dropped = [], []
        environment, wanted = self._context.policy.environment, self._context.wanted
        for item in (*items, *lost):
            gate = self._gate(item)
            if wanted and gate not in wanted:
                dropped.append(item)
            elif _is_withheld(item, environment):
                self._withheld.append(item.nodeid)
                dropped.append(item)
            else:
                self._gates.setdefault(gate, []).append(item.nodeid)
                kept.append(item)
        self._kept += kept
        items[:] = [item for item in kept if item not in lost] if lost else kept
        # pytest never counted those of the plugin itself.
        known = [item for item in dropped if not isinstance(item, CheckItem)]
        if known:
            session.config.hook.pytest_deselected(items=known)

    def _withhold_late(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Other plugins may mark an item `writes` after this one looked."""
        late = [item for item in items if _is_withheld(item, self._context.policy.environment)]
        if not late:
            return
        gone = {item.nodeid for item in late}
        items[:] = [item for item in items if item.nodeid not in gone]
        self._kept = [item for item in self._kept if item.nodeid not in gone]
        left = {gate: [nodeid for nodeid in nodeids if nodeid not in gone] for gate, nodeids in self._gates.items()}
        self._gates = {gate: nodeids for gate, nodeids in left.items() if nodeids}
        self._withheld += sorted(gone)
        config.hook.pytest_deselected(items=late)

    def skipped(self, report: pytest.CollectReport) -> None:
        """Take a collector that skipped itself and all of its items."""
        self._modules[report.nodeid] = skip_reason(report)

    def finish(self, config: pytest.Config, items: list[pytest.Item]) -> Plan:
        """The plan; what was collected and is not among the final `items` was removed by somebody."""
        self._withhold_late(config, items)
        guard(config, self._context.policy.environment)
        order = [name for name in self._context.policy.gates if name in self._gates]
        removed: dict[str, str] = {}
        if items != self._kept:
            remaining = {item.nodeid for item in items}
            cause = _deselection(config)
            removed = {n: cause for name in order for n in self._gates[name] if n not in remaining}
        return Plan(
            gates={name: tuple(self._gates[name]) for name in order},
            removed=removed,
            withheld=tuple(self._withheld),
            skipped_modules=dict(sorted({**self._uncollected.places, **self._modules}.items())),
            overrides=self._overrides,
        )

    def _checks(self, session: pytest.Session) -> list[pytest.Item]:
        context = self._context
        return [
            CheckItem.create(session, gate.name, check.name, gate=gate, check=check)
            for gate in context.policy.gates.values()
            if gate.checks and context.policy.runs_checks(gate, context.selected)
            for check in gate.checks
            if check.applies(context.policy.project, context.policy.tables[gate.name])
        ]

    def _gate(self, item: pytest.Item) -> str:
        """As `gate_of`, but most items carry no marker, so the answer is their parent's."""
        parent = item.parent
        if item.own_markers or parent is None:
            return self._marked_gate(item)
        if parent not in self._marked:
            gates = self._context.policy.gates
            marked = any(mark.name in gates for node in parent.iter_parents() for mark in node.own_markers)
            self._marked[parent] = None if marked else UNIT
        return self._marked[parent] or self._marked_gate(item)

    def _marked_gate(self, item: pytest.Item) -> str:
        policy = self._context.policy
        gate = gate_of(item, policy.gates)
        if gate != UNIT:
            overrides = overrides_of(item, gate)
            if overrides:
                table_of(item, policy)  # a wrong setting is a usage error now, not after an hour
                self._overrides[item.nodeid] = repr(sorted(overrides.items()))
        return gate


def _is_withheld(item: pytest.Item, environment: Environment) -> bool:
    """Whether the environment does not let this item run, as it would write there."""
    return not environment.allow_writes and item.get_closest_marker("writes") is not None


def guard(config: pytest.Config, environment: Environment) -> None:
    """Where the environment does not allow writes, refuse what was marked after all had been looked at."""
    if not environment.allow_writes:
        config.pluginmanager.register(_Guard(environment))


class _Guard:
    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if _is_withheld(item, self._environment):
            pytest.fail(f"marked writes too late to be withheld in {self._environment.env}", pytrace=False)


def _deselection(config: pytest.Config) -> str:
    """What removed items from the session, as far as its options tell."""
    option = config.option
    told = [
        f"-k {option.keyword!r}" if option.keyword else "",
        f"-m {option.markexpr!r}" if option.markexpr else "",
        "--deselect" if option.deselect else "",
        "--lf" if getattr(option, "lf", False) else "",
        "--stepwise" if getattr(option, "stepwise", False) else "",
    ]
    return ", ".join(filter(None, told)) or "a plugin or a conftest.py"


class Withholding:
    """A plain session in stg or prod: tests marked `writes` stay out where the environment does not allow them."""

    def __init__(self, context: Context, config: pytest.Config) -> None:
        self._environment = context.policy.environment
        self._withheld = 0
        guard(config, self._environment)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        # After the others, which may mark items: nothing that writes may slip through.
        result = yield
        dropped = [item for item in items if _is_withheld(item, self._environment)]
        if dropped:
            items[:] = [item for item in items if not _is_withheld(item, self._environment)]
            self._withheld = len(dropped)
            config.hook.pytest_deselected(items=dropped)
        return result

    def pytest_report_header(self) -> str:
        return f"artisan: environment {self._environment.env}"

    def pytest_report_collectionfinish(self) -> str | None:
        text = f"artisan: {self._withheld} tests marked writes are withheld in {self._environment.env}"
        return text if self._withheld else None
