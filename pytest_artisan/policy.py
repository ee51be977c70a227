"""`[tool.artisan]` into a typed policy and its digest, before anything runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import rfc8785
from msgspec import Meta

from pytest_artisan.gates.base import checked_out
from pytest_artisan.gates.gate import Base, Gate, Project
from pytest_artisan.gates.registry import GATES, PULL_REQUEST, SECURITY
from pytest_artisan.gates.tables import Security, session_limit
from pytest_artisan.git import commit_of
from pytest_artisan.release.attestation.settings import attestation_of
from pytest_artisan.release.environments import Environment, chosen, environment_name, resolve
from pytest_artisan.release.train.timetable import train_of
from pytest_artisan.settings import (
    SettingsError,
    Table,
    artisan_table,
    as_table,
    check_finite,
    convert,
    read_toml,
    unknown_key,
)
from pytest_artisan.verdict.decide import Expected, Purpose, Requirements
from pytest_artisan.verdict.evidence import NoEvidence

Text = Annotated[str, Meta(min_length=1)]
# No name asks for less: what goes straight to prod is tested, holds no known vulnerability, and is seen to answer.
FLOOR = ("unit", "security", "smoke")


class ExpectedTable(Table, frozen=True):
    """One declared skip, expected failure or deselection."""

    outcome: Literal["skip", "xfail", "xpass", "deselected"]
    why: Text
    item: Text = "*"
    reason: Text = "*"


class Core(Table, frozen=True):
    """The keys of `[tool.artisan]` that belong to no single gate."""

    required: tuple[Text, ...] | None = None
    local_optional: tuple[Text, ...] = ("security", "kpi")
    expected: tuple[ExpectedTable, ...] = ()
    attestation: dict[str, Any] = msgspec.field(default_factory=dict)
    blue_green: dict[str, Any] = msgspec.field(default_factory=dict)
    canary: dict[str, Any] = msgspec.field(default_factory=dict)
    environments: dict[str, Any] = msgspec.field(default_factory=dict)
    flags: dict[str, Any] = msgspec.field(default_factory=dict)
    policies: dict[str, Any] = msgspec.field(default_factory=dict)
    train: dict[str, Any] = msgspec.field(default_factory=dict)

    def lint(self) -> Iterator[str]:
        if self.required == ():
            yield "required is empty: a policy that asks for nothing can not answer GO"
        for number, entry in enumerate(self.expected):
            if not entry.item.strip("*?") and not entry.reason.strip("*?"):
                yield f"expected[{number}] matches every {entry.outcome}; narrow its item or its reason"


class NamedPolicy(Table, frozen=True):
    """`[tool.artisan.policies.<name>]`: the gates that it asks for; `limits` overrides the gates' tables for it."""

    required: tuple[Text, ...]
    limits: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)

    def lint(self) -> Iterator[str]:
        missing = [gate for gate in FLOOR if gate not in self.required]
        if missing:
            yield f"required leaves out {', '.join(missing)}; no policy asks for less than {', '.join(FLOOR)}"


_Limits = Mapping[str, Mapping[str, Any]]
_KNOWN = {"hotfix": NamedPolicy(required=("unit", "static_analysis", "security", "smoke"))}


@dataclass(frozen=True, slots=True)
class Policy:
    """What a release must meet, resolved for one environment; `tables` has one for every known gate.

    `name` is that of a table of `[tool.artisan.policies]`, empty for the main policy; `added` is what the file says of
    gates that plugins add.
    """

    project: Project
    gates: Mapping[str, Gate]
    core: Core
    tables: Mapping[str, Table]
    configured: frozenset[str]
    environment: Environment
    added: Mapping[str, Mapping[str, Any]]
    name: str = ""

    @property
    def source(self) -> str:
        """Where it comes from, for people."""
        stated = "artisan" in self.project.pyproject.get("tool", {})
        policy = f"policy {self.name}".rstrip()
        return f"{policy} of pyproject.toml" if stated else f"default {policy} (no [tool.artisan])"

    @property
    def states_gates(self) -> bool:
        """Whether its file says which gates a GO needs, of it or of the main policy."""
        stated = artisan_table(self.project.pyproject, "pyproject.toml [tool.artisan]")
        return "required" in stated or self.name in stated.get("policies", {})

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON (RFC 8785) of all that this policy asks.

        Of gates that plugins add it holds what the file says, not their defaults: a command, which loads no plugin, has to
        come to the same.
        """
        plain = {
            "policy": self.name,
            "core": msgspec.to_builtins(self.core),
            "tables": {gate.name: msgspec.to_builtins(self.tables[gate.name]) for gate in GATES},
            "added": msgspec.to_builtins(self.added),
            "environment": self.environment.env,
            "overridden": self.environment.overridden,
            "compared": self._compared_with,
        }
        return hashlib.sha256(rfc8785.dumps(plain)).hexdigest()

    def runs_checks(self, gate: Gate, selected: tuple[str, ...]) -> bool:
        """Whether the built-in checks of a gate belong into this session."""
        if selected:
            return gate.name in selected
        return self._left_out(gate, ()) is None

    def requirements(
        self, purpose: Purpose, selected: tuple[str, ...], partial: Iterable[str], planned: Iterable[str]
    ) -> Requirements:
        """What `decide` needs to know; by default a gate is required where it applies to this project."""
        left_out: dict[str, str] = {}
        for name, gate in () if selected else self.gates.items():
            reason = self._left_out(gate, planned)
            if reason is not None:
                left_out[name] = reason
        required = selected or tuple(name for name in self.gates if name not in left_out)
        return Requirements(
            purpose=purpose,
            required=required,
            policy_digest=self.digest,
            policy=self.name,
            environment=self.environment.env,
            local_optional=self.core.local_optional,
            expected=tuple(Expected(e.outcome, e.why, e.item, e.reason) for e in self.core.expected),
            min_items={name: getattr(self.tables[name], "min_items", 1) for name in required},
            time_limits={name: limit for name in required if (limit := session_limit(self.tables[name])) is not None},
            partial=(*selected, *partial, *self._compared_with),
            left_out={name: reason for name, reason in left_out.items() if name not in planned},
            unconfigured={name: _unconfigured(self.gates[name]) for name in required},
        )

    @property
    def _compared_with(self) -> tuple[str, ...]:
        base = self.project.base
        return () if base is None else (f"only what is new since {base.commit[:12]}",)

    def _left_out(self, gate: Gate, planned: Iterable[str]) -> str | None:
        """Why a gate is not required, by the policy's own rule; None where it is."""
        if self.core.required is not None:
            if gate.name not in self.core.required:
                return f"not required by the policy {self.name}".rstrip()
        elif gate.name not in self.configured and gate.name not in planned and (absent := gate.absent(self.project)):
            return absent
        return None if gate.name in planned else gate.inapplicable(self.project, self.tables[gate.name])


def _unconfigured(gate: Gate) -> str:
    if gate.name == "unit":
        return "no test was collected"
    return f"not configured: no test carries @pytest.mark.{gate.name}, and {gate.otherwise}"


def known_gates(added: Iterable[Gate]) -> dict[str, Gate]:
    """The built-in gates and those of other plugins, by name; raises SettingsError for a name taken twice."""
    gates = {gate.name: gate for gate in GATES}
    for gate in added:
        if gate.name in gates or not gate.name.isidentifier() or gate.name in Core.__struct_fields__:
            raise SettingsError(f"pytest_artisan_gates: the name {gate.name!r} is taken or no identifier")
        gates[gate.name] = gate
    return gates


def load_policy(
    root: Path, added_gates: Iterable[Gate] | None = (), environment: str | None = None, name: str = ""
) -> Policy:
    """The policy of the project at `root`, of this name or else the main one.

    `added_gates` is None for who loads no plugin, and wants no more than the digest: any name may be that of a gate then.
    Raises SettingsError with one line that names file and key.
    """
    path = root / "pyproject.toml"
    pyproject = read_toml(path) if path.exists() else {}
    where = "pyproject.toml [tool.artisan]"
    raw = artisan_table(pyproject, where)
    gates = known_gates(added_gates or ())
    known = None if added_gates is None else gates
    for key, value in raw.items():
        if (
            key not in gates
            and key not in Core.__struct_fields__
            and not (known is None and isinstance(value, Mapping))
        ):
            raise unknown_key(key, [*gates, *Core.__struct_fields__], where)
    core = convert({key: value for key, value in raw.items() if key in Core.__struct_fields__}, Core, where)
    if core.flags:
        from pytest_artisan.release.flags.definitions import declared  # and with it SQLite

        declared(core.flags, "pyproject.toml [tool.artisan.flags]")
    for field in ("required", "local_optional"):
        check_gates(getattr(core, field) or (), known, f"{where} {field}")
    resolved = chosen(environment_name(environment), core.environments, where)
    train_of(raw, where)
    attestation_of(raw, where)
    _check_rollouts(raw, where)
    policies = {"": NamedPolicy(required=core.required or ()), **_named_policies(core, known, where)}
    if name not in policies:
        raise SettingsError(f"--artisan-policy={name}: no such policy; known: {', '.join(filter(None, policies))}")
    for other, table in core.environments.items():
        check_gates(table.get("limits", {}), known, f"{where} environments.{other}.limits")
    # All of them: a wrong limit of prod is found in dev, and one of a hotfix before its hour comes.
    tables = {
        (other, key): _gate_tables(raw, gates, resolve(environment_name(other), core.environments, where), one.limits)
        for other in core.environments.keys() | {resolved.env}
        for key, one in policies.items()
        if one.limits or key == name
    }[resolved.env, name]
    configured = frozenset({*raw, *resolved.table.limits} & gates.keys())
    added = _added(raw, resolved, policies[name].limits)
    core = msgspec.structs.replace(core, policies={}, train={}, flags={}, required=policies[name].required or None)
    project = Project(root, pyproject, environment=resolved, policy=name)
    return Policy(project, gates, core, tables, configured, resolved, added, name)


def _check_rollouts(raw: Mapping[str, Any], where: str) -> None:
    """What is said of going live; raises SettingsError. Their rooms are opened where anything is: a verification waits."""
    if "canary" in raw:
        from pytest_artisan.release.canary.settings import canary_of

        canary_of(raw, where)
    if "blue_green" in raw:
        from pytest_artisan.release.blue_green.settings import blue_green_of

        blue_green_of(raw, where)


def _named_policies(core: Core, gates: Mapping[str, Gate] | None, where: str) -> dict[str, NamedPolicy]:
    """Those of the project, and those that need no configuration; raises SettingsError."""
    policies = dict(_KNOWN)
    for name, data in core.policies.items():
        if re.fullmatch("[a-z][a-z0-9-]*", name) is None:
            raise SettingsError(f"{where} policies: {name!r} is no name; write small letters, digits and hyphens")
        policies[name] = convert(data, NamedPolicy, f"{where} policies.{name}")
        check_gates(policies[name].required, gates, f"{where} policies.{name}.required")
        check_gates(policies[name].limits, gates, f"{where} policies.{name}.limits")
    return policies


def compared(policy: Policy, ref: str, added_gates: Iterable[Gate] = ()) -> Policy:
    """The policy for a change of the commit `ref`, of which only what is new counts.

    What the gate security asks, and that it and pull_request are asked at all, is the commit's word, so that no change
    lets itself through.
    Raises SettingsError.
    """
    root = policy.project.root
    try:
        commit = commit_of(root, ref)
        with checked_out(root, commit, "pyproject.toml") as folder:
            before = load_policy(folder, added_gates, policy.environment.env, policy.name)
    except (NoEvidence, SettingsError) as error:
        raise SettingsError(f"--artisan-base={ref}: {error}") from None
    core, asked = policy.core, before.core.required
    kept = [gate for gate in (SECURITY, PULL_REQUEST) if (gate == SECURITY if asked is None else gate in asked)]
    if core.required is not None:
        missing = (gate for gate in kept if gate not in core.required)
        core = msgspec.structs.replace(core, required=(*core.required, *missing))
    changed = policy.tables[SECURITY]
    assert isinstance(changed, Security)
    return replace(
        policy,
        project=replace(policy.project, base=Base(commit, changed)),
        core=core,
        tables={**policy.tables, SECURITY: before.tables[SECURITY]},
    )


def _gate_tables(
    raw: Mapping[str, Any], gates: Mapping[str, Gate], environment: Environment, named: _Limits
) -> dict[str, Table]:
    """The table of every gate; raises SettingsError."""
    return {
        name: convert(_stated(name, raw, environment, named), gate.table, f"pyproject.toml [tool.artisan.{name}]")
        for name, gate in gates.items()
    }


def _added(raw: Mapping[str, Any], environment: Environment, named: _Limits) -> dict[str, dict[str, Any]]:
    """What is said of gates that are not built in, where anything is; raises SettingsError."""
    names = {*raw, *environment.table.limits, *named} - {*Core.__struct_fields__, *(gate.name for gate in GATES)}
    told = {name: _stated(name, raw, environment, named) for name in sorted(names)}
    check_finite(told, "pyproject.toml [tool.artisan]")
    return {name: table for name, table in told.items() if table}


def _stated(name: str, raw: Mapping[str, Any], environment: Environment, named: _Limits) -> dict[str, Any]:
    """What the file says of a gate: its table, the environment's limits over it and a named policy's over those."""
    own = as_table(raw.get(name, {}), f"pyproject.toml [tool.artisan.{name}]")
    return {**own, **environment.table.limits.get(name, {}), **named.get(name, {})}


def check_gates(names: Iterable[str], gates: Mapping[str, Gate] | None, where: str) -> None:
    """Raises SettingsError for a name that is no gate; for none where the gates are not known."""
    for name in names:
        if gates is not None and name not in gates:
            raise SettingsError(f"{where}: no gate {name!r}; known: {', '.join(gates)}")


def item_table(gate: Gate, table: Table, overrides: Mapping[str, Any], where: str) -> Table:
    """The gate's table as one item's marker changes it; raises SettingsError."""
    if not overrides:
        return table
    return convert({**msgspec.to_builtins(table), **overrides}, gate.table, f"{where}: @pytest.mark.{gate.name}")
