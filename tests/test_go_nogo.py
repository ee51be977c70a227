"""`artisan go-nogo`: a session of its own, whose verdict is the status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import Project
from pytest_artisan.cli import main

ARTISAN = (sys.executable, "-m", "pytest_artisan", "go-nogo")


@pytest.fixture
def at_home(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with one sound test; commands run in it."""
    project.tests("def test_one(): pass")
    monkeypatch.chdir(project.path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return project


@pytest.mark.parametrize(
    ("options", "body", "status", "last"),
    [
        ((), "pass", 0, "GO"),
        (("--exit-code",), "assert 1 == 2", 1, "NO-GO"),
        (("--env", "stg", "--report-file", "verdict.json"), "assert 1 == 2", 1, "NO-GO"),
    ],
)
def test_the_status_is_the_verdict(
    at_home: Project, capfd: pytest.CaptureFixture[str], options: tuple[str, ...], body: str, status: int, last: str
) -> None:
    at_home.tests(f"def test_one(): {body}")
    below = at_home.path / "below"
    below.mkdir()
    os.chdir(below)
    assert main(["go-nogo", *options]) == status
    assert capfd.readouterr().out.rstrip().splitlines()[-1] == last
    if "--report-file" in options:
        told = json.loads((below / "verdict.json").read_text(encoding="utf-8"))
        assert told["verdict"]["environment"] == "stg"


@pytest.mark.parametrize(
    ("addopts", "told"),
    [
        ("--version", "the session ended with status 0, and without a verdict"),
        ("--no-such-option", "unrecognized arguments: --no-such-option"),
    ],
)
def test_a_session_that_says_nothing_is_no_go(
    at_home: Project,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    addopts: str,
    told: str,
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", addopts)
    assert main(["go-nogo"]) == 2
    captured = capfd.readouterr()
    assert told in captured.out + captured.err
    assert "Traceback" not in captured.out + captured.err


def test_the_server_comes_from_the_command(at_home: Project, capfd: pytest.CaptureFixture[str]) -> None:
    at_home.policy('required = ["unit", "kpi"]\nlocal_optional = []')
    assert main(["go-nogo", "--prometheus-url", "http://127.0.0.1:1/stg"]) == 1
    assert "indicators: no data: http://127.0.0.1:1/stg: vector(1): no answer: ConnectError" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("stg-prometheus:9090", "--prometheus-url: 'stg-prometheus:9090' is no http or https address"),
        ("http://a:hunter22@b", "--prometheus-url: an address must not hold credentials"),
        ("http://a:9090", "the policy does not require the gate kpi, so nobody would be asked"),
    ],
)
def test_a_server_that_can_not_be_asked(
    at_home: Project, capsys: pytest.CaptureFixture[str], url: str, told: str
) -> None:
    assert main(["go-nogo", "--prometheus-url", url]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "hunter22" not in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_interrupts_it_ends_the_session_too(at_home: Project, number: signal.Signals) -> None:
    at_home.tests(
        """
        import os, pathlib, time
        def test_one():
            pathlib.Path("pid").write_text(str(os.getpid()))
            time.sleep(60)
        """
    )
    command = subprocess.Popen(ARTISAN, cwd=at_home.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pid = _written(at_home.path / "pid")
    command.send_signal(number)
    out, err = command.communicate(timeout=30)
    assert command.returncode == 130
    assert "NO-GO" in out, "it could still tell"
    assert err.endswith("artisan: interrupted\n")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def _written(path: Path) -> int:
    deadline = time.monotonic() + 30
    while not path.exists() or not path.read_text(encoding="utf-8"):
        assert time.monotonic() < deadline, "the session did not begin"
        time.sleep(0.02)
    return int(path.read_text(encoding="utf-8"))
