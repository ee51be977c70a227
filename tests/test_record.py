"""The record: whole lines whoever writes at once, whatever crashes, and nobody's file but its own."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from pytest_artisan import tools
from pytest_artisan.release.record import Entry, note, path_of, read, who
from pytest_artisan.settings import SettingsError

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
WRITER = """
import os, sys
from pathlib import Path
from datetime import UTC, datetime
from pytest_artisan.release.record import Entry, note
name = 1
while name < int(sys.argv[1]) and os.fork():
    name += 1
for number in range(int(sys.argv[2])):
    why = "w" * 5000 if number % 10 == 0 else "it has to go out"
    note(Path("."), Entry(at=datetime.now(UTC), who=f"writer {name}", action="deploy", subject=str(number), why=why))
    print(number, flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


def entry(subject: str = "v1.0.0", why: str = "the shop is down", at: datetime = NOW) -> Entry:
    return Entry(at=at, who="Ann <ann@example.test>", action="override", subject=subject, why=why)


def writers(root: Path, processes: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(processes), str(count)]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)


def test_what_is_noted_is_read_again_in_order(tmp_path: Path) -> None:
    assert read(tmp_path) == ()
    odd = entry("가", 'a "quoted"\nline\u2028 \x1b[31m \\', datetime(2026, 11, 24, tzinfo=timezone(timedelta(hours=9))))
    note(tmp_path, entry())
    note(tmp_path, odd)
    assert read(tmp_path) == (entry(), odd)
    assert path_of(tmp_path).read_bytes().count(b"\n") == 2


def test_eight_processes_lose_no_line(tmp_path: Path) -> None:
    assert writers(tmp_path, 8, 100).communicate()[0].count("\n") == 800
    found = read(tmp_path)
    assert len(found) == 800
    for number in range(1, 9):
        assert [e.subject for e in found if e.who == f"writer {number}"] == [str(n) for n in range(100)]


def test_a_killed_writer_loses_nothing_that_it_was_told_is_recorded(tmp_path: Path) -> None:
    process = writers(tmp_path, 1, 100_000)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(50)]
    process.kill()
    told += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    assert len(told) <= len(read(tmp_path)) <= len(told) + 1
    note(tmp_path, entry())
    assert read(tmp_path)[-1] == entry()


def test_half_a_line_harms_no_other_wherever_it_was_cut(tmp_path: Path) -> None:
    for subject in "ab":
        note(tmp_path, entry(subject, "가"))
    path = path_of(tmp_path)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        assert read(tmp_path) == (entry("a", "가"),)
        note(tmp_path, entry("c"))
        kept, *repairs, last = read(tmp_path)
        assert (kept, last) == (entry("a", "가"), entry("c"))
        assert [repair.action for repair in repairs] == ["repair"] * (cut > first)


def test_a_full_disk_leaves_the_record_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note(tmp_path, entry())
    before = path_of(tmp_path).read_bytes()
    real = os.pwrite

    def full(handle: int, data: bytes, offset: int) -> int:
        if offset > len(before):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data[:7], offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(SettingsError, match="No space left"):
        note(tmp_path, entry())
    assert path_of(tmp_path).read_bytes() == before


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "record.jsonl:2"),
        (b"", "record.jsonl:2"),
        (b"\xff", "record.jsonl:2"),
        (b"[" * 100_000, "record.jsonl:2"),
        (msgspec.json.encode({**msgspec.to_builtins(entry()), "at": "2026-11-24T01:00:00"}), "at"),
        (msgspec.json.encode({**msgspec.to_builtins(entry()), "more": 1}), "more"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes, told: str) -> None:
    note(tmp_path, entry())
    with path_of(tmp_path).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(SettingsError, match=told) as error:
        read(tmp_path)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "wrong", [entry(why=" "), entry(""), entry(why="\udcff"), entry(at=NOW.replace(tzinfo=None))], ids=repr
)
def test_an_entry_without_its_facts_is_refused(tmp_path: Path, wrong: Entry) -> None:
    with pytest.raises(SettingsError):
        note(tmp_path, wrong)
    assert read(tmp_path) == ()


def test_neither_a_link_nor_a_pipe_nor_a_folder_is_written_to(tmp_path: Path) -> None:
    path, other = path_of(tmp_path), tmp_path / "other"
    other.write_text("mine")
    path.parent.mkdir()
    plants: list[Callable[[], None]] = [lambda: path.symlink_to(other), lambda: os.mkfifo(path), path.mkdir]
    for plant in plants:
        plant()
        with pytest.raises(SettingsError, match=r"record\.jsonl"):
            note(tmp_path, entry())
        with pytest.raises(SettingsError, match=r"record\.jsonl"):
            read(tmp_path)
        path.rmdir() if path.is_dir() else path.unlink()
    assert other.read_text() == "mine"


def test_who_is_gits_user_else_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "ann")
    assert who(tmp_path) == "ann"
    config = tmp_path / ".gitconfig"
    config.write_text("[user]\nname = 안 Kim\n")
    assert who(tmp_path) == "안 Kim"
    config.write_text("[user]\nname = 안 Kim\nemail = kim@example.test\n")
    assert who(tmp_path) == "안 Kim <kim@example.test>"
    monkeypatch.setattr("pytest_artisan.tools.BESIDE_PYTHON", "")
    monkeypatch.setenv("PATH", "")
    assert who(tmp_path) == "ann"


def test_what_is_on_record_leaves_the_tree_clean(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        return tools.run("git", list(arguments), cwd=tmp_path, timeout_s=10).stdout

    git("init", "-q")
    note(tmp_path, entry())
    assert git("status", "--porcelain") == ""
    (tmp_path / ".artisan/baseline-stg.json").write_text("{}")
    assert git("status", "--porcelain", "-uall") == "?? .artisan/baseline-stg.json\n"
