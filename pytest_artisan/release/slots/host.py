"""A service as a process of this host that outlives the command which started it, one for each slot.

    python -m pytest_artisan.release.slots.host start blue v2.1.0 -- releases/v2.1.0/bin/serve --port 8101
    python -m pytest_artisan.release.slots.host stop blue

It is for one host without a service manager: nothing starts the service again when it ends.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from pytest_artisan.files import OWN_FOLDER, make_folder
from pytest_artisan.settings import SettingsError, parse_json
from pytest_artisan.tools import child_environment

_STOP_S, _KILLED_S, _TICK_S = 15.0, 2.0, 0.02


class Running(msgspec.Struct, frozen=True):
    """What runs in a slot."""

    pid: int
    version: str
    command: tuple[str, ...]


def start(root: Path, slot: str, version: str, command: Sequence[str]) -> str:
    """Have `command` run in the slot, detached, its output in a log; another version in it is ended first.

    Returns a line for the user. Raises SettingsError.
    """
    wanted = tuple(command)
    with _slot(root, slot) as (path, life):
        running = _running(path, life)
        if running is not None and (running.version, running.command) == (version, wanted):
            return f"{slot}: {version} runs already, process {running.pid}"
        if running is not None:
            _end(running, life)

        def name() -> None:
            # By the process itself: one that nobody names could not be ended, were this one killed meanwhile.
            os.ftruncate(life, 0)
            os.pwrite(life, msgspec.json.encode(Running(os.getpid(), version, wanted)), 0)

        with open(path.with_suffix(".log"), "ab", opener=_opened) as log:
            try:
                # The lock goes on to the process and ends with it, so the number of one that is gone is not trusted.
                process = subprocess.Popen(
                    wanted,
                    cwd=root,
                    env=child_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=[life],
                    preexec_fn=name,  # noqa: PLW1509  # no thread of this process holds what it needs
                )
            except OSError as error:
                raise SettingsError(f"{slot}: {wanted[0]} did not start: {error.strerror}") from None
            except subprocess.SubprocessError:
                raise SettingsError(f"{path}: what runs could not be written down, so nothing was started") from None
        # It is for another command to end, and for no one here to wait for.
        process.returncode = 0
        return f"{slot}: {version} runs, process {process.pid}; its output is in {path.with_suffix('.log')}"


def stop(root: Path, slot: str) -> str:
    """Have nothing run in the slot: SIGTERM, and SIGKILL 15 s later. Returns a line for the user; raises SettingsError."""
    with _slot(root, slot) as (path, life):
        running = _running(path, life)
        if running is None:
            return f"{slot}: nothing runs"
        _end(running, life)
        return f"{slot}: {running.version} has ended"


def _opened(path: str | Path, flags: int) -> int:
    # A repository may hold a link of that name.
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


@contextmanager
def _slot(root: Path, slot: str) -> Iterator[tuple[Path, int]]:
    """The slot's file, open, while no other command changes what runs in it."""
    folder = root / OWN_FOLDER / "slots"
    path = folder / f"{slot}.json"
    handles = []
    try:
        make_folder(folder.parent)
        make_folder(folder)
        for name in (path.with_suffix(".lock"), path):
            handles.append(_opened(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC))
        fcntl.flock(handles[0], fcntl.LOCK_EX)
        yield path, handles[1]
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    finally:
        for handle in handles:
            os.close(handle)


def _is_free(life: int) -> bool:
    """Whether no process holds the slot; this one then does."""
    with suppress(BlockingIOError):
        fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _running(path: Path, life: int) -> Running | None:
    if _is_free(life):
        return None
    found: Running = parse_json(os.pread(life, 1 << 16, 0), Running, f"{path}: held by a process that it does not name")
    return found


def _end(running: Running, life: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGTERM)
    if not _ends(life, _STOP_S):
        # It leads a group of its own.
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        if not _ends(life, _KILLED_S):
            raise SettingsError(f"process {running.pid} is gone, and something that it started is not")


def _ends(life: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not _is_free(life):
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK_S)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_artisan.release.slots.host", description="A slot's service."
    )
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    starting = commands.add_parser("start")
    stopping = commands.add_parser("stop")
    for one in (starting, stopping):
        one.add_argument("slot", choices=("blue", "green"))
    starting.add_argument("version")
    starting.add_argument("service", nargs="+", help="the command that serves, with its arguments")
    options = parser.parse_args(arguments)
    try:
        if options.command == "start":
            print(start(Path.cwd(), options.slot, options.version, options.service))
        else:
            print(stop(Path.cwd(), options.slot))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
