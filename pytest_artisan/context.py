"""What a session knows before it collects: policy, purpose, selection, baselines and the mask for secrets."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_artisan.gates.gate import Gate
from pytest_artisan.gates.registry import UNIT
from pytest_artisan.policy import Policy, check_gates, compared, item_table, load_policy
from pytest_artisan.release import baselines
from pytest_artisan.release.baselines import Baselines
from pytest_artisan.release.secrets import Masker
from pytest_artisan.settings import SettingsError, Table, project_root
from pytest_artisan.verdict.decide import Purpose

ALL = "all"


@dataclass(frozen=True, slots=True)
class Context:
    """One session's settings; the same in every xdist worker."""

    policy: Policy
    purpose: Purpose
    selected: tuple[str, ...]
    baselines: Baselines | None
    masker: Masker

    @property
    def wanted(self) -> tuple[str, ...]:
        """The gates whose items run, all where it is empty: a named policy is the smaller for what it leaves out."""
        return self.selected or (self.policy.core.required or () if self.policy.name else ())


_KEY = pytest.StashKey[Context]()


def context_of(config: pytest.Config) -> Context:
    """The session's context, made on first use; raises pytest.UsageError with one line for the user."""
    if _KEY not in config.stash:
        try:
            config.stash[_KEY] = _make(config)
        except SettingsError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[_KEY]


def added_gates(config: pytest.Config) -> Iterable[Gate]:
    """The gates of other plugins and conftest files."""
    for gates in config.hook.pytest_artisan_gates(config=config):
        yield from [gates] if isinstance(gates, Gate) else gates


def reload_policy(config: pytest.Config) -> Policy:
    """The policy as its file holds it now; raises SettingsError."""
    root, gates, option = project_root(config.rootpath), list(added_gates(config)), config.option
    policy = load_policy(root, gates, option.artisan_env, option.artisan_policy)
    if option.artisan_base is not None:
        policy = compared(policy, option.artisan_base, gates)
    if _KEY in config.stash:
        late = policy.gates.keys() - config.stash[_KEY].policy.gates.keys()
        if late:
            raise SettingsError(
                f"a conftest.py below the root adds {', '.join(sorted(late))}, too late to be asked for"
            )
    return policy


def _make(config: pytest.Config) -> Context:
    option = config.option
    policy = reload_policy(config)
    recorded = baselines.load(policy.project.root, policy.environment.env) if option.artisan_regression else None
    purpose = option.artisan_purpose or ("merge" if _in_ci() else "local")
    if purpose == Purpose.RELEASE and not policy.states_gates:
        # It may stand where nobody reads it, and then its gates would go unasked.
        raise SettingsError(
            f"--artisan-purpose=release: {policy.source} states no required gates; name them in [tool.artisan]"
        )
    return Context(
        policy,
        Purpose(purpose),
        _selected(option.artisan_gates, policy),
        recorded,
        Masker(policy.environment.secrets.values()),
    )


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def _selected(given: str | None, policy: Policy) -> tuple[str, ...]:
    if given is None or given == ALL:
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in given.split(",")))
    try:
        check_gates(names, policy.gates, f"--artisan-gates={given}")
    except SettingsError as error:
        hint = "; write --artisan-gates after the paths, or with a =" if os.path.exists(given) else ""
        raise SettingsError(f"{error}{hint}") from None
    return names


def gate_of(item: pytest.Item, gates: Container[str]) -> str:
    """The gate that an item gives evidence for: its closest gate marker's, else unit.

    Raises pytest.UsageError for two gates at one level: an item is evidence for one.
    """
    for node in item.iter_parents():
        names = {mark.name for mark in node.own_markers if mark.name in gates}
        if len(names) > 1:
            raise pytest.UsageError(f"{item.nodeid}: evidence for one gate, but marked {' and '.join(sorted(names))}")
        if names:
            return names.pop()
    return UNIT


def overrides_of(item: pytest.Item, gate: str) -> dict[str, Any]:
    """The settings that an item's marker changes; raises pytest.UsageError for unnamed ones."""
    marker = item.get_closest_marker(gate)
    if marker is not None and marker.args:
        raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.{gate} takes named settings only, got {marker.args!r}")
    return dict(marker.kwargs) if marker is not None else {}


def table_of(item: pytest.Item, policy: Policy) -> Table:
    """The settings of an item's gate as its marker changes them; raises pytest.UsageError."""
    gate = gate_of(item, policy.gates)
    try:
        return item_table(policy.gates[gate], policy.tables[gate], overrides_of(item, gate), item.nodeid)
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from None
