"""Slots by real commands and real processes: started detached, probed, replaced, stopped."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import msgspec
import pytest
from reaping import reaped  # noqa: F401  # a fixture
from slot_service import free_urls
from unsound import answer

from pytest_artisan.loopback import bound
from pytest_artisan.release.environments import EnvironmentTable
from pytest_artisan.release.slots import control, host
from pytest_artisan.release.slots.control import Build, NotReady, SlotCommands, same_version
from pytest_artisan.release.slots.settings import Slots
from pytest_artisan.release.traffic.router import SLOTS
from pytest_artisan.settings import SettingsError, convert
from pytest_artisan.verdict.evidence import NoEvidence

SERVICE = Path(__file__).with_name("slot_service.py")
PAGE = Path(__file__).parent.parent / "docs" / "blue-green.md"
ONE, TWO = Build("v1.0.0", "1" * 40), Build("v2.0.0", "2" * 40)


def documented() -> dict[str, Any]:
    """The slots of the page's example."""
    [block] = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    slots: dict[str, Any] = tomllib.loads(block)["tool"]["artisan"]["environments"]["prod"]["slots"]
    return slots


def slots_of(**changes: object) -> Slots:
    urls = dict(zip(SLOTS, free_urls(), strict=True))
    return convert(documented() | urls | changes, Slots, "slots")


def install(root: Path, build: Build) -> None:
    """What the example starts: `releases/VERSION/bin/artisan serve --env prod --port PORT`."""
    program = root / "releases" / build.version / "bin" / "artisan"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{SERVICE}" "$5" {build.version}\n', encoding="utf-8")
    program.chmod(0o755)


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[SlotCommands]:
    """Both slots, empty; nothing is left of them."""
    for build in (ONE, TWO):
        install(tmp_path, build)
    yield SlotCommands(slots_of(), tmp_path)
    for slot in SLOTS:
        host.stop(tmp_path, slot)


def until_ready(slots: SlotCommands, build: Build) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            return slots.probe("green", build)
        except NotReady:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def pid_in(slots: SlotCommands) -> int:
    with urlopen(f"{slots.settings.green}/health", timeout=5) as response:  # noqa: S310
        pid: int = msgspec.json.decode(response.read())["pid"]
    return pid


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_service_outlives_the_command_that_starts_it_and_is_replaced_and_stopped(slots: SlotCommands) -> None:
    slots.start("green", ONE)
    until_ready(slots, ONE)
    first = pid_in(slots)
    with pytest.raises(NotReady, match=r"green at http://127.0.0.1:\d+: it is version 'v1.0.0', not v2.0.0"):
        slots.probe("green", TWO)

    slots.start("green", ONE)
    assert pid_in(slots) == first, "what runs already is not started again"
    slots.start("green", TWO)
    until_ready(slots, TWO)
    second = pid_in(slots)
    assert not is_alive(first)
    assert os.getsid(second) == second, "no Ctrl-C, and no end of a terminal reaches it"

    slots.stop("green", TWO)
    assert not is_alive(second)
    slots.stop("green", TWO)
    with pytest.raises(NotReady, match="no answer: ConnectError"):
        slots.probe("green", TWO)


def test_a_service_that_crashed_is_started_again_and_its_number_is_not_trusted(tmp_path: Path) -> None:
    sleeper = ["sleep", "60"]
    host.start(tmp_path, "blue", "v1.0.0", sleeper)
    noted = msgspec.json.decode((tmp_path / ".artisan/slots/blue.json").read_bytes(), type=host.Running)
    os.kill(noted.pid, signal.SIGKILL)
    os.waitpid(noted.pid, 0)
    # Its number now is that of somebody else, say.
    with subprocess.Popen(sleeper) as other:
        path = tmp_path / ".artisan/slots/blue.json"
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(noted, pid=other.pid)))
        assert host.stop(tmp_path, "blue") == "blue: nothing runs"
        assert "runs, process" in host.start(tmp_path, "blue", "v1.0.0", sleeper)
        assert other.poll() is None
        assert host.stop(tmp_path, "blue") == "blue: v1.0.0 has ended"
        other.kill()


def test_a_service_that_does_not_hear_is_killed_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_STOP_S", 0.1)
    script = "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.fork(); open('ready', 'w'); time.sleep(60)"
    host.start(tmp_path, "blue", "v1.0.0", [sys.executable, "-ISc", script])
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    assert host.stop(tmp_path, "blue") == "blue: v1.0.0 has ended"
    assert host.stop(tmp_path, "blue") == "blue: nothing runs"


def test_a_service_inherits_nothing_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    host.start(tmp_path, "blue", "v1.0.0", [sys.executable, "-ISc", "import os; print(sorted(os.environ))"])
    log = tmp_path / ".artisan/slots/blue.log"
    deadline = time.monotonic() + 5
    while "]" not in log.read_text():
        assert time.monotonic() < deadline
    assert "PATH" in log.read_text()
    assert "PASSWORD" not in log.read_text()


def test_a_service_whose_starter_was_killed_as_it_started_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: Any, **options: Any) -> None:
        subprocess.Popen(*arguments, **options).returncode = 0
        raise KeyboardInterrupt

    host.start(tmp_path, "blue", "v1.0.0", ["true"])
    monkeypatch.setattr(host, "subprocess", SimpleNamespace(**vars(subprocess) | {"Popen": killed}))
    with pytest.raises(KeyboardInterrupt):
        host.start(tmp_path, "blue", "v2.0.0", ["sleep", "60"])
    assert host.stop(tmp_path, "blue") == "blue: v2.0.0 has ended"


def test_on_a_full_disk_nothing_starts_that_nobody_could_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(SettingsError, match=r"blue\.json: what runs could not be written down, so nothing was started"):
        host.start(tmp_path, "blue", "v1.0.0", ["sleep", "60"])
    assert host.stop(tmp_path, "blue") == "blue: nothing runs"


HOST_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no such program": (lambda root: None, "blue: missing did not start: No such file or directory"),
    "a link": (
        lambda root: (root / ".artisan/slots/blue.json").symlink_to("/etc/passwd"), "blue.json: Too many levels of"
    ),
    "a linked log": (
        lambda root: (root / ".artisan/slots/blue.log").symlink_to("/tmp/x"), "Too many levels of symbolic links"  # noqa: S108
    ),
    "a folder": (lambda root: (root / ".artisan/slots/blue.json").mkdir(), "blue.json: Is a directory"),
}  # fmt: skip


@pytest.mark.parametrize(("prepare", "told"), HOST_FAULTS.values(), ids=HOST_FAULTS)
def test_what_can_not_start_says_why_in_one_line(
    prepare: Callable[[Path], object],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / ".artisan/slots").mkdir(parents=True)
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert host.main(["start", "blue", "v1.0.0", "--", "missing", "--port", "1"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert told in said.err


def test_a_lock_without_a_name_is_no_reason_to_kill_anybody(tmp_path: Path) -> None:
    import fcntl

    (tmp_path / ".artisan/slots").mkdir(parents=True)
    with open(tmp_path / ".artisan/slots/blue.json", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match=r"blue\.json: held by a process that it does not name"):
            host.stop(tmp_path, "blue")


COMMANDS: dict[str, tuple[list[str], str]] = {
    "fails": (
        ["python", "-c", "import sys; sys.exit('no\\x1b[2J image')"],
        "ended with status 1 and said no [2J image",
    ),
    "says nothing": (["false"], "false ended with status 1 and said nothing"),
    "is missing": (["no-such-tool"], "no-such-tool is not installed"),
    "hangs": (["sleep", "60"], "sleep did not end within 0.2 s"),
    "is a shell's": (["python", "-c", "import sys; sys.exit(sys.argv[1])", "$(id);{slot}"], "said $(id);blue"),
}


@pytest.mark.parametrize(("command", "told"), COMMANDS.values(), ids=COMMANDS)
def test_a_command_that_fails_is_no_start(command: list[str], told: str, tmp_path: Path) -> None:
    limit = {"start_s": 0.2} if "hang" in told or "within" in told else {}
    slots = SlotCommands(slots_of(start=command, **limit), tmp_path)
    with pytest.raises(NoEvidence) as raised:
        slots.start("blue", ONE)
    assert told in str(raised.value)
    assert str(raised.value).isprintable()


def test_a_command_gets_what_it_asks_for_and_a_script_of_the_project_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "bin" / "start"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "$PWD" > told\n')
    script.chmod(0o755)
    monkeypatch.chdir("/")
    settings = slots_of(start=["bin/start", "{slot}-{version}", "{commit}", "{url}", "{port}", "a b"])
    SlotCommands(settings, tmp_path).start("green", ONE)
    port = settings.green.rpartition(":")[2]
    assert (tmp_path / "told").read_text().splitlines() == [
        "green-v1.0.0", ONE.commit, settings.green, port, "a b", str(tmp_path)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"start": ["run", "{sl0t}"]}, "start has {sl0t}, which stands for nothing; known: slot, version, commit, url, port"),
        ({"stop": ["{}"]}, "stop has {}, which stands for nothing"),
        ({"stop": []}, "stop: expected array of length >= 1"),
        ({"start_s": 0}, "start_s: expected float > 0"),
        ({"green": "ftp://x"}, "green: 'ftp://x' is no http or https address"),
        ({"blue": "http://u:p@x"}, "blue: an address must not hold credentials"),
        ({"blue": "http://h", "green": "http://h"}, "blue and green are both 'http://h'"),
        ({"strat": ["x"]}, "has no key 'strat'; the nearest is 'start'"),
    ],
)  # fmt: skip
def test_settings_that_can_not_be_say_what_is_wrong(changes: dict[str, object], told: str) -> None:
    good = {"blue": "http://h:1", "green": "http://h:2", "start": ["a"], "stop": ["b"]}
    convert({"slots": good}, EnvironmentTable, "prod")
    with pytest.raises(SettingsError) as raised:
        convert({"slots": good | changes}, EnvironmentTable, "prod")
    assert told in str(raised.value)


def replying(*bodies: bytes) -> Iterator[str]:
    """The URL of a server that gives each connection the next answer, and then nothing."""
    from threading import Thread

    with bound() as listener:

        def serve() -> None:
            for body in bodies:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(body)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


READY = answer(b"{}", extra="Connection: close\r\n")
PROBES: dict[str, tuple[tuple[bytes, ...], str]] = {
    "not ready": ((answer(b"", 503),), "/health/ready answers 503, not 200"),
    "elsewhere": ((answer(b"", 302, "Location: http://127.0.0.1:1/\r\n"),), "answers 302, not 200"),
    "no HTTP": ((b"SSH-2.0\r\n",), "no answer: RemoteProtocolError"),
    "cut off": ((answer(b"{}", length=9),), "no answer: RemoteProtocolError"),
    "endless": ((answer(b"x" * 70_000),), "answers with more than 65536 bytes"),
    "silent": ((READY, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx"), "no answer"),
    "old": ((READY, answer(b'{"version": "v1.0.0"}')), "it is version 'v1.0.0', not v2.0.0"),
    "no version": ((READY, answer(b'{"status": "ok"}')), ""),
    "an odd version": ((READY, answer(b'{"version": 2}')), ""),
    "no JSON": ((READY, answer(b"<html>")), ""),
    "no page": ((READY, answer(b'{"version": "v1.0.0"}', 404)), ""),
    "its package's": ((READY, answer(b'{"version": "2.0.0"}')), ""),
    "its commit": ((READY, answer(f'{{"version": "{TWO.commit}"}}'.encode())), ""),
}


@pytest.mark.parametrize(("replies", "told"), PROBES.values(), ids=PROBES)
def test_a_slot_is_ready_or_says_why_not(replies: tuple[bytes, ...], told: str, tmp_path: Path) -> None:
    for url in replying(*replies):
        slots = SlotCommands(slots_of(green=url), tmp_path)
        if told:
            with pytest.raises(NotReady) as raised:
                slots.probe("green", TWO)
            assert told in str(raised.value)
        else:
            slots.probe("green", TWO)


def test_an_answer_that_does_not_end_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_ANSWER_S", 0.1)
    with bound() as silent:
        slots = SlotCommands(slots_of(green=f"http://127.0.0.1:{silent.getsockname()[1]}"), tmp_path)
        with pytest.raises(NotReady, match=r"no whole answer within 0\.1 s"):
            slots.probe("green", ONE)


@pytest.mark.parametrize(
    ("reported", "wanted", "same"),
    [
        ("v2.0.0", "v2.0.0", True),
        ("2.0.0", "v2.0.0", True),
        ("2.0.0-rc.1", "v2.0.0", False),
        ("hotfix-20261127-0100", "v2.0.0", False),
        ("hotfix-20261127-0100", "hotfix-20261127-0100", True),
        ("hotfix-20261127-0059", "hotfix-20261127-0100", False),
        # A package does not know that it is mended.
        ("2.0.0", "hotfix-20261127-0100", True),
    ],
)
def test_a_service_reports_its_release_or_its_package(reported: str, wanted: str, same: bool) -> None:
    assert same_version(reported, Build(wanted, "c" * 40)) is same
