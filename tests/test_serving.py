"""`artisan serve` as a process: it answers, it ends, and it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from conftest import Project
from pytest_artisan.loopback import bound
from pytest_artisan.service import launcher
from pytest_artisan.service.running import Serving, serve
from pytest_artisan.settings import SettingsError

SCRIPT = str(Path(__file__).parent / "service_by_stub.py")


@pytest.fixture
def stubbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which `artisan serve` has a stub for its ensemble, and another for its local models."""
    command = (sys.executable, SCRIPT, "serve", "--port", "0", "--watch-stdin")
    monkeypatch.setattr(launcher, "_COMMAND", command)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def children_of(process: int) -> list[int]:
    command = ["ps", "-A", "-o", "ppid=,pid=,comm="]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    return [int(row[1]) for row in rows if int(row[0]) == process and row[2] != "ps"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_launched_service_answers_and_leaves_nothing_behind(stubbed: Path, workers: str) -> None:
    before = set(children_of(os.getpid()))
    with launcher.launched(["--workers", workers]) as service:
        [process] = set(children_of(os.getpid())) - before
        family = children_of(process)
        with build_opener(ProxyHandler({})).open(f"{service.url}/metrics", timeout=10) as answer:
            assert b"artisan_build_info" in answer.read()
    assert len(family) == (1 if workers == "1" else 3), "the models, and the workers where there are several"
    for pid in family:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not list(stubbed.glob("artisan-*"))


def test_tests_have_it_as_a_fixture(stubbed: Path, project: Project) -> None:
    project.tests("""
        from urllib.request import ProxyHandler, build_opener
        def test_health(artisan_service):
            with build_opener(ProxyHandler({})).open(artisan_service.url + "/health", timeout=10) as answer:
                assert b'"status":"ok"' in answer.read()
    """)
    assert project.plain().status == 0
    assert not list(stubbed.glob("artisan-*"))


def test_a_service_that_is_killed_leaves_no_process_and_no_folder(stubbed: Path) -> None:
    command = [sys.executable, SCRIPT, "serve", "--port", "0", "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"artisan at ")
    family = children_of(process.pid)
    assert len(family) == 3
    process.kill()
    # They all hold the other end of standard error.
    assert process.communicate(timeout=15) == (b"", b"")
    assert not list(stubbed.glob("artisan-*"))


@pytest.mark.parametrize(
    ("number", "status", "told"), [(signal.SIGTERM, 0, b""), (signal.SIGINT, 130, b"artisan: interrupted\n")]
)
def test_signals_end_it_quietly(stubbed: Path, number: int, status: int, told: bytes) -> None:
    command = [sys.executable, SCRIPT, "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"artisan at http://127.0.0.1:")
    process.send_signal(number)
    assert process.communicate(timeout=15) == (b"", told)
    assert process.returncode == status
    assert [path.name for path in (stubbed / ".artisan").glob("*.db")] == ["artisan-dev.db"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_in_a_terminal_is_told_once(stubbed: Path, workers: str) -> None:
    command = [sys.executable, SCRIPT, "serve", "--port", "0", "--workers", workers]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"artisan at http://127.0.0.1:")
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=15) == (b"", b"artisan: interrupted\n")
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("fault", "database", "told"),
    [
        ("port", "no address", "in use"),
        ("database", "no address", "URL can not be read"),
        ("memory", "sqlite://", "give it a file"),
        ("memory", "sqlite:///:memory:", "give it a file"),
        ("flags", "sqlite://", r"flags-stg\.db: .*no store of flags"),
    ],
)
def test_what_it_can_not_start_with_is_told_in_one_line(stubbed: Path, fault: str, database: str, told: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    if fault == "flags":
        (stubbed / ".artisan").mkdir()
        (stubbed / ".artisan/flags-stg.db").touch()
    try:
        with bound() as taken:
            port = taken.getsockname()[1] if fault == "port" else 0
            with pytest.raises(SettingsError, match=told):
                serve(Serving("127.0.0.1", port, 1, database, "stg"))
    finally:
        signal.signal(signal.SIGTERM, before)
