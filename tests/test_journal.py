"""The journal outlives the process, and gives the same verdict as the session."""

from __future__ import annotations

import fcntl
import json

import msgspec
import pytest

from conftest import Project
from pytest_artisan.cli import main
from pytest_artisan.ledger import replay
from pytest_artisan.verdict.decide import decide

SUITE = """
def test_pass(): pass
def test_measure(gate): gate.measure("p95", 12.25, unit="ms", at_most=20, n=60, interval=(11, 13))
def test_skip(): pytest.skip("no")
@pytest.mark.xfail
def test_xfail(): assert 0
@pytest.fixture
def broken():
    yield
    raise ValueError("leak")
def test_teardown(broken): pass
def test_subtests(subtests):
    with subtests.test("a"): assert 0
"""


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("suite", [SUITE, "def test_pass(): pass\n"], ids=["mixed", "sound"])
def test_a_journal_gives_the_verdict_of_its_session(project: Project, suite: str, workers: str) -> None:
    project.tests(suite)
    run = project.run("--artisan-journal=j.jsonl", "-n", workers)
    assert run.verdict is not None
    again = decide(*replay(project.path / "j.jsonl"))
    assert msgspec.to_builtins(again) == msgspec.to_builtins(run.verdict)


def test_a_journal_cut_at_any_line_is_never_go(project: Project) -> None:
    project.tests("def test_one(): pass\ndef test_two(): pass\n")
    run = project.run("--artisan-journal=j.jsonl")
    assert run.last_line == "GO"
    whole = (project.path / "j.jsonl").read_bytes()
    assert decide(*replay(project.path / "j.jsonl")).go
    # Cut anywhere after the first line: in the middle of a line too.
    for length in range(whole.index(b"\n") + 1, len(whole) - 2, 7):
        path = project.path / "cut.jsonl"
        path.write_bytes(whole[:length])
        verdict = decide(*replay(path))
        assert not verdict.go, whole[:length][-80:]


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_killed_session_is_reported_from_its_journal(
    project: Project, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    project.tests(f"import os, signal\ndef test_one(): pass\ndef test_two(): {end}\ndef test_three(): pass\n")
    run = project.run("--artisan-journal=j.jsonl", forked=True)
    assert run.status != 0
    assert run.verdict is None
    output = project.path / "rebuilt.json"
    assert main(["report", str(project.path / "j.jsonl"), f"--output={output}"]) == 1
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == "NO-GO"
    assert "its process was killed; the first item without a report is test_it.py::test_two" in told
    assert json.loads(output.read_text())["verdict"]["counts"]["passed"] == 1


def test_a_journal_is_only_kept_where_it_was_asked_for_or_is_needed(project: Project) -> None:
    project.tests("def test_one(): pass\n")
    project.run()
    place = project.path / ".pytest_cache/d/artisan"
    assert list(place.iterdir()) == []
    project.tests("import os\ndef test_one(): os._exit(3)\n")
    run = project.run(forked=True)
    [left] = place.iterdir()
    assert f"artisan: journal {left}" in run.out
    assert run.status == 3


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"journal": 1}', '{"requirements": 3}'])
def test_what_is_no_journal_is_one_line_and_exit_2(
    project: Project, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = project.write("j.jsonl", text)
    assert main(["report", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "no journal of a gate session" in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("journal", ["/dev/full", "nowhere/j", "."])
def test_a_journal_that_can_not_be_kept_is_one_line(project: Project, journal: str) -> None:
    project.tests("def test_one(): pass\n")
    run = project.run(f"--artisan-journal={journal}")
    assert run.status == 4
    assert f"--artisan-journal={journal}: " in run.err
    assert "Traceback" not in run.out + run.err


def test_a_journal_may_be_a_device(project: Project) -> None:
    project.tests("def test_one(): pass\n")
    assert project.run("--artisan-journal=/dev/null").last_line == "GO"


def test_two_sessions_do_not_share_a_journal(project: Project) -> None:
    project.tests("def test_one(): pass\n")
    with (project.path / "j").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write("of the other session")
        held.flush()
        run = project.run("--artisan-journal=j")
        assert run.status == 4
        assert "--artisan-journal=j: another session is writing it" in run.err
    assert (project.path / "j").read_text(encoding="utf-8") == "of the other session"


def test_a_journal_may_go_nowhere(project: Project) -> None:
    project.tests("def test_one(): pass\n")
    run = project.run("--artisan-journal=/dev/null")
    assert run.verdict is not None
    assert run.verdict.go
