"""What a test has started to outlive it is this process's child, and nobody else can let go of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest


@pytest.fixture(autouse=True)
def reaped() -> Iterator[None]:
    """No ended process is left behind."""
    yield
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
