"""Tables of TOML into typed, frozen structs, with errors that name the file, the key and what is allowed."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}


def one_line(text: str) -> str:
    """The text without what could move a reader's cursor: it may quote a test, a tool or a file."""
    return "".join(c if c.isprintable() else " " for c in text)


class SettingsError(Exception):
    """A setting that can not be used; its text is one line for the user, whatever it quotes."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every table of settings; a field's name ends in its unit where it has one (`p95_ms`)."""

    def lint(self) -> Iterator[str]:
        """What is wrong with the values together, a line each."""
        yield from ()


AnyTable = TypeVar("AnyTable", bound=Table)


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables; raises SettingsError where it can not be read or is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path.name}: {error}") from error


def read_json(path: Path, kind: Any, what: str) -> Any:
    """The file's JSON as a `kind`, any type that msgspec knows; raises SettingsError, which `what` begins."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{what}: {error}") from None
    return parse_json(data, kind, what)


def parse_json(data: bytes, kind: Any, what: str) -> Any:
    """The same for what has been read already."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{what}: {error}") from None


def as_table(data: object, where: str) -> Mapping[str, Any]:
    """`data` where it is a table; raises SettingsError for anything else."""
    if not isinstance(data, Mapping):
        raise SettingsError(f"{where}: expected a table, got {type(data).__name__}")
    return data


def artisan_table(pyproject: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The table [tool.artisan], empty where there is none; raises SettingsError where it is no table."""
    return as_table(as_table(pyproject.get("tool", {}), where).get("artisan", {}), where)


def artisan_of(root: Path) -> Mapping[str, Any]:
    """The same of the project at `root`, also where it has no pyproject.toml; raises SettingsError."""
    path = root / "pyproject.toml"
    return artisan_table(read_toml(path) if path.exists() else {}, "pyproject.toml [tool.artisan]")


def project_root(start: Path) -> Path:
    """The nearest folder from `start` upwards, within its repository, whose pyproject.toml holds a policy; else `start`.

    A pytest.ini in a folder of tests makes that folder pytest's root; the project's policy counts there too.
    """
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.exists() and "artisan" in as_table(read_toml(path).get("tool", {}), "pyproject.toml [tool]"):
            return folder
        if (folder / ".git").exists():
            break
    return start


def convert(data: object, kind: type[AnyTable], where: str) -> AnyTable:
    """`data` as a `kind`; `where` names the file and table for the error. Raises SettingsError."""
    _check_keys(data, kind, where)
    check_finite(data, where)
    try:
        table = msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        keys = path.rstrip("`").lstrip(".")
        raise SettingsError(f"{where}{' ' + keys if keys else ''}: {plain(text)}") from None
    try:
        complaints = list(table.lint())
    except ArithmeticError:
        raise SettingsError(f"{where}: a number is too large or too small to reckon with") from None
    for complaint in complaints:
        raise SettingsError(f"{where} {complaint}")
    return table


def unknown_key(key: str, known: Iterable[str], where: str) -> SettingsError:
    """The error for a key that does not exist, with the nearest that does."""
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.4)
    hint = f"the nearest is {near[0]!r}" if near else f"known: {', '.join(names)}"
    return SettingsError(f"{where} has no key {key!r}; {hint}")


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def _check_keys(data: object, kind: type[msgspec.Struct], where: str) -> None:
    fields = _fields(kind)
    for key, value in as_table(data, where).items():
        if key not in fields:
            raise unknown_key(str(key), fields, where)
        for nested in _structs(fields[key].type):
            entries = value if isinstance(value, list) else [value]
            for entry in (entry for entry in entries if isinstance(entry, Mapping)):
                _check_keys(entry, nested, f"{where} {key}")


def _structs(annotation: object) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for argument in get_args(annotation):
        yield from _structs(argument)


def check_finite(data: object, where: str) -> None:
    """TOML can write nan and inf; as a limit either would decide nothing. Raises SettingsError."""
    if isinstance(data, float) and not math.isfinite(data):
        raise SettingsError(f"{where}: {data} is no limit; give a finite number")
    if isinstance(data, int) and abs(data) >= 2**53:
        raise SettingsError(f"{where}: {data} is too large; canonical JSON, and so the digest, ends below 2**53")
    if isinstance(data, Mapping):
        for key, value in data.items():
            check_finite(value, f"{where} {key}")
    elif isinstance(data, list):
        for value in data:
            check_finite(value, where)


def plain(text: str) -> str:
    """What msgspec says of a value, as the other errors have it."""
    return text.replace("`", "").replace("Expected", "expected")


def seconds(duration: str) -> float:
    """A duration such as `500ms`, `30s`, `10min` or `1h` in seconds; raises ValueError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(ms|s|min|h)", duration)
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{duration!r} is no duration; write a number and one of {', '.join(_SECONDS)}, such as '30s'")
    return float(match[1]) * _SECONDS[match[2]]
