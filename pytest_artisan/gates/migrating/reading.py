"""A process that reads the revisions of the project in the current directory, and answers with JSON.

Its arguments are the configuration's name, and `postgresql` where that is known; where it can not read them, the last
line of its errors says why.
"""

from __future__ import annotations

import configparser
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_artisan.gates.migrating.recording import recorded
from pytest_artisan.gates.migrating.revisions import config_of
from pytest_artisan.gates.migrating.steps import Directory, Problem, Revision
from pytest_artisan.gates.migrating.untaken import is_of
from pytest_artisan.settings import one_line

if TYPE_CHECKING:
    from alembic.script import Script

# How Alembic begins or ends what it only warns of.
_WARNINGS = {"is present more than once": "duplicate-revision", "is not present": "missing-parent"}
_RECIPE = "where script_location names a package that is installed, write a path such as %(here)s/migrations"


class CanNotReadError(Exception):
    """Why the revisions can not be read."""


def directory_of(root: Path, config: str, dialect: str = "") -> Directory:
    """The script directory of the project at `root`. Raises CanNotReadError."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    try:
        configured = config_of(root, config)
        script = ScriptDirectory.from_config(configured)
        # Raw, as the project's env.py may fill in what is missing.
        address = configured.file_config.get(configured.config_ini_section, "sqlalchemy.url", raw=True, fallback="")
    except (CommandError, OSError, ValueError) as error:
        raise CanNotReadError(f"{config}: {error}") from None
    except configparser.Error as error:
        # Its text may quote a line with a password.
        raise CanNotReadError(f"{config}: can not be read: {type(error).__name__}") from None
    dialect = dialect or ("postgresql" if address.startswith("postgres") else "sqlite")
    folders = [Path(folder) for folder in script._version_locations]
    places = tuple(_below(root, folder) for folder in folders)
    for folder in folders:
        if not is_of(folder, root):
            raise CanNotReadError(f"{config}: its revisions, in {folder.resolve()}, are not of this tree; {_RECIPE}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            scripts = list(reversed(list(script.walk_revisions())))
            known = Directory(heads=tuple(script.get_heads()), bases=tuple(script.get_bases()))
        except BaseException as error:  # noqa: BLE001  # a revision is a program, and ends as it likes
            problems = _problems(caught, places) or [_broken(error, root, folders)]
            return Directory(problems=tuple(problems), places=places, dialect=dialect)
    revisions = tuple(_revision(root, one, dialect) for one in scripts)
    problems = _problems(caught, places)
    return Directory(revisions, known.heads, known.bases, tuple(problems), places, dialect)


def _revision(root: Path, script: Script, dialect: str) -> Revision:
    down = tuple(str(one) for one in script._versioned_down_revisions)
    steps = recorded(lambda: script.module.upgrade(), script.path, dialect)
    return Revision(script.revision, _below(root, Path(script.path)), down, tuple(steps))


def _problems(caught: list[warnings.WarningMessage], places: tuple[str, ...]) -> list[Problem]:
    texts = [str(one.message) for one in caught]
    where = places[0] if places else "."
    return [Problem(rule, text, where) for text in texts for end, rule in _WARNINGS.items() if end in text]


def _broken(error: BaseException, root: Path, folders: list[Path]) -> Problem:
    """What is wrong with the history of revisions. Raises CanNotReadError where a file is no program that ends well."""
    from alembic.util import CommandError

    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    files.append(str(getattr(error, "filename", None) or ""))
    inside = [file for file in files if Path(file).parent.resolve() in [folder.resolve() for folder in folders]]
    if not inside and isinstance(error, CommandError):
        return Problem("broken-history", str(error), _below(root, folders[0]))
    where = f"{_below(root, Path(inside[-1]))} can not be imported: " if inside else ""
    raise CanNotReadError(f"{where}{type(error).__name__}: {error}")


def _below(root: Path, path: Path) -> str:
    """The path as seen from the root; links are followed, as Alembic does."""
    return Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()


def _refuse(*connecting: object) -> None:
    raise CanNotReadError("it asks for a database of its own, which it must not find while it is read")


def main() -> None:
    """Whatever a revision prints goes to the errors: the answer is alone on the standard output."""
    import alembic.script  # noqa: F401  # by its own bytecode, as all else that is installed
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    # The bytecode of a file is taken for it where only second and size are the same.
    sys.pycache_prefix = os.devnull
    # Of this package all has been found; of the project everything is found here first.
    sys.path.insert(0, str(Path.cwd()))
    event.listen(Engine, "do_connect", _refuse)
    answers_to = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        answer = directory_of(Path.cwd(), *sys.argv[1:])
    except CanNotReadError as error:
        sys.exit(f"\n{one_line(str(error))}")
    with answers_to:
        answers_to.write(msgspec.json.encode(answer))
