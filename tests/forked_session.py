"""`python -m pytest` as a process of its own, forked from one that has imported pytest: the same session, started sooner."""

from __future__ import annotations

import atexit
import json
import os
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path


@cache
def _template() -> subprocess.Popen[str]:
    """It ends with its standard input, so with this process."""
    command, pipe = [sys.executable, __file__], subprocess.PIPE
    template = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1)
    atexit.register(template.communicate)
    return template


def forked_session(cwd: Path, arguments: list[str]) -> tuple[int, str, str]:
    """Its exit status, its output and its errors, in this environment; variables that Python reads as it starts aside."""
    template = _template()
    assert template.stdin is not None
    assert template.stdout is not None
    texts = [cwd / "stdout", cwd / "stderr"]
    for path in texts:
        path.write_text("", encoding="utf-8")
    order = [str(cwd), dict(os.environ), [os.devnull, *map(str, texts)], arguments]
    try:
        template.stdin.write(json.dumps(order) + "\n")
        status = os.waitstatus_to_exitcode(int(template.stdout.readline()))
    except BaseException:
        # What it answers from now on would be of this session, not of the next one.
        _template.cache_clear()
        raise
    out, err = (path.read_text(encoding="utf-8", errors="replace") for path in texts)
    return status, out, err


def _become(cwd: str, environment: dict[str, str], names: list[str], arguments: list[str]) -> None:
    """What a process is that was started in this folder as `python -m pytest`."""
    for number, name in enumerate(names):
        os.dup2(os.open(name, os.O_RDWR), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0], sys.stdin = cwd, open(0, encoding="utf-8")  # noqa: SIM115  # it ends with the process
    sys.argv[1:] = arguments


def _serve() -> None:
    """Fork for each line; answer how the child ended."""
    import pytest_artisan.activation
    import pytest_artisan.session  # noqa: F401

    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            _become(*json.loads(line))
            runpy.run_module("pytest", run_name="__main__", alter_sys=True)
            raise SystemExit
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    _serve()
