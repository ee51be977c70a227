"""What somebody answers for: a vulnerability that does not block for a while, and statements that one does no harm."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pytest_artisan.audit.advisories import key_of
from pytest_artisan.audit.matching import version_of
from pytest_artisan.settings import Table, convert, read_toml

_LONGEST_DAYS, _SOON_DAYS = 90, 7
_EVERY = "*"
Text = Annotated[str, Meta(min_length=1)]


class _WaiverTable(Table, frozen=True):
    advisory: Text
    package: Text
    versions: Text
    expires: date
    reason: str = ""
    owner: str = ""

    def lint(self) -> Iterator[str]:
        if self.versions != _EVERY and not _clauses(self.versions):
            yield f'versions: {self.versions!r} is no range such as "<2.0", nor "*"'


class _WaiverFile(Table, frozen=True):
    waiver: tuple[_WaiverTable, ...] = ()

    def lint(self) -> Iterator[str]:
        for number, table in enumerate(self.waiver):
            yield from (f"waiver[{number}] {complaint}" for complaint in table.lint())


def term_faults(expires: date, today: date) -> Iterator[str]:
    """Why something that holds through that day, in UTC, does not hold today."""
    days = (expires - today).days
    if days < 0:
        yield f"expired on {expires}"
    if days > _LONGEST_DAYS:
        yield f"expires on {expires}, in {days} days, more than {_LONGEST_DAYS}"


def ends_soon(expires: date, today: date) -> bool:
    """Whether it is time to think about what comes after."""
    return 0 <= (expires - today).days <= _SOON_DAYS


def _clauses(text: str) -> int:
    """How many clauses a range has; none where it is no range. A blank one would allow everything."""
    try:
        # A number of more digits than Python reads is found only by whoever compares with it.
        return len([clause.contains("0") for clause in SpecifierSet(text)])
    except ValueError:
        return 0


class Answered:
    """What `owner` answers for, with a `reason`, through the day `expires` in UTC."""

    __slots__ = ()
    reason: str
    owner: str
    expires: date

    def told(self) -> str:
        return f"waived by {self.owner} until {self.expires}: {self.reason}"

    def faults(self, today: date) -> Iterator[str]:
        """Why it waives nothing."""
        yield from term_faults(self.expires, today)
        for field in ("reason", "owner"):
            if not getattr(self, field).strip():
                yield f"has no {field}"


@dataclass(frozen=True, slots=True)
class Waiver(Answered):
    """`owner` answers for `advisory`, an id or an alias, in `versions` of `package`, through the day `expires` in UTC."""

    advisory: str
    package: str
    versions: str
    reason: str
    owner: str
    expires: date
    file: str
    line: int

    def covers(self, names: Collection[str], package: str, version: str) -> bool:
        """Whether it is about a vulnerability of that release; one whose version is none takes the range "*"."""
        if self.advisory not in names or self.package != package:
            return False
        if self.versions == _EVERY:
            return True
        return version_of(version) is not None and SpecifierSet(self.versions).contains(version, prereleases=True)

    @property
    def name(self) -> str:
        """How people find it."""
        return f"waiver of {self.advisory} for {self.package}"


def read_waivers(path: Path, name: str) -> tuple[Waiver, ...]:
    """The `[[waiver]]` tables of a TOML file, which `name` names for people. Raises SettingsError."""
    tables = convert(read_toml(path), _WaiverFile, name).waiver
    waivers = []
    for table, line in zip(tables, lines_of(path), strict=False):
        named = {"advisory": key_of(table.advisory), "package": canonicalize_name(table.package)}
        waivers.append(Waiver(**msgspec.structs.asdict(table) | named, file=name, line=line))
    return tuple(waivers)


def lines_of(path: Path) -> Iterator[int]:
    """The lines on which the `[[waiver]]` tables of a file begin, as far as they can be told; then 1 for ever."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if re.match(r"\s*\[\[\s*waiver\s*\]\]", line):
            yield number
    yield from itertools.repeat(1)
