"""A value for a column of any common type, another one for each number."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql as pg

from .messages import Told

_FIRST = datetime(2024, 1, 1, tzinfo=UTC)


class NoRows(Told):
    """A row that can not be made."""


def value_of(kind: Any, name: str, number: int) -> Any:
    """A value that a column of this type takes. Raises NoRows for a type that is not known."""
    for kinds, make in _MAKERS:
        if isinstance(kind, kinds):
            return make(kind, name, number)
    raise NoRows(f"no value is known for the type {kind!r} of the column {name}")


def _text(kind: Any, name: str, number: int) -> str:
    text, length = f"{name}-{number}", kind.length
    return text if length is None or len(text) <= length else f"{number:0{length}d}"[-length:]


def _decimal(kind: Any, name: str, number: int) -> Any:
    scale = kind.scale or 0
    whole = number % 10 ** max((kind.precision or 9) - scale, 0)
    # It needs all of its digits, and is a binary fraction all the same.
    made = Decimal(whole) + (Decimal(2) ** -scale if scale else 0)
    return made if kind.asdecimal else float(made)


def _enum(kind: Any, name: str, number: int) -> Any:
    choices = list(kind.enum_class) if kind.enum_class else kind.enums
    return choices[number % len(choices)]


def _moment(kind: Any, name: str, number: int) -> datetime:
    moment = _FIRST + timedelta(seconds=number)
    return moment if kind.timezone else moment.replace(tzinfo=None)


def _uuid(kind: Any, name: str, number: int) -> Any:
    made = uuid.UUID(int=number + 1)
    return made if kind.as_uuid else str(made)


def _array(kind: Any, name: str, number: int) -> Any:
    made = [value_of(kind.item_type, name, number)]
    for _ in range((kind.dimensions or 1) - 1):
        made = [made]
    return made


# The first that fits: an Enum is a String, and an Interval decorates a DateTime.
_MAKERS: tuple[tuple[Any, Any], ...] = (
    ((sql.Interval, pg.INTERVAL), lambda kind, name, number: timedelta(seconds=number)),
    (sql.types.TypeDecorator, lambda kind, name, number: value_of(kind.impl_instance, name, number)),
    (sql.Enum, _enum),
    (sql.Boolean, lambda kind, name, number: number % 2 == 0),
    (sql.SmallInteger, lambda kind, name, number: number % 32_000 + 1),
    (sql.Integer, lambda kind, name, number: number + 1),
    (sql.Numeric, _decimal),
    (sql.Float, lambda kind, name, number: float(number)),
    (sql.String, _text),
    (sql.DateTime, _moment),
    (sql.Date, lambda kind, name, number: date(2024, 1, 1) + timedelta(days=number)),
    (sql.Time, lambda kind, name, number: time(number // 3600 % 24, number // 60 % 60, number % 60)),
    (sql.LargeBinary, lambda kind, name, number: f"{name}-{number}".encode()),
    (sql.JSON, lambda kind, name, number: {name: number}),
    (sql.Uuid, _uuid),
    (sql.ARRAY, _array),
    (pg.INET, lambda kind, name, number: f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"),
    (pg.CIDR, lambda kind, name, number: f"10.{number >> 8 & 255}.{number & 255}.0/24"),
    (pg.TSVECTOR, lambda kind, name, number: f"{name} {number}"),
)
