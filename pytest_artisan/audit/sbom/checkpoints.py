"""The models that a project ships, as files that can be read without running what they hold."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_artisan.audit.inventory import NoAudit
from pytest_artisan.audit.sbom.formats import UnreadableError, check_npz, check_safetensors
from pytest_artisan.settings import one_line

_SAFETENSORS, _NPZ = ".safetensors", ".npz"
_ALLOWED = "allowed are *.safetensors, and *.npz without objects"
# What may lie in a folder of checkpoints beside them: it describes them, and nothing loads it as a model.
_BESIDE = frozenset((".json", ".md", ".txt", ".toml", ".yaml", ".yml"))
_BESIDE_NAMES = frozenset((".gitattributes", ".gitignore", ".gitkeep", "LICENSE", "NOTICE"))
_LONGEST = 200  # characters of another's error


@dataclass(frozen=True, slots=True, order=True)
class Checkpoint:
    """A model's file: `path` from the project's root with "/", its kind without the dot, its length in bytes."""

    path: str
    kind: str
    size_bytes: int
    sha256: str


def read_checkpoints(root: Path, paths: Sequence[str]) -> tuple[Checkpoint, ...]:
    """The checkpoints in files and folders below `root`, each once, sorted.

    Raises NoAudit for what is missing, lies outside, is damaged or is of a kind that only running code could read.
    """
    home = root.resolve()
    files = {file for path in paths for file in _files(home, path)}
    return tuple(sorted(_checkpoint(home, file) for file in files))


def _files(home: Path, path: str) -> Iterator[Path]:
    """All files that a path means; a link counts as what it leads to."""
    start = _within(home, home / path, path)
    if not start.is_dir():
        yield start
        return
    found = False
    for folder, folders, names in os.walk(start, onerror=_not_listed):
        for name in sorted(folders):
            # The walk leaves these out, and what is left out in silence is not in the bill.
            if (Path(folder) / name).is_symlink():
                raise NoAudit(f"{_shown(home, Path(folder) / name)}: is a link to a folder; name that folder instead")
        for name in sorted(names):
            file = Path(folder) / name
            if file.suffix in _BESIDE or name in _BESIDE_NAMES:
                continue
            found = True
            yield _within(home, file, _shown(home, file))
    if not found:
        raise NoAudit(f"{one_line(path)}: holds no checkpoint; {_ALLOWED}")


def _within(home: Path, path: Path, shown: str) -> Path:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        # RuntimeError is a circle of links, ValueError a path with a zero byte.
        raise NoAudit(f"{one_line(shown)}: does not exist, or is a link to nothing; name a checkpoint") from None
    if not real.is_relative_to(home):
        raise NoAudit(f"{one_line(shown)}: lies outside of the project; only what is below its root is in its bill")
    return real


def _not_listed(error: OSError) -> None:
    raise NoAudit(f"{Path(error.filename or '?').name}: can not be listed: {error.strerror}") from None


def _shown(home: Path, path: Path) -> str:
    return one_line(path.relative_to(home).as_posix())


def _checkpoint(home: Path, path: Path) -> Checkpoint:
    shown, kind = _shown(home, path), path.suffix
    if kind not in (_SAFETENSORS, _NPZ):
        raise NoAudit(f"{shown}: is of a kind whose content could run; {_ALLOWED}")
    if shown != path.relative_to(home).as_posix():
        raise NoAudit(f"{shown}: its name can not be written in one line; rename it")
    try:
        # Opening a pipe would wait for whoever writes to it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise NoAudit(f"{shown}: is no file; {_ALLOWED}")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if kind == _SAFETENSORS:
                check_safetensors(file, size)
            else:
                check_npz(file)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise NoAudit(f"{shown}: can not be read: {error.strerror}") from None
    except UnreadableError as error:
        raise NoAudit(f"{shown}: {one_line(str(error))[:_LONGEST]}; {_ALLOWED}") from None
    return Checkpoint(shown, kind[1:], size, digest)
