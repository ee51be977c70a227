"""What was asked for instead of the whole project."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Options that keep files, or whole kinds of items, from being collected. Read as pytest understood them, not as they
# were typed: -qo, -calt.ini, @arguments.txt and PYTEST_ADDOPTS say the same in other letters.
_NARROWING = {
    "ignore": "--ignore",
    "ignore_glob": "--ignore-glob",
    "inifilename": "-c",
    "rootdir": "--rootdir",
    "confcutdir": "--confcutdir",
    "noconftest": "--noconftest",
    "pyargs": "--pyargs",
    "override_ini": "-o",
    "plugins": "-p",
}
_HARMLESS = ("strict",)  # as --strict-markers and its like stand among the overridden settings
_COLLECTORS = ("no:python", "no:unittest", "no:doctest")


def narrowing(config: pytest.Config, root: Path) -> list[str]:
    """What was asked for instead of the whole project at `root`: paths, and options that narrow the collection.

    To be asked when all plugins are configured: they may change the paths.
    """
    told = [] if _covers_everything(config, root) else [f"only {_paths(config)}"]
    own = set(_words(config.getini("addopts")))
    for dest, option in _NARROWING.items():
        given = getattr(config.option, dest, None)
        for value in given if isinstance(given, list) else [given]:
            narrows = value in _COLLECTORS if dest == "plugins" else value and not str(value).startswith(_HARMLESS)
            if narrows and (option if value is True else str(value)) not in own:
                told.append(option if value is True else f"{option} {value}")
    return told


def _words(addopts: list[str]) -> Iterator[str]:
    """What the project itself asks for in its own settings, whether a value stands alone or with its option."""
    for word in addopts:
        yield from (word, word.partition("=")[2], word[2:])


def _paths(config: pytest.Config) -> str:
    return " ".join(os.path.relpath(arg, config.rootpath) for arg in config.args) or "nothing"


def _covers_everything(config: pytest.Config, root: Path) -> bool:
    given = [(config.invocation_params.dir / arg).resolve() for arg in config.args]
    patterns = config.getini("testpaths") if config.rootpath.resolve() == root.resolve() else []
    wanted = [root / path for pattern in patterns for path in matches(pattern, root)] or [root]
    return all(any(path.resolve().is_relative_to(place) for place in given) for path in wanted)


def matches(pattern: str, root: Path) -> list[str]:
    """What an entry of `testpaths` stands for."""
    return glob.glob(pattern, root_dir=root, recursive=True)
