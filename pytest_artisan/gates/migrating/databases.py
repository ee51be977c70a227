"""Databases of the gate's own: a new file of SQLite, and a new database on a server; nothing of them is left."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_artisan.gates.gate import Project
from pytest_artisan.gates.tables import Migrations
from pytest_artisan.release.environments import NAMES, environment_name, resolve
from pytest_artisan.release.secrets import Masker, Secret, kept
from pytest_artisan.settings import artisan_table, one_line
from pytest_artisan.verdict.evidence import NoEvidence

if TYPE_CHECKING:
    import sqlalchemy as sql

_WHERE = "pyproject.toml [tool.artisan]"
_CONNECT_S = 10
PREFIX = "artisan_gate_"


@contextmanager
def fresh_databases(project: Project, table: Migrations) -> Iterator[dict[str, str]]:
    """URLs of empty databases, by dialect: of SQLite where an environment has it, of the server where one is named.

    Raises NoEvidence.
    """
    tables = artisan_table(project.pyproject, _WHERE).get("environments", {})
    has_sqlite = any(resolve(environment_name(name), tables, _WHERE).database.driver == "sqlite" for name in NAMES)
    if not has_sqlite and table.postgresql_env is None:
        raise NoEvidence("no environment is on SQLite, so postgresql_env has to name a server")
    with tempfile.TemporaryDirectory(prefix="artisan-migrations-") as folder:
        urls = {"sqlite": f"sqlite:///{Path(folder, 'database.db')}"} if has_sqlite else {}
        if table.postgresql_env is None:
            yield urls
            return
        with fresh_postgresql(table.postgresql_env) as url:
            yield urls | {"postgresql": url}


@contextmanager
def fresh_postgresql(variable: str) -> Iterator[str]:
    """The URL of a new database on the server whose URL this variable holds; it is dropped whatever happens meanwhile.

    Raises NoEvidence, without a password.
    """
    server = _server(variable)
    import sqlalchemy as sql

    name = f"{PREFIX}{secrets.token_hex(8)}"
    # A `dbname` in the query would win over the database.
    made = server.set(database=name).difference_update_query(["dbname"])
    try:
        try:
            # Of template1 nobody else may hold a connection.
            _execute(server, f"CREATE DATABASE {name} TEMPLATE template0")
            if _execute(made, "SELECT current_database()") != name:
                raise NoEvidence(f"{variable}: the server gives another database than the one that was made on it")
            yield made.render_as_string(hide_password=False)
        finally:
            _execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    except ImportError as error:
        raise NoEvidence(
            f"{variable}: the driver {error.name} is not installed: pip install pytest-artisan[postgres]"
        ) from None
    except sql.exc.SQLAlchemyError as error:
        cause = Masker().text(" ".join(str(getattr(error, "orig", None) or error).split()))
        raise NoEvidence(f"{variable}: {one_line(cause)}") from None


def _execute(url: sql.URL, statement: str) -> object:
    """A statement's first value, by a connection of its own: one that waits for long may be cut, and then drops nothing."""
    import sqlalchemy as sql

    options = {"isolation_level": "AUTOCOMMIT", "connect_args": {"connect_timeout": _CONNECT_S}}
    with sql.create_engine(url, poolclass=sql.NullPool, **options).connect() as connection:
        result = connection.exec_driver_sql(statement)
        return result.scalar() if result.returns_rows else None


def _server(variable: str) -> sql.URL:
    """The server's address, by the one driver that the gate knows; whatever is secret of it is masked from now on."""
    import sqlalchemy as sql

    try:
        url = sql.make_url(Secret(variable).reveal())
    except LookupError as error:
        raise NoEvidence(f"postgresql_env: {error}") from None
    except (sql.exc.ArgumentError, ValueError):
        # Either text may quote a password.
        raise NoEvidence(f"postgresql_env: what {variable} holds is no URL") from None
    if not url.drivername.startswith("postgres"):
        raise NoEvidence(f"postgresql_env: what {variable} holds is the URL of {url.drivername}, not of postgresql")
    for secret in (url.password, *url.query.values()):
        if isinstance(secret, str):
            kept(secret)
    return url.set(drivername="postgresql+psycopg")


def with_lock_timeout(url: str, milliseconds: int) -> str:
    """The URL of sessions that give up a lock after that time, whoever opens them."""
    import sqlalchemy as sql

    made = sql.make_url(url)
    options = " ".join([*made.normalized_query.get("options", ()), f"-c lock_timeout={milliseconds}"])
    return made.update_query_dict({"options": options}).render_as_string(hide_password=False)
