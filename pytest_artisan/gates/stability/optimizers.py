"""What the gate `moga_stability` asks of anybody's optimizer of mixtures."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pytest_artisan.gates.gate import NoEvidence, Project
from pytest_artisan.moga.ranking import Floats


class Limits(Protocol):
    """`upper` (n,) in per cent; `weights` (K, n) and `bounds` (K,), `weights @ shares <= bounds`: limits that some share."""

    @property
    def upper(self) -> Floats: ...
    @property
    def weights(self) -> Floats: ...
    @property
    def bounds(self) -> Floats: ...


class Generation(Protocol):
    """A population: `values` (N, n) in per cent, `objectives` (N, M), minimised, `ids` (N,), `parents` (N, P).

    An id is never given twice, and grows; a parent is an id of the generation before, or -1.
    """

    @property
    def values(self) -> Floats: ...
    @property
    def objectives(self) -> Floats: ...
    @property
    def ids(self) -> NDArray[np.int64]: ...
    @property
    def parents(self) -> NDArray[np.int64]: ...


class Optimizer(Protocol):
    """A seeded optimizer of mixtures."""

    @property
    def limits(self) -> Limits: ...

    def evaluate(self, shares: Floats) -> Floats:
        """Objectives (N, M) of mixtures (N, n); the same for the same mixtures, always."""
        ...

    def step(self) -> Generation:
        """One more iteration, and the population after it."""
        ...

    def front(self) -> Floats:
        """Objectives (A, M) of the best that it has found so far."""
        ...


Factory = Callable[[int], Optimizer]


def load_factory(subject: str, root: Path) -> Factory:
    """The factory `package.module:name`, called with a seed; the project's root is searched, too.

    Raises NoEvidence where there is none.
    """
    module, _, name = subject.partition(":")
    if str(root) not in sys.path:
        sys.path.append(str(root))
    try:
        factory = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise NoEvidence(f"subject {subject!r} can not be imported: {type(error).__name__}: {error}") from error
    if not callable(factory):
        raise NoEvidence(f"subject {subject!r} is not callable; it makes an optimizer from a seed")
    return factory  # type: ignore[no-any-return]


def place_of(factory: Factory, project: Project) -> tuple[str, int]:
    """The file and line where the factory stands, relative to the project."""
    try:
        path, line = Path(inspect.getsourcefile(factory) or ""), inspect.getsourcelines(factory)[1]
    except (OSError, TypeError):
        return "pyproject.toml", 1
    return (path.relative_to(project.root) if path.is_relative_to(project.root) else path).as_posix(), max(line, 1)
