"""A pytest session as a process, for commands that are about what one says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pytest_artisan.commands.lasting import terminated_like_interrupted

# pytest's own status of a usage error, which its line has told by then.
MISUSED = 4
_STOP_S = 15.0


def run_session(root: Path, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """The exit status of a session, which ends with this process's own interruption. Raises KeyboardInterrupt."""
    command = [sys.executable, "-m", "pytest", "-p", "artisan", *arguments]
    with terminated_like_interrupted():
        # In a group of its own, so that an interruption reaches it once: by this process, whoever interrupts that.
        session = subprocess.Popen(command, cwd=root, env=environment, stdin=subprocess.DEVNULL, process_group=0)
        try:
            return session.wait()
        finally:
            _end(session)


def _end(session: subprocess.Popen[bytes]) -> None:
    """Interrupt it where it still runs, which lets it tidy up and tell; in the end, kill it and what it started."""
    if session.poll() is not None:
        return
    session.send_signal(signal.SIGINT)
    try:
        session.wait(_STOP_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with suppress(ProcessLookupError):
            os.killpg(session.pid, signal.SIGKILL)
        session.wait()
