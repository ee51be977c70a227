"""Where a project's own optimizer, flow or service comes from: the name that the policy gives."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Container, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pytest_artisan.gates.gate import Check, CheckEvidence, Project
from pytest_artisan.verdict.evidence import NoEvidence

# Names of checks, and what each runs: whether it is a drill, the project and the gate's table come in.
Runs = tuple[tuple[str, Callable[[bool, Project, Any], CheckEvidence]], ...]


def checks_of_subject(runs: Runs, planted: Mapping[str, str], writing: Container[str] = ()) -> tuple[Check, ...]:
    """Checks that are collected where the table names a subject; those called in `writing` change its environment.

    `planted` says for each what its drill plants.
    """
    return tuple(
        Check(
            name,
            partial(run, False),
            partial(run, True),
            lambda table: table.subject is not None,
            name in writing,
            planted=planted[name],
        )
        for name, run in runs
    )


def load_factory(subject: str | None, root: Path) -> Callable[..., Any]:
    """The factory `package.module:name`, which makes what a gate judges; the project's root is searched, too.

    Raises NoEvidence where there is none.
    """
    if subject is None:
        raise NoEvidence("no subject is configured")
    module, _, name = subject.partition(":")
    if str(root) not in sys.path:
        sys.path.append(str(root))
    try:
        factory = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise NoEvidence(f"subject {subject!r} can not be imported: {type(error).__name__}: {error}") from error
    if not callable(factory):
        raise NoEvidence(f"subject {subject!r} is not callable")
    return factory  # type: ignore[no-any-return]


def place_of(factory: Callable[..., Any], project: Project) -> tuple[str, int]:
    """The file and line where the factory stands, relative to the project."""
    try:
        path, line = Path(inspect.getsourcefile(factory) or ""), inspect.getsourcelines(factory)[1]
    except (OSError, TypeError):
        return "pyproject.toml", 1
    return (path.relative_to(project.root) if path.is_relative_to(project.root) else path).as_posix(), max(line, 1)
