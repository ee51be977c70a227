"""A real headless Chromium that opens files, and says what it made of them."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
installed = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
# Milliseconds of the page's own clock, which runs ahead while nothing loads: whatever a page does later, it has done.
_BUDGET = 20_000
_FRAMED = """<!doctype html><title>frames</title>{frames}<script>
setTimeout(() => {{
  const told = [...document.querySelectorAll("iframe")].map(f => f.contentDocument.documentElement.outerHTML);
  document.body.textContent = JSON.stringify(told);
}}, {late})
</script>"""


@dataclass(frozen=True)
class Frame:
    """A file, so many pixels wide, for a reader who likes it dark or light."""

    page: Path
    width: int = 1100
    scheme: str = "light"

    def __str__(self) -> str:
        look = f'width="{self.width}" height="900" style="color-scheme: {self.scheme}"'
        return f'<iframe src="{self.page.as_uri()}" {look}></iframe>'


def doms_of(frames: Iterable[Frame]) -> list[str]:
    """Each document as HTML after all that it did; one browser opens all of them, as its start takes a second."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        top = Path(folder, "frames.html")
        top.write_text(_FRAMED.format(frames="".join(map(str, frames)), late=_BUDGET - 1000), encoding="utf-8")
        # The frames are files, which Chromium else keeps from each other; what they may do besides stays as it is.
        flags = (*_FLAGS, "--allow-file-access-from-files", f"--virtual-time-budget={_BUDGET}")
        command = [PROGRAM, *flags, f"--user-data-dir={folder}/profile", "--dump-dom", top.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    told: list[str] = json.loads(body_of(done.stdout))
    return told


def body_of(dom: str) -> str:
    """The text of a document that holds nothing else."""
    return html.unescape(dom.rpartition("<body>")[2].partition("</body>")[0])
