"""A page remembers the runs before it, believes no stranger's file, and loses no run on the way."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from operator import add
from pathlib import Path
from typing import Any

import msgspec
import pytest
from canary_house import WELL, WRONG, Place
from hypothesis import given, settings
from page_house import NOW, Parsed, check_it_stands_alone, verdict_of, written
from release_house import git
from strategies import wild_sessions

from conftest import Project
from pytest_artisan.cli import main
from pytest_artisan.release.deployments import save
from pytest_artisan.release.pages import page_of
from pytest_artisan.release.secrets import Masker, Secret
from pytest_artisan.reports.html.history import MOST_RUNS, Run, earlier, embedded, run_of
from pytest_artisan.reports.html.page import as_html
from pytest_artisan.reports.publish import aside
from pytest_artisan.verdict.decide import Requirements, decide
from pytest_artisan.verdict.evidence import (
    Evidence,
    ItemResult,
    Outcome,
    Plan,
    measured,
)

quick = settings(max_examples=40, derandomize=True, deadline=None)


def runs_of(path: Path) -> list[Run]:
    held = re.search(r"artisan-runs\" content='([^']*)'", path.read_text(encoding="utf-8"))
    assert held
    return msgspec.json.decode(held[1], type=tuple[str, list[Run]])[1]


def test_a_page_holds_the_runs_before_it_and_draws_their_trend(tmp_path: Path) -> None:
    told = verdict_of(ItemResult("t", Outcome.PASSED, measurements=(measured("p95", 7, unit="ms", at_most=9),)))
    before = [run_of(told, NOW - timedelta(days=60 - k)) for k in range(60)]
    slow = msgspec.structs.replace(before[50].gates[0], value=8.0)
    before[50] = msgspec.structs.replace(before[50], environment="prod", gates=(slow,))

    path = written(tmp_path / "report.html", as_html(told, NOW, earlier=before))

    kept = runs_of(path)
    assert len(kept) == MOST_RUNS
    assert [run.at for run in kept] == sorted(run.at for run in kept)
    assert kept[-1].at == NOW
    text = Parsed(path.read_text(encoding="utf-8")).text
    assert "The last 50 runs" in text
    assert "7 to 7" in text  # and not to 8, which is of another environment
    assert "unit GO 8 ms" in " ".join(text.split())


@quick
@given(wild_sessions())
def test_any_run_is_remembered_as_it_was(session: tuple[Requirements, Plan, Evidence]) -> None:
    run = run_of(decide(*session), NOW)
    text = embedded("house", [run])

    assert not set(text) & set("<>&'")
    assert msgspec.json.decode(text, type=tuple[str, tuple[Run, ...]]) == ("house", (run,))


def planted(text: str) -> Callable[[Path], object]:
    return lambda path: written(path, f"<meta name=\"artisan-runs\" content='{text}'>")


def held(*runs: str, project: str = "house") -> Callable[[Path], object]:
    return planted(f'["{project}",[{",".join(runs)}]]')


def a_run(gate: str = "", at: str = "2026-07-24T09:30:00Z") -> str:
    return f'["{at}",true,"GO","","dev",[{gate}]]'


BROKEN: dict[str, Callable[[Path], object]] = {
    "a text": lambda path: written(path, "hello"),
    "nothing": lambda path: written(path, ""),
    "no characters": lambda path: path.write_bytes(b"\xff\xfe\x00" * 100),
    "no JSON": planted("[1,"),
    "other types": held('{"at":1}'),
    "too deep": planted("[" * 100_000),
    "a time without a zone": held(a_run(at="2026-07-24T09:30:00")),
    "51 runs": held(*[a_run()] * 51),
    "a state of no gate": held(a_run('["unit","FINE",1]')),
    "a time that is none": held(a_run('["unit","GO",1e999]')),
    "no number": held(a_run('["unit","GO",1,"p95",NaN]')),
    "a name of a mile": held(a_run(f'["{"x" * 101}","GO",1]')),
    "of somebody else": held(a_run(), project="cottage"),
    "beyond what is read": lambda path: written(path, "x" * 4_000_000 + "<meta name=\"artisan-runs\" content='[]'>"),
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "an endless file": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
}


def test_the_runs_of_a_page_and_of_a_session_that_was_quicker_are_read(tmp_path: Path) -> None:
    page_path = tmp_path / "report.html"
    aside(page_path).parent.mkdir()
    times = ("0001-01-01T00:00:00+14:00", "2026-07-24T09:30:00Z", "2026-07-24T10:30:00Z", "9999-12-31T23:59:59-14:00")
    first, second, quicker, ahead = (a_run('["unit","GO",1]', at) for at in times)
    held(first, second)(aside(page_path))
    held(second, quicker, ahead)(page_path)

    runs, remark = earlier([page_path], "house", NOW)

    assert [run.at for run in runs] == [
        datetime.fromisoformat(at) for at in times[:3]
    ]  # the last one's clock was wrong
    assert remark == ""
    assert "The last 4 runs" in Parsed(as_html(verdict_of(), NOW, earlier=runs)).text


@pytest.mark.parametrize("plant", BROKEN.values(), ids=BROKEN)
def test_what_is_no_page_of_ours_begins_the_history_anew(plant: Callable[[Path], object], tmp_path: Path) -> None:
    page_path = tmp_path / "report.html"
    aside(page_path).parent.mkdir()
    plant(aside(page_path))

    runs, remark = earlier([page_path], "house", NOW)

    assert runs == ()
    assert remark.startswith("the report that lay here before could not be read, so its runs are left out: ")


GREEN = "def test_it(gate): gate.measure('p95', 7, unit='ms', at_most=9)"


def test_runs_follow_each_other_in_a_session_and_a_typo_loses_none(project: Project) -> None:
    project.tests(GREEN)
    path = project.path / "report.html"

    for number in (1, 2):
        assert project.run("--artisan-report=report.html").status == 0
        assert len(runs_of(path)) == number
        assert not aside(path).exists()
    assert project.run("--artisan-report=report.html", "--artisan-purpose=nonsense").status == 4
    assert project.run("--artisan-report=report.html", gates="--artisan-gates=nonsense").status == 4
    assert not path.exists()
    assert project.run("--artisan-report=report.html", "--artisan-report=no/such.html").status == 4
    project.tests("def test_it(): assert 0")
    assert project.run("--artisan-report=report.html").status == 1

    assert [run.go for run in runs_of(path)] == [True, True, False]
    check_it_stands_alone(path.read_text(encoding="utf-8"))


def test_an_earlier_page_that_is_broken_is_remarked_and_blocks_nothing(project: Project) -> None:
    project.tests(GREEN)
    written(project.path / "report.html", "<script>alert(1)</script>")

    run = project.run("--artisan-report=report.html")

    assert run.status == 0
    found = check_it_stands_alone((project.path / "report.html").read_text(encoding="utf-8"))
    assert "so its runs are left out: it holds no runs" in found.text


def test_a_page_that_can_not_be_written_is_no_go_and_loses_no_history(project: Project) -> None:
    project.tests(GREEN)
    assert project.run("--artisan-report=report.html").status == 0
    project.tests(f"import os\n{GREEN}\ndef test_more(): os.mkdir('report.html')")

    run = project.run("--artisan-report=report.html")

    assert run.status == 1
    assert "the report" in run.told
    assert len(runs_of(aside(project.path / "report.html"))) == 1


def test_a_page_of_before_does_not_make_the_tree_dirty(project: Project) -> None:
    project.tests(GREEN)
    project.write(".gitignore", "__pycache__/")
    git(project.path, "init", "-q", "--template=")
    git(project.path, "add", "-A")
    git(project.path, "-c", "user.name=kim", "-c", "user.email=kim@example.test", "commit", "-q", "-m", "all")

    for _ in range(2):
        assert "not just its commit" not in project.run("--artisan-report=report.html").out
    assert git(project.path, "status", "--porcelain") == "?? report.html\n?? verdict.json"


def test_canaries_that_are_news_stand_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, (WELL, WELL, WELL, WRONG))
    run = place.deploy()
    verdict = verdict_of(ItemResult("t", Outcome.PASSED))
    folder = tmp_path / ".artisan/deploy-dev"
    (folder / "canary-broken.json").write_text("{", encoding="utf-8")
    [path] = (path for path in folder.glob("canary-*.json") if path.stem != "canary-broken")
    nowhere = re.sub(r"(\d\d:\d\d:\d\d[.\d]*)Z", r"\1", path.read_text(encoding="utf-8"))
    (folder / "canary-nowhere.json").write_text(nowhere, encoding="utf-8")

    def told(at: datetime, *secrets: Secret, **changes: Any) -> str:
        return Parsed(page_of(tmp_path, [], at, Masker(secrets))(replace(verdict, **changes))).text

    text = told(place.clock())
    assert run.line in text
    assert "was taken back from 5 %" in text
    assert "looked: roll back" in text
    for name in ("broken", "nowhere"):
        assert f"canary-{name}.json: no state of a deployment" in text
    assert run.line not in told(place.clock() + timedelta(days=8))
    assert run.line not in told(place.clock(), environment="prod")
    monkeypatch.setenv("FLAG", run.flag)
    assert run.line.replace(run.flag, "***") in told(place.clock(), Secret("FLAG"))
    save(path, msgspec.structs.replace(run, timeline=run.timeline * 200))
    assert told(place.clock()).count("admitted") < 400 < len(run.timeline) * 200


def test_a_journal_becomes_a_page(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.path)
    project.tests("def test_it(): assert 0")
    project.run("--artisan-journal=journal.jsonl")
    path = project.path / "again.html"

    for number in (1, 2):
        clock = partial(add, NOW, timedelta(hours=number))
        assert main(["report", "journal.jsonl", "--output=again.html"], clock=clock) == 1
        assert len(runs_of(path)) == number

    assert main(["report", "journal.jsonl", "--output=again.htm"]) == 2
    assert "2026-07-24 11:30 UTC" in Parsed(path.read_text(encoding="utf-8")).text


def test_secrets_are_masked_on_the_page(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD_DEV", "hunter2-hunter2")
    project.tests("def test_it(): assert 'hunter2-hunter2' == ''")
    project.run("--artisan-report=report.html")

    text = (project.path / "report.html").read_text(encoding="utf-8")
    assert "hunter2" not in text
    assert "NO-GO" in text


def test_a_session_without_a_page_loads_nothing_of_it(project: Project) -> None:
    project.tests(
        "import sys\ndef test_it(): assert not {'jinja2', 'pytest_artisan.reports.html.page'} & set(sys.modules)"
    )

    assert project.run(subprocess=True).status == 0
