"""The digest of a whole folder of checkpoints, which anybody can make again with coreutils (docs/release.md)."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_artisan.settings import SettingsError

# A folder that brings its own list, in the format of sha256sum, holds exactly what is on it.
LISTING = "SHA256SUMS"
# Bytes from which a thread of its own is worth its while.
_LARGE = 1 << 20
# What tells whether a file is still the same: its number, size in bytes and two times.
_Stamp = tuple[int, int, int, int]
_SIZES = re.compile(r"^# (?P<size>[0-9]+) \./(?P<path>.+)$", re.MULTILINE)
_SUMS = re.compile(r"^(?P<sha256>[0-9a-f]{64})  \./(?P<path>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All files of a folder: lines `# size ./path`, and then lines of sha256sum, each sorted by the paths' bytes."""

    manifest: str

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, in hex."""
        return hashlib.sha256(self.manifest.encode()).hexdigest()

    @property
    def files(self) -> dict[str, tuple[str, str]]:
        """Size and SHA-256 of each file by its path; raises SettingsError for a manifest that is none."""
        sizes = {found["path"]: found["size"] for found in _SIZES.finditer(self.manifest)}
        sums = {found["path"]: found["sha256"] for found in _SUMS.finditer(self.manifest)}
        if _written([(path, size, sums.get(path, "")) for path, size in sizes.items()]) != self.manifest:
            raise SettingsError("the manifest of the model's files is damaged")
        return {path: (size, sums[path]) for path, size in sizes.items()}


def _written(files: Iterable[tuple[str, str, str]]) -> str:
    rows = sorted(files, key=lambda row: row[0].encode())
    return "".join([f"# {size} ./{path}\n" for path, size, _ in rows] + [f"{sha}  ./{path}\n" for path, _, sha in rows])


def snapshot(folder: Path) -> Snapshot:
    """The snapshot of all that lies in `folder`.

    Raises SettingsError for what no manifest can hold (links, special files, empty folders, names that are no line of
    UTF-8), for what changes while it is read, and for what its SHA256SUMS does not list, or lists otherwise.
    """
    from concurrent.futures import ThreadPoolExecutor  # and with it logging, for this command alone

    try:
        before = dict(_walk(folder))
        if not before:
            raise SettingsError(f"{folder}: holds no file, so there is no model in it")
        large = [path for path, stamp in before.items() if stamp[1] >= _LARGE]
        sums = {path: _sha256(folder / path) for path, stamp in before.items() if stamp[1] < _LARGE}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            sums |= zip(large, pool.map(lambda path: _sha256(folder / path), large), strict=True)
        _check_listing(folder, sums)
        _check_unchanged(folder, before, dict(_walk(folder)))
    except OSError as error:
        raise SettingsError(f"{error.filename or folder}: {error.strerror}") from None
    return Snapshot(_written((path, str(before[path][1]), sums[path]) for path in before))


def differences(recorded: Snapshot, found: Snapshot) -> list[str]:
    """What of a folder is not as it was recorded, a line a file."""
    before, now = recorded.files, found.files
    lines = [f"{path}: missing" for path in before if path not in now]
    lines += [f"{path}: extra, the release does not have it" for path in now if path not in before]
    return lines + [f"{path}: changed" for path in before if path in now and before[path] != now[path]]


def _walk(folder: Path) -> Iterator[tuple[str, _Stamp]]:
    """Path and stamp of every file; a link is none, wherever it stands."""
    if folder.is_symlink():
        raise SettingsError(f"{folder}: is a link; name the folder that it leads to")
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as entries:
            found = list(entries)
        if below and not found:
            raise SettingsError(f"{folder / below}: an empty folder, which a manifest of files can not hold; remove it")
        for entry in found:
            path = f"{below}{entry.name}"
            _check_name(folder, path)
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                waiting.append(f"{path}/")
            elif stat.S_ISREG(status.st_mode):
                yield path, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            else:
                what = "a link" if stat.S_ISLNK(status.st_mode) else "neither file nor folder"
                raise SettingsError(f"{folder / path}: is {what}; a snapshot holds files alone")


def _check_name(folder: Path, path: str) -> None:
    # Half characters stand for what is no UTF-8; a backslash is written in another way by sha256sum.
    if "\\" in path or any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in path):
        raise SettingsError(f"{folder}: {path!r} can not stand in a line of a manifest; rename it")


def _sha256(path: Path) -> str:
    # What has become a link or a pipe since the walk is neither followed nor waited for.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_unchanged(folder: Path, before: dict[str, _Stamp], after: dict[str, _Stamp]) -> None:
    moved = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    if moved:
        raise SettingsError(f"{folder / moved[0]}: changed while it was read; wait for whoever writes it")


def _check_listing(folder: Path, sums: dict[str, str]) -> None:
    if LISTING not in sums:
        return
    try:
        lines = (folder / LISTING).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise SettingsError(f"{folder / LISTING}: is no UTF-8") from None
    listed = {}
    for number, line in enumerate(lines, 1):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](?:\./)?(.+)", line)
        if match is None or match[2] in listed:
            raise SettingsError(f"{folder / LISTING}:{number}: no line of sha256sum, or of a file listed before")
        listed[match[2]] = match[1]
    for path in sorted(listed.keys() | sums.keys() - {LISTING}):
        if listed.get(path) != sums.get(path):
            what = "not listed" if path not in listed else "listed, but missing" if path not in sums else "changed"
            raise SettingsError(f"{folder / path}: {what} by its {LISTING}")
