"""No connection to any database but the one that this process was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Dialect, Engine

from .messages import Refused

RECIPE = "env.py has to take config.attributes['connection'], or the URL in the option sqlalchemy.url"
_WHERE = ("host", "port", "dbname", "database", "user")
_allowed: list[Any] = []


def allow_only(engine: Engine) -> None:
    """From now on SQLAlchemy connects to this engine's database alone, whoever asks."""
    if not _allowed:
        sql.event.listen(Engine, "do_connect", _refuse)
    arguments, options = engine.dialect.create_connect_args(engine.url)
    _allowed[:] = [_place(arguments, options)]


def _refuse(dialect: Dialect, record: object, arguments: list[Any], options: dict[str, Any]) -> None:
    if _place(arguments, options) not in _allowed:
        raise Refused(f"the migrations asked for another database than the gate's own, which was refused; {RECIPE}")


def _place(arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    return list(arguments), {name: str(options[name]) for name in _WHERE if name in options}
