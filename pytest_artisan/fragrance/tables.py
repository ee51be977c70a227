"""CSV files into rows, with errors that name the file, the row and the column."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_artisan.settings import SettingsError

DATA = Path(__file__).parent / "data"
Row = Mapping[str, str]
CAS_FORM = re.compile(r"[0-9]{2,7}-[0-9]{2}-[0-9]")


class TableError(SettingsError):
    """A table that can not be used."""


def cas_valid(text: str) -> bool:
    """Whether a CAS number has its form, and its last digit is the check digit of the others.

    The check digit is the sum of the others, times 1, 2, 3, ... from the right, modulo 10.
    """
    if not CAS_FORM.fullmatch(text):
        return False
    *digits, check = (int(c) for c in text if c != "-")
    return sum(place * digit for place, digit in enumerate(reversed(digits), 1)) % 10 == check


def read_rows(path: Path, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Iterator[tuple[str, Row]]:
    """Each row with its place, `file row 7`. Raises TableError for what is no such table."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path.name}: no table of comma-separated values in UTF-8: {error}") from None
    header = [name.strip() for name in lines[0]] if lines else []
    missing = [name for name in required if name not in header]
    unknown = [name for name in header if name not in (*required, *optional)]
    if missing or unknown:
        told = f"column {missing[0]!r} is missing" if missing else f"unknown column {unknown[0]!r}"
        known = f"required: {', '.join(required)}" + (f"; optional: {', '.join(optional)}" if optional else "")
        raise TableError(f"{path.name}: {told}; {known}")
    if len(set(header)) < len(header):
        raise TableError(f"{path.name}: a column stands twice in {', '.join(header)}")
    if len(lines) < 2:
        raise TableError(f"{path.name}: holds no row")
    for number, cells in enumerate(lines[1:], 2):
        if cells and len(cells) != len(header):
            raise TableError(f"{path.name} row {number}: {len(cells)} cells, the header has {len(header)}")
        if cells:
            yield f"{path.name} row {number}", {name: cell.strip() for name, cell in zip(header, cells, strict=True)}


def cas_of(row: Row, where: str, column: str = "cas") -> str:
    """The CAS number of a cell; raises TableError for what is none."""
    text = row[column]
    if not cas_valid(text):
        raise TableError(f"{where} {column}: {text!r} is no CAS number (digits, two digits, a check digit)")
    return text


def number_of(row: Row, where: str, column: str) -> float | None:
    """The number of a cell, None where it is empty; raises TableError for what is not positive and finite."""
    text = row.get(column, "")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise TableError(f"{where} {column}: {text!r} is no number above 0")
    return number


def one_of(row: Row, where: str, column: str, allowed: tuple[str, ...]) -> str | None:
    """The word of a cell, None where it is empty; raises TableError for a word that is not allowed."""
    word = row.get(column, "").lower()
    if word and word not in allowed:
        raise TableError(f"{where} {column}: {row[column]!r} is none of {', '.join(allowed)}")
    return word or None


def words_of(row: Row, column: str) -> tuple[str, ...]:
    """The parts of a cell that semicolons separate."""
    return tuple(filter(None, (part.strip() for part in row.get(column, "").split(";"))))
