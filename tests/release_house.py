"""Repositories with something to release, and the command as a user types it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_artisan.cli import main
from pytest_artisan.gates.gate import Gate
from pytest_artisan.policy import load_policy
from pytest_artisan.reports.machine import as_json
from pytest_artisan.settings import Table
from pytest_artisan.verdict.decide import Purpose, Requirements, Verdict, decide
from pytest_artisan.verdict.evidence import Evidence, Plan


class Mine(Table, frozen=True):
    rate: float = 1.5


# What no command knows, as a plugin adds it.
MINE, STATED = Gate("mine", "a plugin's", Mine), "[tool.artisan.mine]\nrate = 2\n"
AT = datetime(2026, 11, 24, 10, 15, 30, 999, UTC)


def git(folder: Path, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
    command = ["git", "-c", "user.name=Test", "-c", "user.email=t@example.test", "-C", str(folder), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Shop:
    """A repository with one commit, a model, a GO verdict for it, and a bare remote called origin."""

    path: Path
    remote: Path
    verdict: Verdict
    capsys: pytest.CaptureFixture[str]

    def artisan(self, *arguments: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        status = main(["release", *arguments], clock=lambda: AT)
        said = self.capsys.readouterr()
        return status, said.out, said.err

    def tag(self, version: str, *arguments: str, model: bool = True) -> tuple[int, str, str]:
        """Release with the verdict of this shop, unless the arguments name another."""
        given = ["--checkpoint-dir", "model"] if model else []
        given += [] if "--verdict" in arguments else ["--verdict", "verdict.json"]
        given += [] if "--notes" in arguments else ["--notes", "Neu: schneller\n\n한국어 🎉"]
        return self.artisan("tag", version, *given, *arguments)

    def judge(self, **changes: Any) -> None:
        """Write the verdict, changed like this."""
        (self.path / "verdict.json").write_text(as_json(replace(self.verdict, **changes)), encoding="utf-8")

    def tags(self, place: Path | None = None) -> dict[str, str]:
        """The ids of all tags, by name."""
        told = git(place or self.path, "for-each-ref", "--format=%(refname:strip=2) %(objectname)", "refs/tags")
        return dict(line.split(" ") for line in told.splitlines())

    def hook(self, name: str, script: str) -> None:
        """What the remote does when it is pushed to."""
        path = self.remote / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def exclude(self, patterns: str) -> None:
        (self.path / ".git" / "info").mkdir(exist_ok=True)
        (self.path / ".git" / "info" / "exclude").write_text(f"{patterns}\n", encoding="utf-8")

    def commit(self, name: str, text: str) -> str:
        (self.path / name).write_text(text, encoding="utf-8")
        git(self.path, "add", name)
        git(self.path, "commit", "-q", "-m", f"write {name}")
        return git(self.path, "rev-parse", "HEAD")


def repository(folder: Path) -> str:
    """A repository with a policy and one commit, whose id is returned."""
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main", "--template=")
    git(folder, "config", "user.name", "Kim 김")
    git(folder, "config", "user.email", "kim@example.test")
    (folder / "pyproject.toml").write_text(f'[tool.artisan]\nrequired = ["unit"]\n{STATED}', encoding="utf-8")
    (folder / ".gitignore").write_text("/ignored/\n__pycache__/\n.pytest_cache/\n", encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return git(folder, "rev-parse", "HEAD")


def make_place(folder: Path) -> Verdict:
    """All files of a shop; a copy of them takes a tenth of the time."""
    path = folder / "shop"
    commit = repository(path)
    git(folder, "init", "-q", "--bare", "--template=", "remote.git")
    git(path, "remote", "add", "origin", "../remote.git")
    (path / "model" / "sub").mkdir(parents=True)
    (path / "model" / "w.bin").write_bytes(b"weights")
    (path / "model" / "sub" / "토큰.txt").write_bytes(b"tokens")
    asked = Requirements(Purpose.RELEASE, ("unit",), load_policy(path, [MINE], "dev").digest, commit=commit)
    verdict = decide(asked, Plan({"unit": ("t.py::t",)}), Evidence(frozenset(["t.py::t"])))
    assert verdict.line == "GO"
    (path / "verdict.json").write_text(as_json(verdict), encoding="utf-8")
    return verdict


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verdict]:
    folder = tmp_path_factory.mktemp("place")
    return folder, make_place(folder)


@pytest.fixture
def shop(
    place: tuple[Path, Verdict],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shop:
    monkeypatch.delenv("ARTISAN_ENV", raising=False)
    shutil.copytree(place[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path / "shop")
    return Shop(tmp_path / "shop", tmp_path / "remote.git", place[1], capsys)
