"""The project's record of what people did to its releases: who, when, what and why, a line of JSON each."""

from __future__ import annotations

import fcntl
import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from pytest_artisan.files import OWN_FOLDER, make_folder
from pytest_artisan.git import git
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence

_Text = Annotated[str, Meta(pattern=r"\S")]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One thing that was done: `action` to `subject`; `at` is aware, and no text is blank.

    `verdict` is the digest of the signed verdict that let it be done, where one did.
    """

    at: Annotated[datetime, Meta(tz=True)]
    who: _Text
    action: _Text
    subject: _Text
    why: _Text
    verdict: str | None = None


def who(root: Path) -> str:
    """Who works in the repository at `root`: git's `user.name <user.email>`, else the user of the operating system."""
    name, email = (_configured(root, key) for key in ("user.name", "user.email"))
    if name or email:
        return " ".join(filter(None, [name, email and f"<{email}>"]))
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return f"uid {os.getuid()}"


def _configured(root: Path, key: str) -> str:
    with suppress(NoEvidence):
        return git(root, "config", "--get", key).stdout.strip()
    return ""


def path_of(root: Path) -> Path:
    """Where the record of the project at `root` is kept."""
    return root / OWN_FOLDER / "record.jsonl"


def note(root: Path, entry: Entry) -> None:
    """Put an entry on the record; it is on disk when this returns, else this raises SettingsError.

    What a crash in mid-write left behind is taken away, and that goes on the record too.
    """
    path = path_of(root)
    with _told(path):
        line = _line(entry)
        make_folder(path.parent)
        with _locked(path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as file:
            lines, half = _split(file)
            if half:
                why = f"a crash left half a line: {half.decode(errors='backslashreplace')}"
                line = _line(msgspec.structs.replace(entry, action="repair", subject=path.name, why=why)) + line
            _append(file, len(lines), line)


def read(root: Path) -> tuple[Entry, ...]:
    """Every entry in the order they were put there; none where there is no record.

    Half a last line is left out: whoever wrote it was never told that it is recorded. Raises SettingsError.
    """
    path = path_of(root)
    if not os.path.lexists(path):
        return ()
    with _told(path), _locked(path, os.O_RDONLY, fcntl.LOCK_SH) as file:
        lines, _ = _split(file)
    entries = []
    for number, line in enumerate(lines.splitlines(), 1):
        with _told(path, f":{number}"):
            entries.append(msgspec.json.decode(line, type=Entry))
    return tuple(entries)


@contextmanager
def _told(path: Path, place: str = "") -> Iterator[None]:
    """What goes wrong, as one line for the user."""
    try:
        yield
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise SettingsError(f"{path}{place}: {error}") from None


@contextmanager
def _locked(path: Path, flags: int, lock: int) -> Iterator[FileIO]:
    # A repository may hold a link or a pipe of that name: neither is followed, nor waited for.
    with open(
        path, "rb", buffering=0, opener=lambda name, _: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    ) as file:
        fcntl.flock(file, lock)
        yield file


def _line(entry: Entry) -> bytes:
    """The entry as it is written; raises ValueError or MsgspecError where it could not be read again."""
    for field in ("who", "action", "subject", "why"):
        if not getattr(entry, field).strip():
            raise ValueError(f"an entry needs a text that says {field}")
    line = msgspec.json.encode(entry)
    msgspec.json.decode(line, type=Entry)
    return line + b"\n"


def _split(file: FileIO) -> tuple[bytes, bytes]:
    """The whole lines, and the half one that a crash left at the end."""
    file.seek(0)  # which no pipe can
    data = file.readall()
    end = data.rfind(b"\n") + 1
    return data[:end], data[end:]


def _append(file: FileIO, end: int, line: bytes) -> None:
    """Write a line behind the whole ones, and wait for the disk; where that fails, the file is as before."""
    os.ftruncate(file.fileno(), end)
    try:
        written = 0
        while written < len(line):
            written += os.pwrite(file.fileno(), line[written:], end + written)
        os.fsync(file.fileno())
    except BaseException:
        os.ftruncate(file.fileno(), end)
        raise
