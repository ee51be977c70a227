"""What a project installs: pins, each where it is written, and what can not be audited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pytest_artisan.settings import one_line


class NoAudit(Exception):
    """An audit that could not be: its source or its input is missing, stale or nonsense.

    Its text is one line, whatever it quotes.
    """

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One version of one distribution: `name` as PEP 503 has it, `version` as PEP 440 writes it where it can be read.

    It stands in line `line` of `file`, which is relative to the project's root, or "environment" for what is installed
    (line 1). `hashes` are such as "sha256:<hex>".
    """

    name: str
    version: str
    file: str
    line: int
    hashes: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, order=True)
class Unaudited:
    """Something to install of which nobody can tell which advisories concern it, and `why`: "has no version"."""

    name: str
    file: str
    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that is installed, in the order of files and lines.

    `requires` has, for each name whose requirements are known, the names of those that it needs itself. `root` is the
    name and version of the project, where they are known; "" where they are not.
    """

    pins: tuple[Pin, ...]
    unaudited: tuple[Unaudited, ...] = ()
    requires: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    root: tuple[str, str] = ("", "")

    @classmethod
    def of(
        cls,
        found: Iterable[Pin | Unaudited],
        requires: Mapping[str, Iterable[str]] | None = None,
        root: tuple[str, str] = ("", ""),
    ) -> Inventory:
        """All that was found, each where it belongs, and the needed names in order."""
        found = list(found)
        pins = tuple(one for one in found if isinstance(one, Pin))
        unaudited = tuple(one for one in found if isinstance(one, Unaudited))
        return cls(pins, unaudited, {name: tuple(sorted(needed)) for name, needed in (requires or {}).items()}, root)
