"""Environments in a session: their limits, their baselines, and what they withhold."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Project
from pytest_artisan.cli import main
from pytest_artisan.release.environments import get_config

SHORT = "from pytest_artisan.plugin import add_short_options as pytest_addoption\n"
POLICY = """
required = ["unit"]
[tool.artisan.environments.stg]
base_url = "https://stg.example.test"
[tool.artisan.environments.stg.limits.load_smoke]
p95_ms = 3000
"""
WRITES = """
def test_reads(): pass
@pytest.mark.writes
def test_writes(): open("written", "w")
"""


def test_the_short_names_are_a_projects_own(project: Project) -> None:
    project.policy(POLICY)
    project.tests(WRITES)
    assert project.plain("--env=stg").status == 4, "without the helper the names stay free"
    project.write("conftest.py", SHORT)
    run = project.plain("--env=stg", "test_it.py")
    assert run.status == 0
    assert "artisan: environment stg" in run.out
    assert "1 tests marked writes are withheld in stg" in run.out
    assert not (project.path / "written").exists()


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("way", ["option", "variable"])
def test_stg_withholds_writes_and_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch, way: str, workers: str
) -> None:
    project.policy(POLICY)
    project.tests(WRITES)
    if way == "variable":
        monkeypatch.setenv("ARTISAN_ENV", "stg")
    run = project.run(*(["--artisan-env=stg"] if way == "option" else []), "-n", workers)
    assert run.verdict is not None
    assert run.verdict.go
    assert run.verdict.environment == "stg"
    assert run.verdict.withheld == ("test_it.py::test_writes",)
    assert "withheld in stg: 1 tests marked writes" in run.out
    assert not (project.path / "written").exists()


@pytest.mark.parametrize(
    ("environment", "allowed", "written"),
    [
        ("dev", "", True),
        ("stg", "allow_writes = true", True),
        ("prod", "", False),
        ("dev", "allow_writes = false", False),
        ("dev", 'data = "real"', False),
        ("stg", 'data = "sample"', True),
    ],
)
def test_writes_run_where_the_environment_allows_them(
    project: Project, environment: str, allowed: str, written: bool
) -> None:
    project.policy(f'required = ["unit"]\n[tool.artisan.environments.{environment}]\n{allowed}')
    project.tests(WRITES)
    project.run(f"--artisan-env={environment}")
    assert (project.path / "written").exists() == written


def test_a_gate_of_nothing_but_withheld_tests_has_no_evidence(project: Project) -> None:
    project.tests("@pytest.mark.writes\ndef test_writes(): pass\n")
    run = project.run("--artisan-env=prod")
    assert run.state("unit") == "NO_EVIDENCE"
    assert run.last_line == "NO-GO"


def test_an_environments_limits_override_the_gates(project: Project) -> None:
    project.policy(POLICY)
    project.tests(
        "@pytest.mark.load_smoke\n"
        "def test_one(gate): gate.measure('p95', 2800, unit='ms', at_most=gate.policy.p95_ms)\n"
    )
    select = "--artisan-gates=load_smoke"
    assert project.run(gates=select).last_line == "NO-GO"
    assert project.run("--artisan-env=stg", gates=select).last_line == "GO (partial: load_smoke)"


def _measuring(value: float, interval: str = "") -> str:
    return f"def test_one(gate): gate.measure('p95', {value}, unit='ms', at_most=2500, n=300{interval})\n"


# What was recorded of a suite already.
_RECORDED: dict[str, str] = {}


def _record(project: Project, monkeypatch: pytest.MonkeyPatch, suite: str) -> None:
    monkeypatch.chdir(project.path)
    project.tests(suite)
    baseline = Path(".artisan/baseline-stg.json")
    if suite not in _RECORDED:
        assert project.run("--artisan-env=stg").last_line == "GO"
        assert main(["baseline", "save", "verdict.json"]) == 0
        _RECORDED[suite] = baseline.read_text(encoding="utf-8")
    project.write(str(baseline), _RECORDED[suite])


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        (_measuring(1000), _measuring(1090), False),
        (_measuring(1000), _measuring(1110), True),
        (_measuring(1000), _measuring(500), False),
        (_measuring(1000, ", interval=(900, 1100)"), _measuring(1150, ", interval=(1050, 1250)"), False),
        (_measuring(1000, ", interval=(990, 1010)"), _measuring(1050, ", interval=(1020, 1080)"), True),
    ],
    ids=["within noise", "worse", "better", "intervals meet", "intervals apart"],
)
@pytest.mark.parametrize("gates", ["--artisan-gates", ""], ids=["gates", "plain"])
def test_regression_compares_with_the_baseline(
    project: Project, monkeypatch: pytest.MonkeyPatch, gates: str, before: str, after: str, worse: bool
) -> None:
    _record(project, monkeypatch, before)
    project.tests(after)
    arguments = [*filter(None, [gates]), "--artisan-env=stg", "--artisan-regression"]
    run = project.plain(*arguments)
    assert run.status == (1 if worse else 0)
    told = "p95 1110 ms is worse than its baseline 1000 ms" in run.out
    assert told == (after == _measuring(1110))


_SAMPLING = """
        from dataclasses import replace
        from pytest_artisan.verdict.evidence import Samples, measured
        def test_one(gate):
            values = [FACTOR * (1000 + k * 37 % 100) for k in range(300)]
            samples = Samples.of([k / 10 for k in range(300)], values, [0] * 300)
            gate.record([replace(measured("p95", FACTOR * 1094, unit="ms", at_most=2500), samples=samples)])
        """


@pytest.mark.parametrize(("factor", "worse"), [(1.15, False), (1.4, True)])
def test_measurements_with_samples_are_compared_by_the_ratio_of_their_p95(
    project: Project, monkeypatch: pytest.MonkeyPatch, factor: float, worse: bool
) -> None:
    _record(project, monkeypatch, _SAMPLING.replace("FACTOR", "1"))
    project.tests(_SAMPLING.replace("FACTOR", str(factor)))
    run = project.run("--artisan-env=stg", "--artisan-regression")
    assert run.state("unit") == ("NO_GO" if worse else "GO")
    assert ("the ratio of the p95 is 1.3" in run.told) == worse


def test_regression_without_a_baseline_for_a_measurement_has_no_evidence(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    _record(project, monkeypatch, _measuring(1000))
    project.tests(_measuring(1000) + "def test_new(gate): gate.measure('kl', 0.01, unit='1', below=0.03)\n")
    run = project.run("--artisan-env=stg", "--artisan-regression")
    assert run.state("unit") == "NO_EVIDENCE"
    assert "kl has no baseline: record one with artisan baseline save" in run.told


def test_a_measurement_that_vanished_from_the_suite_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    _record(project, monkeypatch, _measuring(1000) + "def test_other(): pass\n")
    project.tests("def test_other(): pass\n")
    run = project.run("--artisan-env=stg", "--artisan-regression")
    assert run.last_line == "NO-GO"
    assert "the baseline of stg holds p95 of test_it.py::test_one, which was not measured" in run.told


def test_a_subfolder_knows_the_environments_and_the_baselines_of_its_project(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.policy(POLICY)
    project.tests(_measuring(1000))
    assert project.run("--artisan-env=stg").last_line == "GO"
    (project.path / "sub").mkdir()
    monkeypatch.chdir(project.path / "sub")
    assert get_config("stg").base_url == "https://stg.example.test"
    assert main(["baseline", "save", "../verdict.json"]) == 0
    assert (project.path / ".artisan/baseline-stg.json").is_file()


@pytest.mark.parametrize("gates", [True, False], ids=["gates", "plain"])
def test_a_marker_that_a_conftest_adds_withholds_as_well(project: Project, gates: bool) -> None:
    project.tests("def test_one(): pass\ndef test_writes(): open('written', 'w')\n")
    project.write(
        "conftest.py",
        """
        def pytest_collection_modifyitems(items):
            for item in items:
                if item.name == "test_writes":
                    item.add_marker("writes")
        """,
    )
    run = project.run("--artisan-env=prod") if gates else project.plain("--artisan-env=prod")
    assert run.status == 0, run.out
    assert not (project.path / "written").exists()
    assert "1 tests marked writes" in run.out
    if gates:
        assert run.verdict is not None
        assert run.verdict.withheld == ("test_it.py::test_writes",)


@pytest.mark.parametrize("gates", [True, False], ids=["gates", "plain"])
@pytest.mark.parametrize("hook", ["pytest_collection_modifyitems(items)", "pytest_runtestloop(session)"])
def test_what_is_marked_writes_too_late_to_be_withheld_does_not_run(project: Project, gates: bool, hook: str) -> None:
    project.tests("def test_writes(): open('written', 'w')\n", "sub/test_it.py")
    project.write(
        "sub/conftest.py",
        f"""
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def {hook}:
            {"result = yield" if "items" in hook else ""}
            for item in {"items" if "items" in hook else "session.items"}:
                item.add_marker("writes")
            return {"result" if "items" in hook else "(yield)"}
        """,
    )
    run = project.run("--artisan-env=prod") if gates else project.plain("--artisan-env=prod")
    assert run.status != 0
    assert not (project.path / "sub/written").exists()
    assert not (project.path / "written").exists()


@pytest.mark.parametrize("option", ["--artisan-purpose=release", "--artisan-journal=j"])
def test_what_only_gates_can_answer_needs_them(project: Project, option: str) -> None:
    project.tests("def test_one(): pass\n")
    run = project.plain(option)
    assert run.status == 4
    assert "needs --artisan-gates" in run.err


@pytest.mark.parametrize("name", ["artisan-session", "artisan-collecting"])
def test_a_session_without_one_of_its_parts_is_refused(project: Project, name: str) -> None:
    project.tests("def test_one(): pass\n")
    run = project.run(f"-pno:{name}")
    assert run.status == 4
    assert f"-p no:{name} leaves out a part" in run.err


def test_python_without_assert_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    project.tests("def test_one(): assert 0\n")
    run = project.run(subprocess=True)
    assert run.status == 4
    assert "gates need assert" in run.err
