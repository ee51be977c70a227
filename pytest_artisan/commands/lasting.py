"""What a command needs that lasts long: an end in order on SIGTERM too, and lines that nobody may be there to read."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from pytest_artisan.settings import one_line


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def tell(text: str) -> None:
    """Print a line; whoever read it may be gone, or its disk full, and what is watched is still to be watched.

    What the output's encoding lacks is escaped.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(one_line(text).encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
