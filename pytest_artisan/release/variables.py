"""Variables `ARTISAN_<KEY>` and `ARTISAN_<TABLE>__<KEY>`, which say where an environment's things are."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any, get_args

import msgspec

from pytest_artisan.settings import SettingsError, Table, plain, unknown_key

_PREFIX = "ARTISAN_"
# What else has the prefix, and is read elsewhere.
_OTHERS = frozenset({"ARTISAN_ENV", "ARTISAN_SIGNING_KEY"})


def variable_of(key: str) -> str:
    """The variable of a key such as `database.host`."""
    return _PREFIX + key.upper().replace(".", "__")


def read_variables(kind: type[Table], withheld: Collection[str]) -> dict[str, Any]:
    """The values of all variables that are set, by key; `withheld` are the keys of `kind` that no variable changes.

    Raises SettingsError for a variable of no key, of a withheld one, and for a value that is none; it names the variable.
    """
    types = {variable_of(key): (key, annotation) for key, annotation in _keys(kind, withheld)}
    values: dict[str, Any] = {}
    for name in sorted(os.environ):
        if not name.startswith(_PREFIX) or name in _OTHERS:
            continue
        if name.removeprefix(_PREFIX).partition("__")[0].lower() in withheld:
            raise SettingsError(
                f"{name}: what an environment allows and runs is for its table in pyproject.toml to say"
            )
        if name not in types:
            raise unknown_key(name, types, "environment variables: the configuration")
        key, annotation = types[name]
        values[key] = _value(name, annotation)
    return values


def _value(name: str, annotation: Any) -> Any:
    text = os.environ[name]
    if not text.strip() or not text.isprintable():
        raise SettingsError(f"{name}: is empty, or no text of one line; unset it, or give it a value")
    try:
        return msgspec.convert(text, annotation, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name}: {plain(str(error))}") from None


def _keys(kind: type[Table], withheld: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Every key that holds a value, those of tables in it as `table.key`."""
    for field in msgspec.structs.fields(kind):
        inner = [one for one in (field.type, *get_args(field.type)) if isinstance(one, type) and issubclass(one, Table)]
        if field.name in withheld:
            continue
        if inner:
            yield from ((f"{field.name}.{key}", annotation) for key, annotation in _keys(inner[0], ()))
        else:
            yield field.name, field.type


def flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table's values by key, those of tables in it as `table.key`."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        values |= {f"{key}.{inner}": one for inner, one in value.items()} if isinstance(value, dict) else {key: value}
    return values


def overlaid(table: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The table with these values, by key, in the place of its own."""
    result = dict(table)
    for key, value in values.items():
        name, _, inner = key.partition(".")
        result[name] = {**result.get(name, {}), inner: value} if inner else value
    return result
