"""A real headless Chromium that opens a file, and says what it made of it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
installed = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
# Milliseconds of the page's own clock, which runs ahead while nothing loads: whatever a page does later, it has done.
_BUDGET = "--virtual-time-budget=20000"


def dom_of(page: Path, *, dark: bool = False) -> str:
    """The document after all that the page did, as HTML."""
    assert PROGRAM is not None
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [PROGRAM, *_FLAGS, _BUDGET, scheme, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout
