"""The store of flags: two at once, killed at any write, damaged, locked, out of reach."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_artisan.release.flags import FeatureFlagManager, default_manager, is_enabled
from pytest_artisan.release.flags.manager import FRESH_S
from pytest_artisan.release.flags.states import State
from pytest_artisan.release.flags.store import Change, Store
from pytest_artisan.settings import SettingsError

NOW = datetime(2026, 3, 3, 10, tzinfo=UTC)


class By(TypedDict):
    why: str
    who: str


BY = By(why="a test", who="somebody")


class Ticks:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def manager_in(root: Path, ticks: Callable[[], float] = lambda: 0.0) -> FeatureFlagManager:
    return FeatureFlagManager("dev", root, clock=lambda: NOW, ticks=ticks)


def replayed(changes: list[Change]) -> dict[str, State]:
    """What the record says that flags are set to; every change has to begin where the one before it ended."""
    states: dict[str, State] = {}
    for number, change in enumerate(changes, 1):
        assert change.number == number
        assert change.before == states.get(change.flag, change.before)
        states[change.flag] = change.after
    return states


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["enable_flag", "disable_flag", "set_rollout_percentage"]),
            st.sampled_from(["ppo_algorithm", "advanced_rlhf"]),
            st.integers(0, 10_000),
        ),
        max_size=6,
    )
)
def test_what_flags_are_set_to_is_what_the_record_says(steps: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        manager = manager_in(Path(folder))
        for method, flag, share in steps:
            more = [share / 100] if method == "set_rollout_percentage" else []
            getattr(manager, method)(flag, *more, **BY)
        states = replayed(manager.store.history())
        assert len(manager.store.history()) == len(steps)
        for flag in manager.flags:
            default = State(manager.flags[flag].default)
            assert manager.state(flag) == manager_in(Path(folder)).state(flag) == states.get(flag, default)


_COUNT_UP = """
import sys
from pathlib import Path
from pytest_artisan.release.flags import FeatureFlagManager
from pytest_artisan.release.flags.states import State
manager = FeatureFlagManager("dev", Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    manager.change("new_moga_optimizer", lambda before: State(before.base, before.moved + 1), why="count", who=sys.argv[3])
    print("on disk", flush=True)
"""


def counting(root: Path, times: int, who: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _COUNT_UP, str(root), str(times), who]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_no_change_is_lost_among_processes(tmp_path: Path) -> None:
    processes = [counting(tmp_path, 25, str(number)) for number in range(3)]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * 3
    changes = manager_in(tmp_path).store.history()
    assert len(changes) == 75
    assert replayed(changes) == {"new_moga_optimizer": State(False, 75)}
    assert {str(who): 25 for who in range(3)} == {who: sum(c.who == who for c in changes) for who in "012"}
    left = list(tmp_path.glob(".artisan/.flags*"))
    assert not left, "nothing is left of the race for the first change"


def test_a_killed_writer_loses_at_most_the_change_that_it_was_at(tmp_path: Path) -> None:
    recorded = 0
    for acknowledged in (1, 6):
        process = counting(tmp_path, 10_000, "the victim")
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(acknowledged)]
        process.kill()
        told += process.communicate()[0].splitlines()
        store = manager_in(tmp_path).store
        store.check()
        changes = store.history()
        assert 0 <= len(changes) - recorded - len(told) <= 1
        recorded = len(changes)
        assert replayed(changes) == store.states()
    assert manager_in(tmp_path).disable_flag("new_moga_optimizer", **BY).number == recorded + 1


@pytest.mark.parametrize(
    ("moment", "death"),
    [
        ("manager.change", "patch('os.link', die).start(); manager.change"),
        ("lambda before:", "lambda before: die() or"),
    ],
    ids=["as it makes the store", "within the change"],
)
def test_a_writer_killed_in_the_middle_leaves_nothing(tmp_path: Path, moment: str, death: str) -> None:
    die = "import os, signal\nfrom unittest.mock import patch\ndie = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
    command = [sys.executable, "-c", die + _COUNT_UP.replace(moment, death), str(tmp_path), "1", "the victim"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    manager = manager_in(tmp_path)
    assert manager.store.history() == []
    assert manager.enable_flag("new_moga_optimizer", **BY).number == 1


def test_an_interrupted_change_is_none(tmp_path: Path) -> None:
    manager = manager_in(tmp_path)
    manager.disable_flag("cache_enabled", **BY)

    def interrupted(_: State) -> State:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.change("cache_enabled", interrupted, **BY)
    assert len(manager.store.history()) == 1
    assert manager.enable_flag("cache_enabled", **BY).number == 2


def test_the_record_is_never_changed_nor_cut(tmp_path: Path) -> None:
    manager = manager_in(tmp_path)
    manager.disable_flag("cache_enabled", **BY)
    replacing = "REPLACE INTO changes SELECT number, flag, at, 'another', why, 1, 0, 1, 0 FROM changes"
    with closing(sqlite3.connect(manager.store.path)) as connection:
        for statement in ("UPDATE changes SET why = 'x'", "DELETE FROM changes", replacing):
            with pytest.raises(sqlite3.IntegrityError, match="the record is never"):
                connection.execute(statement)


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE changes (number)")


def _newer(path: Path) -> None:
    Store(path).change("f", lambda _: (State(True), State(True)), who="a", why="b", at=NOW)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")


def _torn(path: Path) -> None:
    Store(path).change("f", lambda _: (State(True), State(True)), who="a", why="b", at=NOW)
    with closing(sqlite3.connect(path)) as connection:
        rows = [("x" * 500,)] * 60
        connection.executemany("INSERT INTO changes VALUES (NULL, 'f', ?, 'a', 'b', 1, 0, 1, 0)", rows)
        connection.commit()
    data = bytearray(path.read_bytes())
    data[3 * 4096 : 5 * 4096] = b"\xff" * 8192
    path.write_bytes(data)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "garbage": (lambda path: path.write_bytes(b"garbage" * 1000), "file is not a database"),
    "empty": (lambda path: path.write_bytes(b""), "no store of flags"),
    "another database": (_foreign, "no store of flags"),
    "a newer release's": (_newer, "of version 2; this release reads 1"),
    "torn pages": (_torn, "damaged|malformed"),
    "a folder": (lambda path: path.mkdir(), "disk I/O error|unable to open"),
    "a link to nowhere": (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_store_that_can_not_be_read_opens_for_nobody(tmp_path: Path, how: str) -> None:
    breaking, told = BROKEN[how]
    path = tmp_path / ".artisan" / "flags-dev.db"
    path.parent.mkdir()
    breaking(path)
    with pytest.raises(SettingsError, match=told) as caught:
        manager_in(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("how", [*BROKEN, "gone", "locked"])
def test_an_open_manager_keeps_what_it_knew_and_says_so(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = Ticks()
    manager = manager_in(tmp_path, ticks)
    manager.disable_flag("cache_enabled", **BY)
    kept = tmp_path / "kept"
    manager.store.path.rename(kept)
    for suffix in ("-wal", "-shm"):
        Path(f"{manager.store.path}{suffix}").unlink(missing_ok=True)
    lock = None
    if how == "locked":
        kept.rename(manager.store.path)
        lock = sqlite3.connect(manager.store.path, isolation_level=None)
        lock.executescript("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
    elif how in BROKEN:
        BROKEN[how][0](manager.store.path)
    for _ in range(3):
        ticks.now += FRESH_S
        assert manager.is_enabled("cache_enabled", "alice") is False
        assert manager.fault is not None
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1
    assert "flags of dev stay as they were" in caplog.text
    if lock is not None:
        lock.close()
    elif how == "gone":
        kept.rename(manager.store.path)
    else:
        return
    ticks.now += FRESH_S
    assert manager.is_enabled("cache_enabled", "alice") is False
    assert manager.fault is None


def test_a_change_is_seen_within_a_second(tmp_path: Path) -> None:
    ticks = Ticks()
    service, operator = manager_in(tmp_path, ticks), manager_in(tmp_path)
    operator.disable_flag("ppo_algorithm", **BY)
    assert operator.is_enabled("ppo_algorithm") is False
    ticks.now += 0.99 * FRESH_S
    assert service.is_enabled("ppo_algorithm", "alice") is True
    ticks.now = FRESH_S
    assert service.is_enabled("ppo_algorithm", "alice") is False


def test_a_folder_that_can_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = manager_in(tmp_path)
    manager.disable_flag("cache_enabled", **BY)
    with closing(sqlite3.connect(manager.store.path)) as connection:
        # The last that closes leaves the file alone behind.
        connection.execute("SELECT * FROM changes").fetchall()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert manager_in(tmp_path).is_enabled("cache_enabled") is False
    assert [path.name for path in manager.store.path.parent.glob("flags*")] == ["flags-dev.db"]

    def replaced(path: Path) -> os.stat_result:
        os.utime(path, ns=(1, next(times)))
        return real(path)

    real, times = os.stat, iter(range(10))
    monkeypatch.setattr("pytest_artisan.release.flags.store.os.stat", replaced)
    with pytest.raises(SettingsError, match="somebody changes it at this moment"):
        manager.store.states()


@pytest.mark.parametrize("place", ["/proc/flags.db", "pyproject.toml/flags.db", "no/folder/flags.db", "a\\u0000b"])
def test_a_place_where_nothing_can_be_kept(tmp_path: Path, place: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.artisan.environments.dev]\nflags = "{place}"\n', encoding="utf-8")
    manager = manager_in(tmp_path)
    assert manager.is_enabled("cache_enabled"), "nobody has changed anything"
    with pytest.raises(SettingsError, match=r"flags\.db: |null"):
        manager.disable_flag("cache_enabled", **BY)


def test_a_store_by_its_name_in_the_policy_whatever_its_letters(tmp_path: Path) -> None:
    root = tmp_path / "100% #1? 조향"
    root.mkdir()
    (root / "pyproject.toml").write_text('[tool.artisan.environments.prod]\nflags = "live?.db"\n', encoding="utf-8")
    FeatureFlagManager("prod", root).disable_flag("cache_enabled", **BY)
    assert Store(root / "live?.db").states() == {"cache_enabled": State(False)}
    assert FeatureFlagManager("stg", root).is_enabled("cache_enabled"), "each environment has its own"


def test_a_change_needs_a_reason(tmp_path: Path) -> None:
    manager = manager_in(tmp_path)
    for blank in ("", " ", "\n\x00\u200b"):
        with pytest.raises(SettingsError, match="cache_enabled: a change needs a reason"):
            manager.disable_flag("cache_enabled", why=blank, who="somebody")
    change = manager.disable_flag("cache_enabled", why="two\nlines \udcff\x1b[31m", who="a\nb")
    assert (change.who, change.why) == ("a b", "two lines   [31m")
    assert manager.store.history() == [change]


def test_what_was_shown_is_what_is_changed(tmp_path: Path) -> None:
    manager = manager_in(tmp_path)
    shown = manager.state("cache_enabled")
    manager_in(tmp_path).set_rollout_percentage("cache_enabled", 5, **BY)
    with pytest.raises(SettingsError, match="changed it meanwhile: it is on for 95 % of users; look again"):
        manager.change("cache_enabled", lambda _: State(False), shown=shown, **BY)


def test_a_flag_of_dev_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.artisan.flags]\nours = { default = true, about = 'ours', environments = ['dev'] }\n", encoding="utf-8"
    )
    assert FeatureFlagManager("dev", tmp_path).is_enabled("ours")
    prod = FeatureFlagManager("prod", tmp_path)
    for flag in ("ours", "advanced_rlhf"):
        assert not prod.is_enabled(flag, "alice")
        with pytest.raises(SettingsError, match=f"{flag} is for dev; prod needs a rollout on purpose"):
            prod.enable_flag(flag, **BY)
        prod.enable_flag(flag, 1, **BY)
        prod.set_rollout_percentage(flag, 100, **BY)
        assert prod.is_enabled(flag, "alice")
        prod.disable_flag(flag, **BY)
        assert not prod.is_enabled(flag)


def test_no_user_is_never_a_coin(tmp_path: Path) -> None:
    manager = manager_in(tmp_path)
    for flag, default in (("ppo_algorithm", True), ("new_moga_optimizer", False)):
        manager.set_rollout_percentage(flag, 99.99, **BY)
        assert {manager.is_enabled(flag, user) for user in (None, "")} == {default}
        manager.set_rollout_percentage(flag, 100, **BY)
        assert {manager.is_enabled(flag, user) for user in (None, "", "alice")} == {not default}


@pytest.fixture
def nobody_asked() -> Iterator[None]:
    default_manager.cache_clear()
    yield
    default_manager.cache_clear()


@pytest.mark.usefixtures("nobody_asked")
def test_by_the_function_of_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    FeatureFlagManager("stg").disable_flag("cache_enabled", **BY)
    monkeypatch.setenv("ARTISAN_ENV", "qa")
    with pytest.raises(SettingsError, match="no such environment; known: dev, stg, prod"):
        is_enabled("cache_enabled")
    monkeypatch.delenv("ARTISAN_ENV", raising=False)
    assert is_enabled("cache_enabled")
    manager = FeatureFlagManager()
    manager.disable_flag("cache_enabled", **BY)
    assert not is_enabled("cache_enabled"), "at once, where it was changed here"
    with pytest.raises(SettingsError, match="no key 'cash_enabled'; the nearest is 'cache_enabled'"):
        is_enabled("cash_enabled")
    manager.enable_flag("cache_enabled", **BY)
    default_manager.cache_clear()
    monkeypatch.setenv("ARTISAN_ENV", "stg")
    assert not FeatureFlagManager().is_enabled("cache_enabled")
    assert not is_enabled("cache_enabled", user_id="alice")


@pytest.mark.usefixtures("nobody_asked")
def test_an_application_that_goes_elsewhere_keeps_its_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a daemon goes to the root folder, where nobody has changed any flag."""
    monkeypatch.delenv("ARTISAN_ENV", raising=False)
    for name in ("its-own", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "its-own")
    FeatureFlagManager().disable_flag("cache_enabled", **BY)
    for place in ("its-own", "elsewhere"):
        monkeypatch.chdir(tmp_path / place)
        assert not is_enabled("cache_enabled")
