"""Where an audit reads what: in the project, or, for a change, in the commit that it is compared with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_artisan.gates.base import checked_out, is_of_the_change, way_up
from pytest_artisan.gates.gate import Project
from pytest_artisan.verdict.evidence import NoEvidence


@dataclass(frozen=True, slots=True)
class Places:
    """The project's `root`, and, where only what a change brings counts, the same folder as its `base` has it.

    `up` leads from there to the top of its repository.
    """

    root: Path
    base: Path | None = None
    up: str = ""

    def decision(self, name: str) -> Path:
        """A file in which somebody lets something pass: the base's, as a change may not decide about itself."""
        return self.root / name if self.base is None else self.before(name)

    def data(self, name: str) -> Path:
        """A file that is fetched beside the project. Raises NoEvidence for one that the change itself brings along."""
        if self.base is None:
            return self.root / name
        if self.before(name).exists():
            return self.before(name)
        if is_of_the_change(self.root, name):
            raise NoEvidence(f"{name}: comes with the change, which may not say what is known of it")
        return self.root / name

    def before(self, name: str) -> Path:
        """Where the base has a file, if it has; what is not below the repository's top is no change's, and stays there."""
        assert self.base is not None
        here = Path(os.path.abspath(self.root / name))
        top = Path(os.path.abspath(self.root / self.up))
        return Path(os.path.abspath(self.base / os.path.relpath(here, self.root))) if here.is_relative_to(top) else here


@contextmanager
def places_of(project: Project) -> Iterator[Places]:
    """The places of a project; the base's files last as long as the block. Raises NoEvidence."""
    if project.base is None:
        yield Places(project.root)
        return
    with checked_out(project.root, project.base.commit) as folder:
        yield Places(project.root, folder, way_up(project.root))
