"""Run a command until it ends or standard input does, and leave neither it nor its folder: `python guarded.py FOLDER COMMAND...`."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys

if __name__ == "__main__":
    folder, *command = sys.argv[1:]
    # Not what it was given to pass on: nobody is to be kept waiting at a socket that nobody serves.
    with subprocess.Popen(command, close_fds=False, process_group=0) as process:
        os.closerange(3, 1 << 20)
        select.select([0, os.pidfd_open(process.pid)], [], [])
        process.terminate()
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit(process.returncode)
