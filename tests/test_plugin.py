"""The plugin beside pytest's own options, and beside other plugins."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

from conftest import Project
from pytest_artisan import session

HEAVY = ("numpy", "locust", "gevent", "sqlalchemy", "jinja2", "fastapi", "msgspec", "pytest_artisan.session")
MIXED = """
def test_plain(): pass

@pytest.mark.smoke
def test_smoke(): pass

@pytest.mark.load_smoke(rps=20)
def test_load(gate):
    assert gate.name == "load_smoke"
    assert gate.policy.rps == 20 and gate.policy.p95_ms == 2500
    gate.measure("p95", 1847.3, unit="ms", at_most=gate.policy.p95_ms, n=300)
"""


def test_an_idle_session_imports_nothing_heavy_and_judges_nothing(project: Project) -> None:
    project.tests(MIXED)
    project.write("conftest.py", "import sys\ndef pytest_unconfigure():\n    print('LOADED', *sorted(sys.modules))\n")
    code = "import sys, pytest; sys.exit(pytest.main(['-p', 'pytest_artisan.plugin', '-k', 'not load']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=project.path, capture_output=True, text=True, check=False)
    [loaded] = [line.split() for line in done.stdout.splitlines() if line.startswith("LOADED")]
    assert "pytest_artisan.plugin" in loaded
    assert not set(HEAVY) & set(loaded)
    assert done.returncode == 0
    assert "artisan gates" not in done.stdout
    assert not (project.path / ".pytest_cache/d/artisan").exists()


def test_markers_choose_the_gate_and_all_other_tests_are_the_unit_gate(project: Project) -> None:
    project.policy('required = ["unit", "smoke", "load_smoke"]')
    project.tests(MIXED)
    run = project.run("--strict-markers")
    assert run.verdict is not None
    assert run.verdict.go
    assert {g.name: (g.state, g.planned) for g in run.verdict.gates} == {
        "unit": ("GO", 1),
        "load_smoke": ("GO", 1),
        "smoke": ("GO", 1),
    }
    assert run.last_line == "GO"
    assert run.status == 0


def test_the_closest_marker_counts_and_two_at_one_level_are_refused(project: Project) -> None:
    project.policy('required = ["smoke", "kpi"]')
    project.tests(
        """
        pytestmark = pytest.mark.smoke
        def test_of_its_module(): pass
        @pytest.mark.kpi
        def test_of_its_own(): pass
        """
    )
    verdict = project.run().verdict
    assert verdict is not None
    assert {g.name: g.planned for g in verdict.gates} == {"smoke": 1, "kpi": 1}
    project.tests("@pytest.mark.smoke\n@pytest.mark.kpi\ndef test_of_two(): pass\n")
    run = project.run()
    assert run.status == 4
    assert "test_of_two: evidence for one gate, but marked kpi and smoke" in run.out + run.err


def test_named_gates_run_alone_and_the_verdict_says_partial(project: Project) -> None:
    project.tests(MIXED)
    run = project.run(gates="--artisan-gates=smoke,load_smoke")
    assert run.last_line == "GO (partial: smoke, load_smoke)"
    assert run.verdict is not None
    assert run.verdict.counts["planned"] == 2
    assert "1 deselected" in run.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--artisan-gates=unti",), "no gate 'unti'; known: unit, static_analysis"),
        (("--artisan-gates", "tests"), "write --artisan-gates after the paths"),
        (("--artisan-env=qa",), "environment=qa: no such environment; known: dev, stg, prod"),
        (("--artisan-env=",), "environment=: no such environment; known: dev, stg, prod"),
        (("--artisan-gates", "--artisan-report=verdict.txt"), "unknown suffix; known: .json, .md, .sarif"),
        (("--artisan-gates", "--artisan-report=nowhere/verdict.json"), "nowhere is no directory"),
        (("--artisan-gates", "--artisan-report=tests/.json"), "unknown suffix"),
        (("--artisan-report=verdict.json",), "needs --artisan-gates"),
        (("--artisan-gates", "--artisan-journal=nowhere/j"), "--artisan-journal=nowhere/j: No such file"),
        (("--artisan-gates", "--dist=each", "--tx=2*popen"), "gates need each item once"),
        (("--artisan-regression",), "no baseline for dev"),
        (("--artisan-purpose=fun", "--artisan-gates"), "invalid choice: 'fun'"),
    ],
)
def test_bad_options_are_usage_errors_in_one_line(project: Project, arguments: tuple[str, ...], message: str) -> None:
    project.tests("def test_one(): pass", "tests/test_it.py")
    run = project.plain(*arguments)
    assert run.status == 4
    assert message in run.out + run.err
    assert "Traceback" not in run.out + run.err
    assert "passed" not in run.out


def test_a_bad_marker_argument_is_told_before_anything_runs(project: Project) -> None:
    project.tests("@pytest.mark.load_smoke(p95=1)\ndef test_one(): open('ran', 'w')\n")
    run = project.run()
    assert run.status == 4
    assert "has no key 'p95'; the nearest is 'p95_ms'" in run.out + run.err
    assert not (project.path / "ran").exists()


@pytest.mark.parametrize("option", ["--collect-only", "--fixtures", "--markers", "--cache-show", "--artisan-drill"])
def test_what_runs_no_test_judges_nothing(project: Project, option: str) -> None:
    project.tests("def test_one(): pass")
    project.report.write_text("GO of an earlier run", encoding="utf-8")
    run = project.run(option)
    assert run.status == 0
    assert not project.report.exists()
    assert "GO" not in run.out.split()


@pytest.mark.parametrize(
    "arguments",
    [
        ("-p", "no:terminal"),
        ("-p", "no:cacheprovider"),
        ("-q", "-q"),
        ("--no-header", "--no-summary"),
        ("-n", "2"),
        ("-n", "2", "--dist=worksteal"),
        ("-n", "2", "--dist=loadscope"),
        ("-n", "2", "--dist=loadfile"),
        ("-n", "2", "--dist=loadgroup"),
        ("--ff",),
        ("-s",),
        ("--timeout=60",),
        ("--reruns=1",),
        ("--junitxml=j.xml",),
        ("--stepwise",),
        ("-x",),
        ("--import-mode=importlib",),
        ("-p", "no:xdist"),
    ],
    ids=" ".join,
)
def test_a_sound_project_is_go_under_pytests_options(project: Project, arguments: tuple[str, ...]) -> None:
    project.tests("def test_one(): pass\ndef test_two(subtests):\n    with subtests.test('a'): pass\n")
    run = project.run(*arguments, forked="no:xdist" in arguments)
    assert run.status == 0, run.out + run.err
    assert run.verdict is not None
    assert run.verdict.go
    assert (run.out + run.err).rstrip().splitlines()[-1] == "GO"


def test_it_works_beside_other_plugins_and_their_limits_count(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.tests("def test_one(): pass\ndef test_two(): pass\ndef uncovered():\n    return 1\n")
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    # Schemathesis is one of them, and slow to load.
    command = [sys.executable, "-m", "pytest", "--artisan-gates", "-W", "ignore", "-p", "no:schemathesis", "--cov=."]
    done = subprocess.run(
        [*command, "--html=report.html", "-n", "2"], cwd=project.path, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "GO"
    assert "randomly" in done.stdout
    # For its limit it is alone: each of them takes its time to load.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    command += ["-p", "artisan", "-p", "pytest_cov", "--cov-fail-under=100"]
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "NO-GO"
    assert done.returncode == 1


def test_it_loads_by_its_module_where_plugins_are_not_loaded_by_themselves(project: Project) -> None:
    project.tests("def test_one(): pass")
    command = [sys.executable, "-m", "pytest", "-p", "pytest_artisan.plugin", "--artisan-gates"]
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "GO"
    without = [sys.executable, "-m", "pytest", "--artisan-gates"]
    done = subprocess.run(without, cwd=project.path, capture_output=True, text=True, check=False)
    assert done.returncode == 4, "gates that are not there must not pass in silence"


def test_another_project_adds_a_gate_in_a_few_lines(project: Project) -> None:
    project.write(
        "conftest.py",
        """\
        import pytest
        from pytest_artisan.gates import Gate

        @pytest.hookimpl(optionalhook=True)
        def pytest_artisan_gates(config):
            return Gate("contract", "every consumer's contract holds")
        """,
    )
    project.policy('required = ["contract"]\n[tool.artisan.contract]')
    project.tests("@pytest.mark.contract\ndef test_one(): pass\n")
    assert project.run("--strict-markers").last_line == "GO"
    assert project.plain("--strict-markers").status == 0
    project.tests("@pytest.mark.contract\ndef test_one(): assert 0\n")
    assert project.run().state("contract") == "NO_GO"
    project.tests("def test_one(): pass\n")
    run = project.run()
    assert run.state("contract") == "NO_EVIDENCE"
    assert "not configured: no test carries @pytest.mark.contract" in run.told
    drill = project.plain("--artisan-drill", "--artisan-gates=contract")
    assert (drill.status, "contract::tests  nothing  not configured" in drill.out) == (1, True)
    project.policy('required = ["contract"]\nlocal_optional = ["contract"]\n[tool.artisan.contract]')
    assert "not drilled: contract (not configured" in project.plain("--artisan-drill", "--artisan-gates=contract").out


def test_two_sessions_in_one_process_do_not_meet(project: Project) -> None:
    project.tests("def test_one(): assert 0")
    assert project.run().last_line == "NO-GO"
    project.tests("def test_one(): pass")
    assert project.run().last_line == "GO"
    assert os._exit.__module__ == "posix"


def test_junit_carries_the_measurements(project: Project) -> None:
    project.tests("def test_one(gate): gate.measure('p95', 12, unit='ms', at_most=20)")
    project.run("--junitxml=junit.xml", "-n", "1")
    text = (project.path / "junit.xml").read_text()
    assert 'name="artisan.measurement"' in text
    assert "&quot;p95&quot;" in text


def test_github_gets_annotations_and_a_summary(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    project.tests("def test_one():\n    assert 1 == 2")
    run = project.run()
    assert (
        "::error file=test_it.py,line=2,title=NO-GO unit::unit: test_it.py::test_one: failed: assert 1 == 2" in run.out
    )
    assert run.last_line == "NO-GO"
    assert "❌ NO\\-GO" in (project.path / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("ci", "arguments", "purpose"),
    [
        ("", (), "local"),
        ("false", (), "local"),
        ("true", (), "merge"),
        ("true", ("--artisan-purpose=local",), "local"),
        ("", ("--artisan-purpose=release",), "release"),
    ],
)
def test_only_a_local_run_may_lack_evidence(
    project: Project, monkeypatch: pytest.MonkeyPatch, ci: str, arguments: tuple[str, ...], purpose: str
) -> None:
    monkeypatch.setenv("CI", ci)
    project.policy('required = ["unit", "security"]\nsecurity = { osv_url = "http://127.0.0.1:1" }')
    project.tests("def test_one(): pass")
    run = project.run(*arguments)
    assert run.verdict is not None
    assert run.verdict.purpose == purpose
    assert run.verdict.go == (purpose == "local")
    assert run.last_line == ("GO (local; no evidence: security)" if purpose == "local" else "NO-GO")
    assert "can not be reached: Connection refused; to have evidence, name a snapshot" in run.out


def test_a_finding_blocks_a_local_run_too(project: Project) -> None:
    project.policy('required = ["unit", "security"]\nsecurity = { osv_url = "http://127.0.0.1:1" }')
    project.tests("def test_one(): pass\n@pytest.mark.security\ndef test_two(): assert 0")
    assert project.run().last_line == "NO-GO"


def test_declared_outcomes_count_and_unused_declarations_warn(project: Project) -> None:
    project.policy(
        """
        required = ["unit"]
        expected = [
            { outcome = "skip", reason = "needs *", why = "only where it is installed" },
            { outcome = "skip", item = "test_gone.py", why = "an optional dependency" },
            { outcome = "xfail", item = "test_it.py::test_bug[?]", why = "issue 7" },
            { outcome = "xpass", item = "test_it.py::test_luck", why = "depends on the platform" },
            { outcome = "deselected", item = "test_it.py::test_slow", why = "runs at night" },
            { outcome = "skip", item = "never.py::*", why = "gone by now" },
        ]
        """
    )
    project.tests(
        """
        def test_one(): pass
        def test_skip(): pytest.skip("needs glue")
        @pytest.mark.xfail
        @pytest.mark.parametrize("i", [1, 2])
        def test_bug(i): assert 0
        @pytest.mark.xfail
        def test_luck(): pass
        def test_slow(): pass
        """
    )
    project.write("test_gone.py", "import pytest\npytest.importorskip('nowhere')\n")
    run = project.run("-k", "not slow")
    assert run.last_line == "GO", run.told
    assert run.verdict is not None
    [gate] = run.verdict.gates
    assert (gate.planned, gate.passed, gate.declared) == (6, 1, 5)
    assert run.verdict.counts["modules_skipped"] == 1
    assert [w.text for w in run.verdict.warnings] == ["declared skip did not occur: item 'never.py::*', reason '*'"]


def test_the_line_that_declares_an_outcome_can_be_copied(project: Project) -> None:
    project.tests("@pytest.mark.parametrize('s', ['a\"b'])\ndef test_one(s): pytest.skip('no')\ndef test_two(): pass")
    run = project.run()
    assert run.verdict is not None
    [reason] = run.verdict.reasons
    project.policy(f'required = ["unit"]\nexpected = [{reason.remedy}]')
    assert project.run().last_line == "GO"


def test_reports_are_written_in_every_format(project: Project) -> None:
    project.tests("def test_one(): assert 0")
    run = project.run("--artisan-report=v.md", "--artisan-report=v.sarif")
    assert run.verdict is not None
    assert "test\\_one" in (project.path / "v.md").read_text(encoding="utf-8")
    [log] = json.loads((project.path / "v.sarif").read_text())["runs"]
    assert log["results"][0]["ruleId"] == "artisan/failed"
    assert {p.name for p in project.path.iterdir()} >= {"verdict.json", "v.md", "v.sarif"}
    assert not [p for p in project.path.iterdir() if p.name.startswith((".verdict", ".v."))]


def test_a_secret_is_masked_wherever_it_comes_from(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD_DEV", "hunter22")
    project.tests(
        """
        @pytest.mark.parametrize("p", ["hunter22"])
        def test_one(p, gate):
            gate.measure("login hunter22", 2, unit="count", at_most=1)
        def test_two(): raise ValueError("hunter22")
        """
    )
    for arguments in ((), ("-n", "1")):
        project.run("--artisan-journal=j.jsonl", "--artisan-report=v.md", "--artisan-report=v.sarif", *arguments)
        for name in ("verdict.json", "v.md", "v.sarif", "j.jsonl"):
            text = (project.path / name).read_text(encoding="utf-8")
            assert "hunter22" not in text, name
            assert "***" in text or "\\*\\*\\*" in text, name


def test_the_policy_above_a_root_of_its_own_counts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.policy('required = ["unit", "kpi"]\nlocal_optional = []')
    project.write("tests/pytest.ini", "[pytest]\n")
    project.tests("def test_one(): pass", "tests/test_it.py")
    monkeypatch.chdir(project.path / "tests")
    run = project.plain("--artisan-gates")
    assert run.last_line == "NO-GO"
    assert "policy of pyproject.toml" in run.out
    assert "kpi: not configured" in run.out


def test_a_measurement_in_a_teardown_counts(project: Project) -> None:
    project.tests(
        """
        @pytest.fixture
        def service(gate):
            yield
            gate.measure("leaks", 1, unit="count", at_most=0)
        def test_one(service): pass
        """
    )
    assert "leaks 1 > 0" in project.run().told
    assert project.plain().status == 1, "without gates too"


def test_a_verdict_that_can_not_be_made_is_no_go(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("a defect of our own")

    monkeypatch.setattr(session, "decide", broken)
    project.tests("def test_one(): pass")
    run = project.run()
    assert run.status == 1
    assert run.err.splitlines()[-2:] == ["the verdict could not be made: RuntimeError('a defect of our own')", "NO-GO"]


def test_a_plugin_that_resets_the_exit_status_does_not_make_it_0(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_sessionfinish(session):
            yield
            session.exitstatus = 0
        """,
    )
    project.tests("def test_one(): assert 0")
    run = project.run()
    assert (run.status, run.last_line) == (1, "NO-GO")


@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_long_item_shows_its_progress_on_a_terminal_alone(project: Project, on_terminal: bool) -> None:
    project.tests("def test_one(gate):\n    gate.progress(5_000, 10_000)\n    gate.progress(10_000, 10_000)\n")
    command = [sys.executable, "-m", "pytest", "-p", "artisan", "--artisan-gates"]
    reading, writing = pty.openpty() if on_terminal else os.pipe()
    with subprocess.Popen(command, cwd=project.path, stdout=writing, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(writing)
        output = b""
        with suppress(OSError):  # how a pseudo-terminal says that its other end is closed
            while chunk := os.read(reading, 65_536):
                output += chunk
    os.close(reading)
    assert process.returncode == 0
    assert (b"test_it.py::test_one 5,000 of 10,000 (50%)" in output) == on_terminal
    assert (b"\x1b[" in output) == on_terminal, "colours are for terminals alone"


def test_one_entry_declares_all_items_that_share_their_reason(project: Project) -> None:
    project.tests(
        """
        @pytest.mark.parametrize("i", range(3))
        def test_one(i): pytest.skip('needs "glue"\\nand time')
        def test_two(): pass
        """
    )
    run = project.run()
    [entry] = [line.partition(": ")[2] for line in run.out.splitlines() if "to declare it" in line]
    assert 'reason = "needs' in entry
    project.policy(f'required = ["unit"]\nexpected = [{entry}]')
    assert project.run().last_line == "GO"


def test_a_hook_in_a_conftest_that_is_loaded_late_does_not_end_a_plain_session(project: Project) -> None:
    project.write("sub/conftest.py", "def pytest_artisan_gates(config):\n    return None\n")
    project.tests("def test_one(): pass", "sub/test_it.py")
    assert project.plain().status == 0
