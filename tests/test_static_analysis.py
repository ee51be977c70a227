"""The gate static_analysis over real Ruff and mypy, and what the drills show of every gate."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from conftest import Project
from pytest_artisan import tools

CLEAN = "def double(n: int) -> int:\n    return 2 * n\n"
POLICY = 'required = ["static_analysis"]\n[tool.artisan.static_analysis]\n'
# What a project does that has pytest's own sources not read: they take mypy seconds.
UNREAD = '\n[[tool.mypy.overrides]]\nmodule = "pytest"\nfollow_imports = "skip"\n'


@pytest.fixture(scope="module")
def reckoned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy keeps of its own library, which takes several times as long as all that these projects hold."""
    folder = tmp_path_factory.mktemp("reckoned")
    (folder / "app.py").touch()
    assert tools.run("mypy", ["app.py"], cwd=folder, timeout_s=60).status == 0
    return folder / ".mypy_cache"


@pytest.fixture
def project(project: Project, reckoned: Path) -> Project:
    """A project whose mypy ran before, as anybody's has."""
    shutil.copytree(reckoned, project.path / ".mypy_cache")
    return project


def test_clean_code_is_go_and_the_files_are_counted(project: Project) -> None:
    project.policy(POLICY)
    project.write("src/a.py", CLEAN)
    project.write("src/b.py", CLEAN)
    run = project.run()
    assert run.verdict is not None
    assert run.verdict.go, run.told
    [gate] = run.verdict.gates
    assert {m.name: m.value for m in gate.measurements} == {
        "ruff findings": 0,
        "ruff files": 2,
        "mypy errors": 0,
        "mypy files": 2,
    }


@pytest.mark.parametrize(
    "layout",
    [
        ("app.py", "tests/__init__.py"),
        ("src/m.py", "backend/__init__.py", "backend/app.py"),
        ("service/app.py", "tests/__init__.py"),
        ("src/pkg/__init__.py", "src/pkg/app.py", "tests/test_a.py", "venv/pyvenv.cfg", "venv/lib/site-packages/x.py"),
    ],
    ids=" ".join,
)
def test_by_default_everything_is_checked(project: Project, layout: tuple[str, ...]) -> None:
    project.policy(POLICY)
    for name in layout:
        project.write(name, "")
    assert project.run().last_line == "GO"
    [product] = [name for name in layout if name.endswith("app.py")]
    project.write(product, 'import os\n\nx: int = "a"\n')
    told = project.run().told
    assert "ruff findings 1 > 0" in told
    assert "mypy errors 1 > 0" in told


def test_what_a_build_copied_is_no_second_module(project: Project) -> None:
    project.policy(POLICY + "ruff = []")
    project.write("pkg/__init__.py", "")
    project.write("build/lib/pkg/__init__.py", "")
    assert project.run().last_line == "GO"


@pytest.mark.parametrize("purpose", ["merge", "release"])
def test_an_earlier_runs_cache_hides_nothing(project: Project, purpose: str) -> None:
    project.policy(POLICY)
    for text in ("from os import sep\n\nx: int = len(sep)\n", "from os import abc\n\nx: int = str(sep)\n"):
        path = project.write("src/a.py", text)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        run = project.run(f"--artisan-purpose={purpose}")
        assert run.verdict is not None
        assert run.verdict.go == ("abc" not in text)
    assert "ruff findings" in run.told
    assert "mypy errors" in run.told


@pytest.mark.parametrize("repository", ["whole", "unreadable"])
def test_what_is_tracked_is_checked_whatever_gitignore_says(project: Project, repository: str) -> None:
    project.policy(POLICY + "mypy = []")
    project.write("src/a.py", CLEAN)
    project.write("src/lib/b.py", "import os\n")
    project.write("src/lib/untracked.py", "import os\n")
    project.write("src/lib/gone.py", "import os\n")
    project.write("src/generated/c.py", "import os\n")
    project.write("ruff.toml", 'extend-exclude = ["generated"]\n')
    for command in (["init", "-q"], ["add", "src/a.py", "src/lib/b.py", "src/lib/gone.py", "src/generated"]):
        project.pytester.run("git", *command)
    project.write(".gitignore", "lib/\ngenerated/\n")
    (project.path / "src/lib/gone.py").unlink()
    if repository == "unreadable":
        (project.path / ".git/HEAD").unlink()
    run = project.run()
    assert f"ruff findings {1 if repository == 'whole' else 2} > 0" in run.told
    assert "src/lib/b.py" in run.out


@pytest.mark.parametrize("workers", ["0", "1"])
def test_every_finding_is_located(project: Project, workers: str) -> None:
    project.policy(POLICY)
    project.write("src/a.py", CLEAN)
    project.write("src/b.py", 'import os\n\nx: int = "a"\n')
    run = project.run("-n", workers, "--artisan-report=v.sarif")
    assert run.state("static_analysis") == "NO_GO"
    assert run.verdict is not None
    [gate] = run.verdict.gates
    assert {(f.tool, f.rule, f.path, f.line, f.column) for f in gate.findings} == {
        ("ruff", "F401", "src/b.py", 1, 8),
        ("mypy", "assignment", "src/b.py", 3, 10),
    }
    assert "src/b.py:3: mypy assignment: Incompatible types" in run.out
    text = (project.path / "v.sarif").read_text()
    assert '"ruff/F401"' in text
    assert '"uri": "src/b.py"' in text


def test_a_syntax_error_is_a_finding_of_both_tools(project: Project) -> None:
    project.policy(POLICY)
    project.write("src/a.py", "def (:\n")
    run = project.run()
    assert run.state("static_analysis") == "NO_GO"
    assert "ruff findings" in run.told
    assert "mypy errors" in run.told


def test_the_policy_may_allow_findings_and_switch_a_tool_off(project: Project) -> None:
    project.policy(POLICY + "mypy = []\nruff_findings = 1")
    project.write("src/a.py", "import os\n")
    assert project.run().last_line == "GO"
    project.write("src/a.py", "import os\nimport sys\n")
    run = project.run()
    assert "ruff findings 2 > 1" in run.told
    assert "mypy" not in run.out.replace("mypy = []", "")


def test_a_missing_path_is_no_evidence(project: Project) -> None:
    project.policy(POLICY + 'ruff = ["gone"]')
    project.write("src/a.py", CLEAN)
    run = project.run()
    assert run.state("static_analysis") == "NO_EVIDENCE"
    assert "the configured path 'gone' does not exist" in run.told


def test_variables_that_disarm_a_tool_do_not_reach_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUFF_EXCLUDE", "*")
    monkeypatch.setenv("RUFF_NO_CACHE", "nonsense")
    monkeypatch.setenv("MYPYPATH", "/nowhere")
    monkeypatch.setenv("RUFF_CONFIG", str(project.write("lenient.toml", 'exclude = ["*"]\n')))
    project.policy(POLICY)
    project.write("src/a.py", "import os\n")
    assert "ruff findings 1 > 0" in project.run().told


@pytest.mark.parametrize(
    ("files", "left_out"),
    [
        ({}, True),
        ({"ruff.toml": ""}, False),
        ({"mypy.ini": "[mypy]\n"}, False),
    ],
)
def test_by_default_it_is_required_where_the_project_configures_a_tool(
    project: Project, files: dict[str, str], left_out: bool
) -> None:
    project.policy("")
    project.write("test_it.py", "def test_one() -> None:\n    pass\n")
    project.write("src/a.py", CLEAN)
    for name, text in files.items():
        project.write(name, text)
    run = project.run()
    assert run.verdict is not None
    assert run.verdict.go, run.told
    assert ("static_analysis" in run.verdict.left_out) == left_out
    assert ("neither Ruff nor mypy is configured" in run.out) == left_out


def test_a_local_run_may_go_without_a_tool_that_is_not_there(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "BESIDE_PYTHON", str(project.path))
    monkeypatch.setenv("PATH", "/nowhere")
    project.policy('required = ["unit", "static_analysis"]\nlocal_optional = ["static_analysis"]')
    project.tests("def test_one(): pass\n")
    run = project.run()
    assert run.last_line == "GO (local; no evidence: static_analysis)"
    assert run.status == 0
    monkeypatch.setenv("CI", "1")
    assert project.run().last_line == "NO-GO"


@pytest.mark.parametrize("workers", ["0", "2"])
def test_every_configured_gate_answers_no_go_in_its_drill(project: Project, workers: str) -> None:
    project.policy('required = ["unit", "static_analysis", "kpi"]' + UNREAD)
    project.write("src/a.py", CLEAN)
    project.tests("def test_one(): pass\n@pytest.mark.kpi\ndef test_two(): open('ran', 'w')\n")
    run = project.plain("--artisan-drill", "-n", workers)
    assert run.status == 0, run.out
    assert "7 passed" in run.out
    for told in (
        r"unit::tests +a failure, a skip, an xfail, a NaN and an excess +NO-GO: all of 5",
        r"static_analysis::ruff +an undefined name and unused imports +NO-GO: ruff findings",
        r"static_analysis::mypy +a type error in every module +NO-GO: mypy errors",
        r"kpi::tests +a failure",
    ):
        assert re.search(told, run.out)
    assert not (project.path / "ran").exists(), "a drill runs no test of the project"


@pytest.mark.parametrize(
    ("files", "gate", "reason"),
    [
        ({"ruff.toml": "lint.select = []\n"}, "static_analysis", "ruff answered GO to a planted violation"),
        ({"mypy.ini": "[mypy]\nignore_errors = true\n"}, "static_analysis", "mypy answered GO to a planted violation"),
        ({"ruff.toml": 'exclude = ["*"]\n'}, "static_analysis", "ruff could not be drilled: ruff checks no file"),
    ],
)
def test_a_gate_that_can_not_fail_is_found_out(project: Project, files: dict[str, str], gate: str, reason: str) -> None:
    project.policy(f'required = ["{gate}"]')
    project.write("src/a.py", CLEAN)
    for name, text in files.items():
        project.write(name, text)
    run = project.plain("--artisan-drill", "--artisan-gates=static_analysis")
    assert run.status == 1
    assert reason in run.out


def test_checks_and_drills_bear_what_a_conftest_does_with_test_functions(project: Project) -> None:
    project.policy(POLICY + "ruff = []" + UNREAD)
    project.write("src/a.py", CLEAN)
    project.write(
        "conftest.py",
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                item.fixturenames.insert(0, "nothing")
                assert item.function.__doc__ is None and item.cls is None and item.module is None

        @pytest.fixture(autouse=True)
        def nothing():
            yield

        def pytest_runtest_setup(item):
            assert "nothing" in item.fixturenames
        """,
    )
    assert project.run().last_line == "GO"
    assert project.plain("--artisan-drill").status == 0


def test_a_check_without_a_drill_fails_it(project: Project) -> None:
    project.policy('required = ["licence"]')
    project.write(
        "conftest.py",
        """
        from pytest_artisan.gates import Check, CheckEvidence, Gate
        from pytest_artisan.verdict.evidence import measured

        def run(project, table):
            return CheckEvidence((measured("files without licence", 0, unit="count", at_most=0),))

        def pytest_artisan_gates(config):
            return Gate("licence", "every file has one", checks=(Check("headers", run),))
        """,
    )
    assert project.run().last_line == "GO"
    run = project.plain("--artisan-drill", "--artisan-gates=licence")
    assert run.status == 1
    assert "headers has no drill, so nothing shows that it can fail" in run.out


def test_a_drill_of_nothing_is_no_success(project: Project) -> None:
    project.policy('required = ["smoke"]')
    run = project.plain("--artisan-drill")
    assert run.status != 0
    assert re.search("smoke::tests +nothing +not configured: no test carries @pytest.mark.smoke", run.out)
