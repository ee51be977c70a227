"""What a gate is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_artisan.release.environments import Environment, EnvironmentTable
from pytest_artisan.settings import Table
from pytest_artisan.verdict.evidence import Finding, Measurement
from pytest_artisan.verdict.judge import State, judge

if TYPE_CHECKING:
    from pytest_artisan.gates.tables import Security


@dataclass(frozen=True, slots=True)
class Base:
    """The commit that a change is compared with; `changed` is the table of the gate security as the change has it."""

    commit: str
    changed: Security


@dataclass(frozen=True, slots=True)
class Project:
    """The project under judgement: its root, the tables of its pyproject.toml, and the environment.

    `afresh` where a check may believe nothing that an earlier run left behind: for a merge or a release. `watched` shows
    a person who waits for a check how far it is, in a line that replaces the one before. `base` is given where only what
    a change brings counts. `policy` is the name of the policy, empty for the main one.
    """

    root: Path
    pyproject: Mapping[str, Any] = field(default_factory=dict)
    afresh: bool = False
    environment: Environment = field(default_factory=lambda: Environment("dev", EnvironmentTable()))
    watched: Callable[[str], None] = lambda line: None
    base: Base | None = None
    policy: str = ""


@dataclass(frozen=True, slots=True)
class CheckEvidence:
    """What a built-in check measured, and what it found where; findings that do not block are shown all the same."""

    measurements: tuple[Measurement, ...]
    findings: tuple[Finding, ...] = ()


def state_of(evidence: CheckEvidence) -> State:
    """As the gate has it: the worst that is said about any of its measurements."""
    states = [state for measurement in evidence.measurements for _, state, _ in judge(measurement)]
    states += [State.NO_GO for finding in evidence.findings if finding.blocks]
    return max(states, key=lambda state: state.badness, default=State.GO)


@dataclass(frozen=True, slots=True)
class Check:
    """A built-in item of a gate.

    `run(project, table)` returns the evidence or raises NoEvidence. `drill(project, table)` does the same for a
    planted violation, through the same code, so that a gate which can not fail is found out; `planted` says for people what
    that is. It is collected where the gate's table `wanted` it, or the project `needed` it. Where it `writes`, or is
    `exclusive`, it is treated as tests with that marker are.
    """

    name: str
    run: Callable[[Project, Any], CheckEvidence]
    drill: Callable[[Project, Any], CheckEvidence] | None = None
    wanted: Callable[[Any], bool] = lambda table: True
    writes: bool = False
    exclusive: bool = False
    planted: str = ""
    needed: Callable[[Project], bool] = lambda project: False

    def applies(self, project: Project, table: Any) -> bool:
        """Whether it is collected, once its gate is asked for."""
        return self.wanted(table) or self.needed(project)


@dataclass(frozen=True, slots=True)
class Gate:
    """A named requirement of a release.

    Its evidence are the tests that carry its marker and its built-in `checks`. `table` types its `[tool.artisan.<name>]`.
    `absent(project)` says why the gate does not apply to a project that configures nothing for it and has no test with
    its marker; None where it applies all the same. `inapplicable(project, table)` says why there is nothing to judge
    here, whatever the policy asks, unless a test carries its marker; None where there is. `otherwise` says what, besides
    a test, is not there where nothing gives evidence.
    """

    name: str
    title: str
    table: type[Table] = Table
    checks: tuple[Check, ...] = ()
    absent: Callable[[Project], str | None] = lambda project: "no test carries its marker"
    inapplicable: Callable[[Project, Any], str | None] = lambda project, table: None
    otherwise: str = "nothing else gives evidence"

    @property
    def marker_line(self) -> str:
        """The gate's marker as pytest's `--markers` shows it."""
        return f"{self.name}: evidence for the release gate {self.name}: {self.title}"
