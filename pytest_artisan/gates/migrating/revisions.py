"""The revisions of a project, read by a process of its own: they are programs, which may hang or end what runs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import pytest_artisan
from pytest_artisan import tools
from pytest_artisan.gates.gate import Project
from pytest_artisan.gates.migrating.steps import Directory
from pytest_artisan.gates.tables import Migrations
from pytest_artisan.release.environments import NAMES, environment_name, resolve
from pytest_artisan.settings import artisan_table, one_line
from pytest_artisan.verdict.evidence import NoEvidence

if TYPE_CHECKING:
    from alembic.config import Config

_WHERE = "pyproject.toml [tool.artisan]"
# By the package that is at work here, whichever else is installed.
_PACKAGE = str(Path(pytest_artisan.__file__).parents[1])
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import pytest_artisan; del sys.path[0]; "
    "from pytest_artisan.gates.migrating.reading import main; main()"
)


def config_of(root: Path, name: str) -> Config:
    """Alembic's configuration as its own command has it: the file `name`, and [tool.alembic] of pyproject.toml."""
    from alembic.config import Config

    path = root / name
    return Config(path if path.exists() else None, toml_file=root / "pyproject.toml")


def read(project: Project, table: Migrations) -> Directory:
    """All revisions, and what each does. Raises NoEvidence with one line where that can not be told."""
    dialect = ["postgresql"] if names_postgresql(project, table) else []
    # What is read is never found in the place of this package, and nothing is left behind.
    arguments = ["-P", "-B", "-c", _START, _PACKAGE, table.config, *dialect]
    try:
        answer = tools.run(sys.executable, arguments, cwd=project.root, timeout_s=table.timeout_s)
    except NoEvidence as error:
        raise NoEvidence(str(error).replace(sys.executable, "the process that reads the revisions")) from None
    if answer.status != 0:
        lines = answer.stderr.strip().splitlines() or [f"exit status {answer.status}, no output"]
        raise NoEvidence(one_line(lines[-1]))
    try:
        return msgspec.json.decode(answer.stdout, type=Directory)
    except msgspec.DecodeError:
        raise NoEvidence("a revision ended the process that read it") from None


def names_postgresql(project: Project, table: Migrations) -> bool:
    """Whether an environment's database, or the gate's own, is PostgreSQL."""
    environments = artisan_table(project.pyproject, _WHERE).get("environments", {})
    used = [resolve(environment_name(name), environments, _WHERE).database.driver for name in NAMES]
    return "postgresql" in used or table.postgresql_env is not None
