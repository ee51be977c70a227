"""Other people's tools, run as processes that nothing in the environment can disarm."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_artisan.verdict.evidence import NoEvidence

# What a child process may know of this one. An allow-list: RUFF_*, MYPYPATH, PYTHON*, PYTEST_*, LD_PRELOAD and
# whatever is invented next stay outside.
_PASSED_ON = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
)  # fmt: skip

# A project's tools are those of its own virtual environment, also where that is not activated.
BESIDE_PYTHON = str(Path(sys.executable).parent)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool printed, and how it ended."""

    status: int
    stdout: str
    stderr: str


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child process: the harmless variables of this one, and `extra`."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | dict(extra or {})


def locate(tool: str) -> str:
    """The tool's path, first beside this interpreter, then on PATH; raises NoEvidence where it is missing."""
    places = os.pathsep.join([BESIDE_PYTHON, os.environ.get("PATH", os.defpath)])
    found = shutil.which(tool, path=places)
    if found is None:
        raise NoEvidence(f"{tool} is not installed")
    return found


def run(
    tool: str,
    arguments: list[str],
    *,
    cwd: Path,
    timeout_s: float,
    stdin: str = "",
    extra: Mapping[str, str] | None = None,
) -> Answer:
    """Run a tool to its end; raises NoEvidence where it is missing, can not start, hangs or dies of a signal."""
    command = [locate(tool), *arguments]
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=child_environment(extra),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise NoEvidence(f"{tool} did not start: {error}") from error
    try:
        stdout, stderr = process.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise NoEvidence(f"{tool} did not end within {timeout_s:g} s") from None
    finally:
        _end(process)
    if process.returncode < 0:
        raise NoEvidence(f"{tool} was killed by {signal.Signals(-process.returncode).name}")
    return Answer(process.returncode, stdout, stderr)


def _end(process: subprocess.Popen[str]) -> None:
    """Kill what is left of the tool, its own children too, and wait for it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
