"""Every example of the documentation is run.

A block whose first line is a comment with a file's name is that file; in a `console` block the lines after `$ pytest`,
`$ artisan`, `$ git` or `$ bash` must be printed, in order, where `...` stands for any text. Each page is a project of
its own.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cache
from pathlib import Path

import msgspec
import pytest

from conftest import Project
from pytest_artisan.cli import main
from pytest_artisan.policy import load_policy
from pytest_artisan.service.launcher import Launched, launched
from pytest_artisan.tools import BESIDE_PYTHON

ROOT = Path(__file__).parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "README.ko.md"]
_FILE = re.compile(r"^# ([\w./-]*\.(?:py|toml|sh|gitignore))\n")
_AUTHOR = {f"GIT_{role}_{what}": "docs@example.test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        yield match[1], match[2]


def commands(block: str) -> Iterator[tuple[list[str], list[str]]]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, *expected = part.rstrip().splitlines()
        yield shlex.split(line, comments=True), expected


def printed(project: Project, command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    if command[0] == "artisan":
        capsys.readouterr()
        main(command[1:])
        captured = capsys.readouterr()
        return captured.out + captured.err
    if command[0] in ("git", "bash"):
        # As in an activated virtual environment, with no plugin but this one.
        path = os.pathsep.join([BESIDE_PYTHON, os.environ["PATH"]])
        environment = {**os.environ, **_AUTHOR, "PATH": path, "PYTEST_PLUGINS": "pytest_artisan.plugin"}
        done = subprocess.run(command, cwd=project.path, env=environment, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr
    assert command[0] == "pytest"
    run = project.plain(*command[1:])
    return run.out + run.err


@pytest.fixture(scope="module")
def shared() -> Iterator[Callable[[], AbstractContextManager[Launched]]]:
    """Of all services that the pages' gates and tests start, the first: each of them takes seconds to get ready."""
    with ExitStack() as until_the_end:
        first = cache(lambda: until_the_end.enter_context(launched()))
        yield lambda: nullcontext(first())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_do_what_it_says(
    page: Path,
    project: Project,
    shared: Callable[[], AbstractContextManager[Launched]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project.path)
    monkeypatch.setattr("pytest_artisan.service.launcher.launched", shared)
    for language, block in blocks(page):
        named = _FILE.match(block)
        if named:
            project.write(named[1], block)
        elif language == "console":
            for command, expected in commands(block):
                output = printed(project, command, capsys)
                position = 0
                for line in expected:
                    pattern = ".*".join(map(re.escape, line.strip().split("...")))
                    found = re.compile(pattern).search(output, position)
                    assert found, f"{page.name}: {' '.join(command)} did not print {line!r} in\n{output}"
                    position = found.end()
        else:
            assert language in ("bash", "text", "yaml", "json"), (
                f"{page.name}: a {language} block without a file's name"
            )


def test_every_page_is_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in text, page.name


def test_the_defaults_that_the_docs_list_are_the_defaults(tmp_path: Path) -> None:
    [text] = [block for _, block in blocks(ROOT / "docs/policy.md") if block.startswith("# all-defaults.toml")]
    listed = tomllib.loads(text)["tool"]["artisan"]
    defaults = {
        name: {key: value for key, value in msgspec.to_builtins(table).items() if value is not None}
        for name, table in load_policy(tmp_path).tables.items()
    }
    assert listed == json.loads(json.dumps(defaults))
