"""What every deployment needs: nobody else beside it, and a state on disk that outlives its process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pytest_artisan.files import OWN_FOLDER, make_folder, write_atomically
from pytest_artisan.release.environments import Name
from pytest_artisan.settings import SettingsError, parse_json

# More than a state takes, and a change of a flag.
_SPARE, _SPARE_BYTES = "spare", 2 << 20
AnyState = TypeVar("AnyState", bound=msgspec.Struct)


class Holder(msgspec.Struct, frozen=True):
    """Who deploys, what, since when, in which process."""

    who: str
    what: str
    since: datetime
    pid: int


class Busy(SettingsError):
    """Somebody else deploys to this environment; its text says who."""


def folder_of(root: Path, environment: Name) -> Path:
    """Where the states of an environment's deployments are kept; it is made where it is not there. Raises SettingsError."""
    folder = root / OWN_FOLDER / f"deploy-{environment}"
    try:
        make_folder(folder.parent)
        make_folder(folder)
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror}") from None
    return folder


@contextmanager
def alone(root: Path, environment: Name, what: str, who: str, now: datetime) -> Iterator[None]:
    """While no other deployment to this environment runs here; a lock that ends with its process. Room is set aside.

    Raises Busy, which says who holds it, and SettingsError.
    """
    path = folder_of(root, environment) / "lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"a deployment to {environment} is running: {_held_by(handle)}") from None
        os.ftruncate(handle, 0)
        # On a full disk nobody can say who it is, and requests can be given back all the same.
        with suppress(OSError):
            os.pwrite(handle, msgspec.json.encode(Holder(who, what, now, os.getpid())), 0)
        _reserve(path.parent / _SPARE)
        yield
    finally:
        spend(path.parent)
        os.close(handle)


def _reserve(path: Path) -> None:
    with suppress(OSError):
        spare = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        try:
            os.posix_fallocate(spare, 0, _SPARE_BYTES)
        finally:
            os.close(spare)


def spend(folder: Path) -> None:
    """Free the room that whoever is `alone` has set aside, to go back on a disk that is full."""
    with suppress(OSError):
        (folder / _SPARE).unlink()


def _held_by(handle: int) -> str:
    with suppress(OSError, msgspec.MsgspecError):
        holder = msgspec.json.decode(os.pread(handle, 4096, 0), type=Holder)
        return f"{holder.what} by {holder.who} since {holder.since:%Y-%m-%d %H:%M:%S %Z}, process {holder.pid}"
    return "by somebody who is not named"


def save(path: Path, state: msgspec.Struct) -> None:
    """Replace the state; it is on disk when this returns, else the old one stays and this raises SettingsError."""
    try:
        write_atomically(path, msgspec.json.format(msgspec.json.encode(state), indent=2).decode() + "\n")
    except OSError as error:
        raise SettingsError(f"{path}: the state could not be written: {error.strerror}") from None


def load(path: Path, kind: type[AnyState]) -> AnyState | None:
    """The state that was saved last, None where there is none. Raises SettingsError for one that can not be read."""
    # A repository may hold a link or a pipe of that name: neither is followed, nor waited for.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            data = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    state: Any = parse_json(data, kind, f"{path}: no state of a deployment")
    found: AnyState = state
    return found
