"""One of several processes behind one socket: what it needs to know is the first line of its standard input."""

from __future__ import annotations

import shutil
import signal
import socket
import sys

import msgspec

from pytest_artisan.loopback import end_with_parent
from pytest_artisan.service.running import Plan, end, work


def main() -> None:
    """Serve until the process that started this one ends it, or is gone."""
    signal.signal(signal.SIGTERM, end)
    descriptor, folder, plan = msgspec.json.decode(sys.stdin.readline(), type=tuple[int, str, Plan])
    end_with_parent(gently=True)
    try:
        work(socket.socket(fileno=descriptor), plan, "worker")
    finally:
        # Where one ends, all do; and whoever started this one may have been killed, so that nobody else tidies up. That
        # can not be asked for: a killed process closes its pipes before it is no parent any more.
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
