"""A project's migration scripts, run on a database of our own by the project's own env.py."""

from __future__ import annotations

import ast
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import Script, ScriptDirectory
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from .guard import RECIPE, allow_only, attach_nothing
from .messages import Refused, Trouble, failure_of, line_of

Work = Callable[[tuple[str, ...], MigrationContext], Iterable[MigrationStep]]


class Scripts:
    """The scripts of `ini`, proved to run on the database at `url` and on no other.

    `metadata` is what env.py says that the models are. Raises Refused where there is no such proof.
    """

    def __init__(self, ini: str, url: str) -> None:
        if sql.make_url(url).get_backend_name() == "sqlite":
            # Each connection is closed when it is given back, so that the file can be replaced.
            self.engine = sql.create_engine(url, poolclass=NullPool)
            sql.event.listen(self.engine, "connect", _hurry)
        else:
            self.engine = sql.create_engine(url)
        # As alembic's own command has it.
        self._config = Config(ini if Path(ini).exists() else None, toml_file="pyproject.toml")
        self._config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
        allow_only(self.engine)
        # From here on the project is read: bytecode is taken for a file of which only second and size are the same.
        sys.pycache_prefix = os.devnull
        self._options: dict[str, Any] = {}
        failed = failure_of(self._read)
        if failed is not None:
            raise Refused(f"the migration scripts can not be read: {line_of(failed)}")
        failed = failure_of(self._prove)
        if failed is not None:
            raise Refused(f"env.py can not be run on a database of the gate's own: {line_of(failed)}; {RECIPE}")

    def _read(self) -> None:
        self.directory = ScriptDirectory.from_config(self._config)
        # The oldest first, and none before what it builds on.
        self.revisions: list[Script] = list(self.directory.walk_revisions())[::-1]

    def _prove(self) -> None:
        """A run that changes nothing."""
        self._options = self.run(lambda heads, context: (), dont_mutate=True).opts

    @property
    def metadata(self) -> list[sql.MetaData]:
        """What env.py gives as target_metadata. Raises Refused where that is nothing."""
        given = self._options.get("target_metadata")
        if given is None:
            raise Refused("env.py configures no target_metadata, so there are no models to compare with")
        return [given] if isinstance(given, sql.MetaData) else list(given)

    @property
    def version_table(self) -> str:
        return self._options.get("version_table") or "alembic_version"

    def run(self, work: Work, **options: Any) -> MigrationContext:
        """Run env.py with this work, as alembic's commands do; the context that it configured."""
        seen: list[MigrationContext] = []

        def fn(heads: tuple[str, ...], context: MigrationContext) -> Iterable[MigrationStep]:
            seen.append(context)
            return work(heads, context)

        with self.engine.connect() as connection:
            # What a revision sets for its session ends with it.
            connection.detach()
            self._config.attributes["connection"] = connection
            with EnvironmentContext(self._config, self.directory, fn=fn, **options):
                self.directory.run_env()
            connection.commit()
        if not seen:
            raise Refused(f"env.py runs no migrations; {RECIPE}")
        return seen[0]

    def up(self, *revisions: Script) -> None:
        """Upgrade by just these."""
        self._step(revisions, MigrationStep.upgrade_from_script)

    def down(self, revision: Script) -> None:
        """Downgrade by just this."""
        self._step((revision,), MigrationStep.downgrade_from_script)

    def up_to_heads(self) -> None:
        """Upgrade by what this database has not had yet. Raises Refused for one that another history has made."""
        have = {part.revision for head in self.heads() for part in self.directory.iterate_revisions(head, "base")}
        self.up(*(revision for revision in self.revisions if revision.revision not in have))

    def heads(self) -> set[str]:
        """The revisions that the database has, by a connection that env.py has nothing to do with."""
        names = ("version_table", "version_table_schema")
        options = {name: self._options[name] for name in names if self._options.get(name)}
        with self.engine.connect() as connection:
            return set(MigrationContext.configure(connection, opts=options).get_current_heads())

    def _step(self, revisions: tuple[Script, ...], make: Callable[..., MigrationStep]) -> None:
        before = self.heads()
        self.run(lambda heads, context: [make(self.directory.revision_map, revision) for revision in revisions])
        if revisions and self.heads() == before:
            raise Refused(f"after a migration the gate's own database has the revision that it had before; {RECIPE}")

    def wipe(self) -> None:
        """Make the database empty."""
        if self.engine.dialect.name == "sqlite":
            Path(str(self.engine.url.database)).unlink(missing_ok=True)
            return
        with self.engine.begin() as connection:
            for schema in schemas_of(connection):
                quoted = self.engine.dialect.identifier_preparer.quote(schema or "public")
                connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {quoted} CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")


def _hurry(connection: Any, record: object) -> None:
    """Nobody needs this database after a crash."""
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")
    attach_nothing(connection)


def schemas_of(connection: Connection) -> list[str | None]:
    """The schemas of a database that are not its own; None is the one of names without a schema."""
    if connection.dialect.name == "sqlite":
        return [None]
    seen = sql.inspect(connection)
    names = [name for name in seen.get_schema_names() if name != "information_schema" and not name.startswith("pg_")]
    return [None, *(name for name in names if name != seen.default_schema_name)]


def trouble(
    rule: str, message: str, script: Script, error: BaseException | None = None, line: int | None = None
) -> Trouble:
    """Something about a revision, in this line of its file, or in the one that an error came through."""
    frames = traceback.extract_tb(error.__traceback__) if error is not None else ()
    lines = [frame.lineno for frame in frames if frame.lineno and Path(frame.filename) == Path(script.path)]
    cause = "" if error is None else f": {line_of(error)}"
    return Trouble(rule, f"{message}{cause}", script.revision, script.path, line or (lines[-1] if lines else 1))


def line_of_empty(script: Script, name: str) -> int | None:
    """The line of a function of a revision that does nothing at all; 1 where it has none, None where it does something."""
    tree = ast.parse(Path(script.path).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if not found:
        return None if hasattr(script.module, name) else 1
    return None if any(map(_does_something, found[-1].body)) else found[-1].lineno


def _does_something(node: ast.stmt) -> bool:
    nothing = isinstance(node, ast.Pass) or (isinstance(node, ast.Return) and node.value is None)
    return not (nothing or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)))
