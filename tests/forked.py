"""The process that runs migrations, forked from one that has imported what all of them need: the same code, started sooner."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_artisan.tools import Answer, child_environment

_INSIDE = Path(__file__).parent.parent / "pytest_artisan" / "gates" / "migrating" / "inside"
_NAME = "artisan_migration_runs"


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """All runs of migrations are forked; none of them may hang."""
    monkeypatch.setattr("pytest_artisan.gates.migrating.runs.tools", SimpleNamespace(run=_run))


@cache
def _template() -> subprocess.Popen[str]:
    """It ends with its standard input, so with this process."""
    command, pipe = [sys.executable, __file__], subprocess.PIPE
    template = subprocess.Popen(command, env=child_environment(), stdin=pipe, stdout=pipe, text=True, bufsize=1)
    atexit.register(template.communicate)
    return template


def _run(tool: str, arguments: list[str], *, cwd: Path, timeout_s: float, stdin: str) -> Answer:
    template = _template()
    assert (tool, arguments) == (sys.executable, [str(_INSIDE)])
    assert template.stdin is not None
    assert template.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        names = [f"{folder}/{name}" for name in ("in", "out", "err")]
        # Its parent is the template.
        Path(names[0]).write_text(json.dumps(json.loads(stdin) | {"parent": template.pid}), encoding="utf-8")
        template.stdin.write(json.dumps([str(cwd), *names]) + "\n")
        status = os.waitstatus_to_exitcode(int(template.stdout.readline()))
        texts = (Path(name).read_text(encoding="utf-8", errors="replace") for name in names[1:])
        return Answer(status, *texts)


def _serve() -> None:
    """Fork for each line: a folder, and files for standard input, output and errors. Answers how the child ended."""
    spec = spec_from_file_location(_NAME, _INSIDE / "__init__.py", submodule_search_locations=[str(_INSIDE)])
    assert spec is not None
    sys.modules[_NAME] = module_from_spec(spec)
    answering = import_module(f"{_NAME}.answering")
    with suppress(ImportError):
        import_module(f"{_NAME}.stalls")
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            os.setsid()
            folder, *names = json.loads(line)
            for number, name in enumerate(names):
                os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
            os.chdir(folder)
            sys.path[0], sys.stdin = folder, open(0, encoding="utf-8")  # noqa: SIM115  # it ends with the process
            answering.main()
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    _serve()
