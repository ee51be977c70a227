"""`artisan drill`: one table of all that can say no, and of what it said no to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from conftest import Project
from pytest_artisan.cli import main
from pytest_artisan.release.blue_green import drills as blue_green
from pytest_artisan.release.canary import drills as canary


@pytest.mark.parametrize("drills", [canary.drills, blue_green.drills], ids=["canary", "blue_green"])
def test_a_deployment_says_no_to_each_violation_and_all_is_as_before(
    drills: Callable[[], Iterator[tuple[str, str, bool]]],
) -> None:
    told = list(drills())
    assert len({violation for violation, _, _ in told}) == len(told) >= 7
    assert all(answer and is_no for _, answer, is_no in told), told


def test_the_command_prints_a_table_and_ends_with_what_the_gates_said(
    project: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.path)
    project.policy('required = ["unit"]')
    project.tests("def test_one(): open('ran', 'w')\n")
    assert main(["drill"]) == 0
    out = capfd.readouterr().out
    for row in (
        r"^gate +planted +answer$",
        r"^unit::tests +a failure, a skip, an xfail, a NaN and an excess +NO-GO: all of 5 planted tests named$",
        r"^canary +errors at 10 % +NO-GO: back from 5 %: errors 10 % > 2 %",
        r"^blue_green +green never gets ready +NO-GO: back: not ready",
    ):
        assert re.search(row, out, re.MULTILINE), out
    assert not (project.path / "ran").exists()

    project.policy('required = ["smoke"]')
    assert main(["drill"]) == 1
    assert "smoke::tests  nothing  not configured" in re.sub("  +", "  ", capfd.readouterr().out)
    project.policy('requierd = ["smoke"]')
    assert main(["drill"]) == 2
    assert "requierd" in capfd.readouterr().err


def test_a_deployment_that_lets_something_pass_fails_its_drill(project: Project) -> None:
    project.policy('required = ["unit"]')
    project.tests("def test_one(): pass\n")
    project.write(
        "conftest.py",
        """
        from pytest_artisan.release.canary import drills

        def lax():
            yield "errors at 10 %", "on to 100 %", False

        drills.drills = lax
        """,
    )
    run = project.plain("--artisan-drill")
    assert run.status == 1
    assert "canary let this pass: errors at 10 %: on to 100 %" in run.out
