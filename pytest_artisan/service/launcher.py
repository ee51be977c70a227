"""The service as a process of its own, for tests and gates."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_artisan.children import Child

_COMMAND = (sys.executable, "-m", "pytest_artisan", "serve", "--port", "0", "--watch-stdin")
_START_S = 30.0
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Launched:
    """A service that answers at `url`, without a slash at its end."""

    url: str


@contextmanager
def launched(arguments: Sequence[str] = ()) -> Iterator[Launched]:
    """`artisan serve` on a free port with an empty database and no flag changed; it ends with the block, or this process.

    `arguments` are further ones of the command. Raises ChildError where it does not get ready.
    """
    environment = {name: value for name, value in os.environ.items() if name.lower() not in _PROXIES}
    with tempfile.TemporaryDirectory(prefix="artisan-", ignore_cleanup_errors=True) as folder:
        database = f"sqlite:///{Path(folder) / 'artisan.db'}"
        environment["ARTISAN_FLAGS"] = str(Path(folder) / "flags.db")
        child = Child("artisan", [*_COMMAND, "--database", database, *arguments], environment=environment)
        try:
            yield Launched(child.url(_START_S))
        finally:
            child.stop()
