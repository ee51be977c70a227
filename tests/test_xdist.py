"""Sessions over several workers."""

from __future__ import annotations

import json

import pytest

from conftest import Project
from pytest_artisan.ledger import replay
from pytest_artisan.verdict.decide import Verdict, decide
from pytest_artisan.verdict.evidence import Samples


def _without_times(verdict: Verdict) -> object:
    return [(g.name, g.state, g.planned, g.passed, g.declared, g.measurements) for g in verdict.gates]


def test_the_verdict_is_the_same_with_and_without_workers(project: Project) -> None:
    project.policy('required = ["unit", "smoke"]')
    project.tests(
        """
        @pytest.mark.parametrize("i", range(20))
        def test_many(i): pass
        @pytest.mark.smoke
        def test_smoke(gate): gate.measure("p95", 12, unit="ms", at_most=20, n=60)
        def test_skip(): pytest.skip("no")
        def test_fail(): assert 0
        """
    )
    one, two = project.run().verdict, project.run("-n", "2").verdict
    assert one is not None
    assert two is not None
    assert _without_times(one) == _without_times(two)
    assert (one.plan_digest, one.policy_digest, one.counts) == (two.plan_digest, two.policy_digest, two.counts)
    assert {(r.code, r.subject) for r in one.reasons} == {(r.code, r.subject) for r in two.reasons}


def test_proof_doubt_and_samples_reach_the_report_and_the_journal_from_a_worker(project: Project) -> None:
    project.tests(
        """
        from dataclasses import replace
        from pytest_artisan.verdict.evidence import Samples, measured

        @pytest.mark.parametrize("proven", [True, False])
        def test_load(gate, proven):
            samples = Samples.of([0, 0.1, 0.2], [12.5, None, 0.1], [0, 0.25, 0])
            m = measured("p95", 12.5, unit="ms", at_most=20, n=3)
            gate.record([replace(m, proven=proven, doubt="" if proven else "its clock was late", samples=samples)])
        """
    )
    verdict = project.run("-n", "2", "--artisan-journal=journal.jsonl").verdict
    assert verdict is not None
    again = decide(*replay(project.path / "journal.jsonl"))

    for [gate] in (verdict.gates, again.gates):
        told = {m.proven: (m.doubt, m.samples) for m in gate.measurements}
        samples = Samples((0.0, 0.1, 0.2), (12.5, None, 0.1), (0.0, 0.25, 0.0))
        assert told == {True: ("", samples), False: ("its clock was late", samples)}
    assert [(r.code, r.text) for r in verdict.reasons] == [
        ("doubt", "p95 12.5 ms <= 20 ms, n=3, but its clock was late")
    ]


@pytest.mark.parametrize("dist", ["load", "worksteal", "loadscope", "loadfile", "loadgroup"])
def test_an_exclusive_item_runs_while_no_other_item_runs(project: Project, dist: str) -> None:
    body = """
        import os, time
        from pathlib import Path
        LOG = Path(__file__).parent / "log"

        def note(kind, name):
            with LOG.open("a") as file:
                file.write(f"{time.monotonic_ns()} {kind} {name}\\n")

        @pytest.fixture(autouse=True)
        def logged(request):
            kind = "alone" if request.node.get_closest_marker("exclusive") else "any"
            note("start", f"{kind}-{request.node.name}")
            yield
            sum(range(200_000))
            note("end", f"{kind}-{request.node.name}")

        @pytest.mark.parametrize("i", range(12))
        def test_any(i): pass

        @pytest.mark.exclusive
        @pytest.mark.parametrize("i", range(3))
        def test_alone(i): pass
        """
    for name in ("test_a.py", "test_b.py"):
        project.tests(body, name)
    assert project.run("-n", "2", f"--dist={dist}").last_line == "GO"
    running: set[str] = set()
    for line in sorted((project.path / "log").read_text().splitlines(), key=lambda text: int(text.split()[0])):
        _, event, name = line.split(maxsplit=2)
        if event == "end":
            running.discard(name)
            continue
        assert not any(other.startswith("alone") for other in running), (name, running)
        assert not (name.startswith("alone") and running), (name, running)
        running.add(name)


UNREACHABLE = """
def pytest_configure(config):
    if hasattr(config, "workerinput"):
        config.workerinput["artisan_run"] = "/nowhere"
"""


def test_a_worker_that_can_not_reach_the_run_directory_sends_its_plan(project: Project) -> None:
    project.write("conftest.py", UNREACHABLE)
    project.tests("def test_one(): pass\n@pytest.mark.exclusive\ndef test_two(): pass")
    run = project.run("-n", "1")
    assert run.verdict is not None
    assert run.verdict.go, run.told


@pytest.mark.parametrize("reachable", [True, False])
def test_nothing_is_left_behind(project: Project, monkeypatch: pytest.MonkeyPatch, reachable: bool) -> None:
    place = project.path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    if not reachable:
        project.write("conftest.py", UNREACHABLE)
    project.tests("def test_one(): pass\n@pytest.mark.exclusive\ndef test_two(): pass")
    assert project.run("-n", "2", forked=True).last_line == "GO"
    assert [path.name for path in place.iterdir() if not path.name.startswith("pytest-of-")] == []


def test_a_lost_item_is_told_by_name(project: Project) -> None:
    project.tests(
        """
        import os
        def test_a(): os._exit(1)
        def test_b(): pass
        def test_c(): pass
        """
    )
    run = project.run("-n", "1", "--max-worker-restart=0", forked=True)
    assert run.verdict is not None
    assert not run.verdict.go
    subjects = {r.subject for r in run.verdict.reasons}
    assert {"test_it.py::test_a", "test_it.py::test_b", "test_it.py::test_c"} <= subjects
    counts = run.verdict.counts
    assert (counts["planned"], counts["crashed"], counts["not_run"]) == (3, 1, 2)


def test_the_json_report_names_the_schema_version(project: Project) -> None:
    project.tests("def test_one(): pass")
    project.run("-n", "1")
    document = json.loads(project.report.read_text())
    assert (document["version"], document["answer"], document["verdict"]["go"]) == (1, "GO", True)
