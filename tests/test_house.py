"""The rules of the house, held by tests."""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_artisan.cli import ROOMS, parser_of
from pytest_artisan.gates.registry import GATES
from pytest_artisan.plugin import MARKERS

ROOT = Path(__file__).parent.parent
PACKAGE = sorted((ROOT / "pytest_artisan").rglob("*.py"))
BIN = Path(sys.executable).parent


@pytest.mark.parametrize("command", [("lint-imports",), ("ruff", "format", "--check", ".")], ids=" ".join)
def test_the_house_is_in_order(command: tuple[str, ...]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_readme_holds_exactly_the_two_commands_of_ci(name: str) -> None:
    def commands(path: Path) -> list[str]:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("python3 -m venv ")]

    assert len(commands(ROOT / name)) == 2
    assert commands(ROOT / name) == commands(ROOT / "README.md")


def test_every_gate_has_its_marker_and_every_marker_its_gate() -> None:
    # Two lists, as an idle session must not import the registry.
    markers = {line.partition(":")[0].partition("(")[0] for line in MARKERS}
    assert markers - {"exclusive", "writes"} == {gate.name for gate in GATES}


def test_every_command_is_in_the_room_where_it_is_looked_for() -> None:
    def commands(parser: argparse.ArgumentParser) -> set[str]:
        [found] = [action for action in parser._actions if isinstance(action.choices, dict)]
        return {*(found.choices or ())}

    assert commands(parser_of("")) == set(ROOMS)
    rooms: dict[str, set[str]] = {}
    for command, room in ROOMS.items():
        rooms.setdefault(room, set()).add(command)
    for command, room in ROOMS.items():
        assert commands(parser_of(command)) == rooms[room]
