"""A real HAProxy in front of two slots, which is gone when whoever started it is."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pytest_artisan.loopback import HOST, bound
from pytest_artisan.release.traffic.settings import Traffic

ABSENT = "no HAProxy is installed"
# Debian keeps it where a user's PATH does not lead.
PROGRAM = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
installed = pytest.mark.skipif(PROGRAM is None, reason=ABSENT)
_GUARD = Path(__file__).with_name("guarded.py")
_READY_S = 10.0
_CONFIG = """
global
  stats socket {folder}/admin mode 600 level admin
  stats socket {folder}/user mode 600 level user
  stats socket {folder}/operator mode 600 level operator
defaults
  mode http
  option redispatch
  retries 2
  timeout connect 2s
  timeout client 30s
  timeout server 30s
frontend fe
  bind fd@{listener}
  use_backend %[path,field(2,/)] if {{ path_beg /be- }}
  default_backend be
backend be
  balance roundrobin
{servers}
{more}
"""


@dataclass(frozen=True, slots=True)
class House:
    """Where it answers visitors, and the socket of its runtime API; its backend is `be`, with the servers blue and green.

    A path `/be-...` leads to the backend of that name, where there is one.
    `folder` holds the sockets `user` and `operator` too, of those levels, whose users may not change a weight.
    """

    url: str
    socket: Path

    @property
    def folder(self) -> Path:
        return self.socket.parent

    @property
    def traffic(self) -> Traffic:
        """The settings of its router."""
        return Traffic(router="haproxy", socket=str(self.socket), backend="be")

    def tell(self, commands: str) -> str:
        """What its runtime API answers, in its own words."""
        return asked(self.socket, commands)


@contextmanager
def haproxy(blue: str, green: str, *, server: str = "", more: str = "") -> Iterator[House]:
    """One that gives all to `blue` and nothing to `green`, the URLs of the slots; it has started when this begins.

    It ends with the block, or, where this process is killed, with this process. `server` ends the line of each slot's
    server (`check inter 50ms`), `more` the file of settings.
    """
    assert PROGRAM is not None, ABSENT
    # A socket's path has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="artisan-ha-", dir="/tmp"))
    try:
        with bound() as listener:
            slots = (("blue", blue, 100), ("green", green, 0))
            servers = "\n".join(f"  server {name} {urlsplit(u).netloc} weight {w} {server}" for name, u, w in slots)
            text = _CONFIG.format(folder=folder, listener=listener.fileno(), servers=servers, more=more)
            (folder / "config").write_text(text, encoding="utf-8")
            process = _started(folder, listener)
            url = f"http://{HOST}:{listener.getsockname()[1]}"
        try:
            _wait(process, folder)
            yield House(url, folder / "admin")
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(_READY_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def asked(path: Path, commands: str) -> str:
    """What a runtime API's socket answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_READY_S)
        connection.connect(str(path))
        connection.sendall(commands.encode() + b"\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def _started(folder: Path, listener: socket.socket) -> subprocess.Popen[bytes]:
    command = [str(PROGRAM), "-db", "-f", str(folder / "config")]
    with open(folder / "log", "wb") as log:
        # It ends when this pipe does, however this process ends.
        return subprocess.Popen(
            [sys.executable, "-IS", str(_GUARD), str(folder), *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            process_group=0,
        )


def _wait(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        try:
            asked(folder / "admin", "show version")
        except OSError:
            time.sleep(0.01)
        else:
            return
