"""Which flags there are: the seven of the release strategy, and those of `[tool.artisan.flags]`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from pytest_artisan.release.environments import NAMES, Name
from pytest_artisan.settings import SettingsError, Table, artisan_of, as_table, convert


class Flag(Table, frozen=True):
    """A flag: what it is for, and whether it is on where nobody has changed it.

    Outside of `environments` it is off until a percentage of users is given on purpose.
    """

    default: bool
    about: Annotated[str, Meta(min_length=1)]
    environments: tuple[Name, ...] = NAMES  # type: ignore[assignment]  # mypy sees a tuple of str

    def lint(self) -> Iterator[str]:
        if not self.environments:
            yield "environments is empty; leave it out for all"

    def default_in(self, environment: Name) -> bool:
        return self.default and environment in self.environments


_BUILT_IN = {
    "rl_pipeline_enabled": Flag(default=True, about="formulas by the pipeline that learns from feedback"),
    "llm_ensemble_enabled": Flag(default=True, about="briefs by three language models, not by one"),
    "ppo_algorithm": Flag(default=True, about="PPO; off is REINFORCE"),
    "cache_enabled": Flag(default=True, about="the cache of the language models' answers"),
    "circuit_breaker_enabled": Flag(default=True, about="the circuit breaker of the language models"),
    "new_moga_optimizer": Flag(default=False, about="the experimental optimizer"),
    "advanced_rlhf": Flag(default=False, about="advanced learning from people's feedback", environments=("dev",)),
}


def declared(tables: Mapping[str, Any], where: str) -> dict[str, Flag]:
    """All flags by name; `tables` is `[tool.artisan.flags]`. Raises SettingsError."""
    flags = dict(_BUILT_IN)
    for name, table in tables.items():
        if re.fullmatch("[a-z][a-z0-9_-]{0,63}", name) is None:
            raise SettingsError(
                f"{where}: {name!r} is no name of a flag; write at most 64 small letters, digits, _ and -"
            )
        if name in _BUILT_IN:
            raise SettingsError(f"{where}: {name!r} is a flag already; name yours otherwise")
        flags[name] = convert(table, Flag, f"{where} {name}")
    return flags


def flags_of(root: Path) -> dict[str, Flag]:
    """All flags of the project at `root`, by name; raises SettingsError."""
    artisan = artisan_of(root)
    where = "pyproject.toml [tool.artisan.flags]"
    return declared(as_table(artisan.get("flags", {}), where), where)
