"""Files that are whole or absent."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

# Where a project keeps what its releases need, below its root.
OWN_FOLDER = ".artisan"


def make_folder(folder: Path) -> None:
    """Make a folder; of the project's own one git sees nothing but baselines, so that a tree stays clean. Raises OSError."""
    folder.mkdir(exist_ok=True)
    if folder.name == OWN_FOLDER:
        with suppress(FileExistsError), open(folder / ".gitignore", "x", encoding="utf-8") as file:
            file.write("*\n!baseline-*.json\n")


def stage(path: Path, text: str) -> Path:
    """Write `text` to a new file beside `path`, on disk when this returns; `os.replace` then puts it in place."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        share(name)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    return Path(name)


def share(name: str) -> None:
    """Make a file of mkstemp's, which is private, as readable as any file that this user writes. Raises OSError."""
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(name, 0o666 & ~umask)


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by a file that holds `text`; on any error `path` stays as it was. Raises OSError."""
    staged = stage(path, text)
    try:
        os.replace(staged, path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise
