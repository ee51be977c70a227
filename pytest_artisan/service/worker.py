"""One of several processes behind one socket: what it needs to know is the first line of its standard input."""

from __future__ import annotations

import os
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
    descriptor, parent, folder, plan = msgspec.json.decode(sys.stdin.readline(), type=tuple[int, int, str, Plan])
    end_with_parent(gently=True)
    try:
        work(socket.socket(fileno=descriptor), plan, "worker")
    finally:
        if os.getppid() != parent:
            # It was killed, so that nobody else tidies up.
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
