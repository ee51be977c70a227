"""A real PostgreSQL server for the tests, which is gone when whoever started it is."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest

VARIABLE = "MIGRATIONS_DATABASE_URL"
ABSENT = "no PostgreSQL server is installed"
# Nobody needs its data after a crash; nobody reaches it but by the socket in its folder.
_OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=", "max_connections=50")
_READY_S = 30.0


def binaries() -> Path | None:
    """The folder with the server's programs: of PATH, of pg_config, or of Debian, the newest."""
    places = [shutil.which("initdb"), shutil.which("postgres")]
    folders = [Path(os.path.realpath(place)).parent for place in places if place]
    config = shutil.which("pg_config")
    if config:
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        folders.append(Path(told.stdout.strip() or "/"))
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(versions, key=lambda folder: [int(n) for n in folder.parent.name.split(".")], reverse=True)
    return next((f for f in folders if all((f / name).exists() for name in ("initdb", "postgres"))), None)


@cache
def shared() -> str:
    """The URL of one server for all tests of this process."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(server())


@pytest.fixture
def on_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose URL is in MIGRATIONS_DATABASE_URL."""
    if binaries() is None:
        pytest.skip(ABSENT)
    monkeypatch.setenv(VARIABLE, shared())


@contextmanager
def server() -> Iterator[str]:
    """The URL of a new server that ends with the block, or, where this process is killed, with this process."""
    found = binaries()
    assert found is not None, ABSENT
    # A socket's path has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="artisan-pg-", dir="/tmp"))
    try:
        owner = _owner(folder)
        _run(
            [str(found / "initdb"), "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"], owner
        )
        with _started(found, folder, owner):
            yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _owner(folder: Path) -> str | None:
    """Who runs the server: it refuses root, in whose place somebody is who may enter the folder."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    name = "postgres" if "postgres" in names else "nobody"
    shutil.chown(folder, name)
    folder.chmod(0o755)
    return name


def _run(command: list[str], owner: str | None) -> None:
    done = subprocess.run(command, user=owner, extra_groups=[] if owner else None, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@contextmanager
def _started(found: Path, folder: Path, owner: str | None) -> Iterator[None]:
    command = [str(found / "postgres"), "-D", f"{folder}/data", "-k", str(folder)]
    command += [word for option in _OPTIONS for word in ("-c", option)]
    with open(folder / "log", "wb") as log:
        guarded = [sys.executable, str(Path(__file__)), str(folder), owner or "", *command]
        # It ends when this pipe does, however this process ends.
        process = subprocess.Popen(guarded, stdin=subprocess.PIPE, stdout=log, stderr=log, process_group=0)
    try:
        _wait(process, folder)
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(_READY_S)


def _wait(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _READY_S
    # Its last line is `ready` as soon as anybody may come.
    pid_file = folder / "data" / "postmaster.pid"
    while not (pid_file.exists() and pid_file.read_text().rstrip().endswith("ready")):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.02)


def _guard(folder: str, owner: str, *command: str) -> None:
    """Run the server until standard input ends, then stop it, and leave nothing of it."""
    with subprocess.Popen(command, user=owner or None, extra_groups=[] if owner else None, process_group=0) as process:
        while os.read(0, 1):
            pass
        process.send_signal(signal.SIGQUIT)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _guard(*sys.argv[1:])
