"""What the process is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

# What somebody may answer for, a revision at a time; each is of one check.
ROUND_TRIP_RULES = (
    "no-downgrade", "downgrade-fails", "downgrade-differs", "second-upgrade-fails", "second-upgrade-differs",
    "upgrade-fails-on-rows", "rows-lost", "no-rows",
)  # fmt: skip
OLD_RULES = ("old-models",)
LOCK_RULES = ("client-error", "lock-timeout", "no-load")
# Values that the checks of a table take, by column.
Choices = dict[str, list[int | float | str]]
Action = Literal["round_trip", "models", "prepare", "upgrade", "use", "read", "alone", "dual_write", "stalls"]


class Told(Exception):
    """An error whose text is a line for the user."""


class Refused(Told):
    """Nothing can be run at all."""


class DualWrite(msgspec.Struct, frozen=True):
    """Two columns of a table that `write(connection, value)` fills from one value; `same(old)` is the new one."""

    table: str
    old: str
    new: str
    write: str
    same: str | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with `ini`'s migrations on each of the databases, URLs by name, for the process `parent`.

    `other` is the tree that nothing may come from: the present one, where an old one is run. `new` are the revisions to
    run under load, on tables of `rows` rows. `choices` is what the checks took before an upgrade, by database and table.
    """

    action: Action
    parent: int
    ini: str
    urls: dict[str, str]
    other: str = ""
    new: tuple[str, ...] = ()
    rows: int = 0
    choices: dict[str, dict[str, Choices]] = msgspec.field(default_factory=dict)
    dual_writes: tuple[DualWrite, ...] = ()


class Trouble(msgspec.Struct, frozen=True):
    """Something that does not work; of a revision where it has one. `path` is absolute, or empty."""

    rule: str
    message: str
    revision: str = ""
    path: str = ""
    line: int = 1


class Run(msgspec.Struct):
    """What was tried on one database: how much of each, what the longest stalls were, and what did not work.

    `head` is the newest revision where the database was upgraded, and `path` its file; `choices` is by table.
    """

    counts: dict[str, int] = msgspec.field(default_factory=dict)
    stalls_ms: dict[str, float] = msgspec.field(default_factory=dict)
    troubles: list[Trouble] = msgspec.field(default_factory=list)
    head: str = ""
    path: str = ""
    choices: dict[str, Choices] = msgspec.field(default_factory=dict)

    def count(self, what: str, n: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + n


class Answer(msgspec.Struct, frozen=True):
    """A run for each database that was named; or why there is none."""

    runs: dict[str, Run] = msgspec.field(default_factory=dict)
    refused: str = ""


def failure_of(step: Callable[..., object], *arguments: object) -> BaseException | None:
    """How a step of somebody else's code fails, if it does. Raises Refused alone."""
    try:
        step(*arguments)
    except Refused:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # it may raise what it likes
        return error
    return None


def line_of(error: BaseException) -> str:
    """An error in one line: the database's own words, without the values that SQLAlchemy quotes."""
    cause = getattr(error, "orig", None) or error
    name = "" if isinstance(cause, Told) else f"{type(cause).__name__}: "
    # What is half a character can not be told.
    return " ".join(f"{name}{cause}".encode(errors="replace").decode().split())[:300]
