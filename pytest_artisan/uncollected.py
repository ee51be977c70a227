"""Tests that never reach the plan, although nobody skipped or deselected them."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from fnmatch import fnmatch
from pathlib import Path

import pytest

from pytest_artisan.narrowing import matches


class Uncollected:
    """Watches a collection; `items` are all that were made, also those that were dropped before the plan saw them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.items: list[pytest.Item] = []
        self.places: dict[str, str] = {
            entry: "testpaths names it, but there is no such path"
            for entry in config.getini("testpaths")
            if not matches(entry, config.rootpath)
        }

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        self.items.append(item)

    def pytest_deselected(self, items: Iterable[pytest.Item]) -> None:
        # A plugin may drop what a module holds before that has become the session's.
        self.items += items

    @pytest.hookimpl(wrapper=True)
    def pytest_ignore_collect(self, collection_path: Path) -> Generator[None, bool | None, bool | None]:
        ignored = yield
        if ignored and self._is_told(collection_path):
            place = os.path.relpath(collection_path, self._config.rootpath)
            self.places[place] = "kept from collection by a plugin or a conftest.py (collect_ignore and its like)"
        return ignored

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if isinstance(collector, pytest.Class) and report.passed and not report.result and _has_tests(collector):
            self.places[collector.nodeid] = "none of its tests was collected; has it a constructor?"
        return report

    def _is_told(self, path: Path) -> bool:
        """Whether it holds tests, and neither pytest's own rules nor the options of this run leave it out."""
        option, patterns = self._config.option, self._config.getini("python_files")
        if path in map(_absolute, option.ignore or ()):
            return False
        if any(fnmatch(str(path), str(_absolute(pattern))) for pattern in option.ignore_glob or ()):
            return False
        if not path.is_dir():
            return any(path.match(pattern) for pattern in patterns)
        by_rule = any(path.match(pattern) for pattern in ("__pycache__", *self._config.getini("norecursedirs")))
        is_virtual = (path / "pyvenv.cfg").is_file() or (path / "conda-meta/history").is_file()
        return not by_rule and not is_virtual and any(any(path.rglob(pattern)) for pattern in patterns)


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(path))


def _has_tests(collector: pytest.Class) -> bool:
    tests: object = collector.obj
    named = [name for name in dir(tests) if collector.funcnamefilter(name)]
    return getattr(tests, "__test__", True) is not False and any(callable(getattr(tests, n, None)) for n in named)
