"""Processes that end with their standard input, and say in one line when they are ready."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from pytest_artisan.settings import SettingsError

_STOP_S = 10.0


class ChildError(SettingsError):
    """A process that ended, or said nothing, instead of getting ready."""


class Child:
    """A process called `name`, started at once; it is ready with a line such as `name at http://127.0.0.1:8000`.

    It has to end when its standard input does, so that nothing is left behind even where this process is killed.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        sockets: Sequence[int] = (),
        first: str = "",
        cwd: Path | None = None,
        stderr: IO[bytes] | None = None,
    ) -> None:
        self._line = re.compile(rf"{name} at (http://[^\s:]+:\d+[^\s:]*)")
        self._name = name
        # In a group of its own: Ctrl-C reaches the process in front of a terminal alone, which then ends this one.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            pass_fds=sockets,
            process_group=0,
            cwd=cwd,
        )
        self.tell(first.encode())

    def tell(self, text: bytes) -> None:
        """Write to its standard input; nothing where it has ended."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(text)
            self._process.stdin.flush()

    def fileno(self) -> int:
        """What can be read from when the process ends, or says something."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def url(self, seconds: float) -> str:
        """Where it is ready; waits, and raises, as `line` does."""
        found = self._line.match(self.line(seconds))
        assert found is not None
        return found[1]

    def line(self, seconds: float) -> str:
        """Wait for the line; raises ChildError where it does not come in time."""
        deadline, said = time.monotonic() + seconds, b""
        while select.select([self], [], [], max(0.0, deadline - time.monotonic()))[0]:
            part = os.read(self.fileno(), 4096)
            if not part:
                raise ChildError(f"{self._name} ended with status {self._process.wait(_STOP_S)} before it was ready")
            said += part
            line, whole, _ = said.decode(errors="replace").partition("\n")
            if whole and self._line.match(line):
                return line
        raise ChildError(f"{self._name} was not ready within {seconds:g} s")

    def wait(self) -> int:
        """Its exit status, once it has ended by itself."""
        return self._process.wait(_STOP_S)

    def stop(self) -> int:
        """End it, gently at first; its exit status."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.terminate()
        try:
            # Its standard input stays open: the end of that means that nobody waits for it any more.
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
        finally:
            with suppress(OSError):
                process.stdin.close()
            process.stdout.close()
        return process.wait()
