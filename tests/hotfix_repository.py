"""Repositories with a hotfix in them, as fixtures for two modules of tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from release_house import MINE, STATED

from pytest_artisan.cli import main
from pytest_artisan.policy import load_policy
from pytest_artisan.release import hotfix, record
from pytest_artisan.reports.machine import as_json
from pytest_artisan.verdict.decide import Purpose, decide
from pytest_artisan.verdict.evidence import Evidence, Plan

POLICY = f'[tool.artisan]\nrequired = ["unit", "mine"]\n{STATED}'
BEGUN, FIXED, ELSEWHERE, BOTH = (f"x = {x}\n\n\n\n\ny = {y}\n" for x, y in ((1, 1), (2, 1), (1, 3), (2, 3)))
NOW = datetime(2026, 11, 24, 19, 30, 59, tzinfo=UTC)
Artisan = Callable[..., tuple[int, str]]
SMALLER = '[tool.artisan.policies.hotfix]\nrequired = ["unit", "security", "smoke"]\n'
FINISH = ("hotfix", "finish", "--verdict=.artisan/verdict.json", "--notes=Logs in again", "--no-model=no model changed")
VERSION = "hotfix-20261124-1930"


class Repository:
    """A project in git: a policy, a module, and main."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def git(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.path, capture_output=True, text=True, check=False)  # noqa: S607
        assert done.returncode == status, done.stderr
        return done.stdout.rstrip("\n")

    def commit(self, text: str, files: dict[str, str]) -> str:
        for name, content in files.items():
            (self.path / name).write_text(content, encoding="utf-8")
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", text)
        return self.git("rev-parse", "HEAD")

    def on_main(self, files: dict[str, str]) -> None:
        """A commit of somebody else's on main."""
        branch = self.git("symbolic-ref", "--short", "HEAD")
        self.git("switch", "-q", "main")
        self.commit("main goes on", files)
        self.git("switch", "-q", branch)

    def state(self) -> tuple[str, ...]:
        """All that a command which failed must not have changed."""
        refs, status = self.git("for-each-ref", "--format=%(refname) %(objectname)"), self.git("status", "-sb")
        files = sorted(path for path in self.path.iterdir() if path.is_file())
        return refs, status, *(f"{path.name}: {path.read_text(encoding='utf-8')}" for path in files)

    def on_record(self) -> list[str]:
        return [f"{e.action}: {e.subject}: {e.why}" for e in record.read(self.path)]


def hook(repository: Repository, name: str, text: str) -> None:
    folder = repository.path / ("hooks" if repository.path.suffix == ".git" else ".git/hooks")
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def judged(repository: Repository, **changes: Any) -> Path:
    """A verdict on HEAD, by the policy hotfix as it is here: GO, but for what is changed."""
    asked = load_policy(repository.path, [MINE], "prod", "hotfix").requirements(Purpose.RELEASE, (), (), ())
    plan = Plan({name: (f"{name}.py::test_it",) for name in asked.required})
    passed = frozenset(nodeid for nodeids in plan.gates.values() for nodeid in nodeids)
    asked = replace(asked, commit=repository.git("rev-parse", "HEAD"))
    verdict = replace(decide(asked, plan, Evidence(passed=passed)), **changes)
    path = repository.path / ".artisan" / "verdict.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(as_json(verdict), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every test begins with a copy of."""
    made = Repository(tmp_path_factory.mktemp("begun"))
    made.git("init", "-q", "-b", "main", "--template=")
    made.git("config", "user.name", "Ada")
    made.git("config", "user.email", "ada@example.org")
    made.commit("begin", {"app.py": BEGUN, ".gitignore": ".artisan/\n", "pyproject.toml": POLICY})
    return made.path


@pytest.fixture
def repository(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ARTISAN_ENV", raising=False)
    shutil.copytree(begun, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return Repository(tmp_path / "project")


@pytest.fixture
def artisan(capsys: pytest.CaptureFixture[str]) -> Artisan:
    """A command: its exit status, and all that it printed."""

    def run(*arguments: str, now: datetime = NOW) -> tuple[int, str]:
        capsys.readouterr()
        status = main(arguments, clock=lambda: now)
        told = capsys.readouterr()
        return status, told.out + told.err

    return run


@pytest.fixture(scope="module")
def at_its_end(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hotfix with its verdict, while main went on."""
    made = Repository(tmp_path_factory.mktemp("mended") / "project")
    shutil.copytree(begun, made.path)
    hotfix.start(made.path, "login-loop", "nobody can log in", NOW)
    made.commit("mend it", {"app.py": FIXED})
    made.on_main({"app.py": ELSEWHERE})
    judged(made)
    return made.path


@pytest.fixture
def mended(at_its_end: Path, repository: Repository) -> Repository:
    """A copy of it."""
    shutil.rmtree(repository.path)
    shutil.copytree(at_its_end, repository.path)
    os.chdir(repository.path)
    return repository
