"""No connection to any database but the one that this process was given."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Dialect, Engine

from .messages import Refused

RECIPE = "env.py has to take config.attributes['connection'], or the URL in the option sqlalchemy.url"
_WHERE = ("host", "port", "dbname", "database", "user")
_DRIVERS = ("psycopg", "psycopg2", "asyncpg", "pg8000", "pymysql", "MySQLdb", "oracledb", "pyodbc", "duckdb")
_allowed: list[Any] = []
_files: list[str] = [":memory:"]
_asked: list[str] = []


def watch() -> None:
    """From now on SQLAlchemy and the drivers connect to no database that was not allowed, whoever asks."""
    sql.event.listen(Engine, "do_connect", _of_sqlalchemy)
    sys.addaudithook(_of_sqlite)
    for name in _DRIVERS:
        if name in sys.modules:
            _guard(sys.modules[name])
    sys.meta_path.insert(0, _Drivers())


def allow_only(engine: Engine) -> None:
    """Allow this engine's database, and no other any more."""
    arguments, options = engine.dialect.create_connect_args(engine.url)
    _allowed[:] = [_place(arguments, options)]
    _files[1:] = map(str, arguments)


def check() -> None:
    """Raises Refused where another database was asked for, even where whoever did so took the refusal for an answer."""
    if _asked:
        raise Refused(_asked[0])


def _refuse() -> None:
    _asked.append(f"the migrations asked for another database than the gate's own, which was refused; {RECIPE}")
    check()


def _of_sqlalchemy(dialect: Dialect, record: object, arguments: list[Any], options: dict[str, Any]) -> None:
    if _place(arguments, options) not in _allowed:
        _refuse()


def _of_sqlite(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "sqlite3.connect" and str(arguments[0]) not in _files:
        _refuse()


def attach_nothing(connection: sqlite3.Connection) -> None:
    """No other file by ATTACH either; VACUUM attaches one without a name."""

    def authorized(action: int, name: str | None, *_: object) -> int:
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH and name else sqlite3.SQLITE_OK

    connection.set_authorizer(authorized)


class _Drivers:
    """Finds the modules of drivers as they are found anyway, but guarded."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name in _DRIVERS else None
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                _guard(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _guard(module: ModuleType) -> None:
    """Make a driver's ways to connect ask here first."""
    for owner in (module, getattr(module, "Connection", None), getattr(module, "AsyncConnection", None)):
        if hasattr(owner, "connect"):
            owner.connect = _asking(module, owner.connect)  # type: ignore[union-attr]


def _asking(module: ModuleType, connect: Callable[..., Any]) -> Callable[..., Any]:
    def asked(conninfo: str = "", *arguments: Any, **options: Any) -> Any:
        # The gate's own engine has no other driver.
        told = module.conninfo.conninfo_to_dict(conninfo) | options if module.__name__ == "psycopg" else {}
        if _place((), told) not in _allowed:
            _refuse()
        return connect(conninfo, *arguments, **options)

    return asked


def _place(arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    return list(arguments), {name: str(options[name]) for name in _WHERE if name in options}
