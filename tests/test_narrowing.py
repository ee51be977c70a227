"""What was asked for instead of the whole project makes a run partial, however it was asked; a release is whole."""

from __future__ import annotations

import shlex

import pytest

from conftest import Project


def test_a_narrower_run_says_what_it_was_limited_to(project: Project) -> None:
    project.tests("def test_one(): pass")
    project.tests("def test_two(): pass", "sub/test_two.py")
    assert project.run("sub").last_line == "GO (partial: only sub)"
    assert project.run("--ignore=sub").last_line == "GO (partial: --ignore sub)"
    assert project.run(".").last_line == "GO"
    assert project.run("test_it.py::test_one").last_line == "GO (partial: only test_it.py::test_one)"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-o", "python_files=test_it.py"), "-o python_files=test_it.py"),
        (("-opython_files=test_it.py",), "-o python_files=test_it.py"),
        (("-qo", "python_files=test_it.py"), "-o python_files=test_it.py"),
        (("--override-ini=testpaths=.",), "-o testpaths=."),
        (("-calt.ini", "--rootdir=."), "-c alt.ini, --rootdir ."),
        (("-qc", "alt.ini", "--rootdir=."), "-c alt.ini, --rootdir ."),
        (("@arguments.txt",), "--ignore test_two.py"),
        (("--ignore-glob=*two.py",), "--ignore-glob *two.py"),
        (("--noconftest",), "--noconftest"),
        (("-p", "no:doctest"), "-p no:doctest"),
        (("--strict-markers", "-pno:cacheprovider"), ""),
    ],
)
@pytest.mark.parametrize("way", ["arguments", "variable"])
def test_options_that_narrow_the_collection_make_a_run_partial(
    project: Project, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str, way: str
) -> None:
    project.tests("def test_one(): pass")
    project.tests("def test_two(): pass", "test_two.py")
    project.write("alt.ini", "[pytest]\n")
    project.write("arguments.txt", "--ignore=test_two.py\n")
    if way == "variable":
        monkeypatch.setenv("PYTEST_ADDOPTS", shlex.join(arguments))
    run = project.run(*(arguments if way == "arguments" else ()))
    assert run.last_line == (f"GO (partial: {told})" if told else "GO")


@pytest.mark.parametrize(
    "addopts", ["--ignore=sub", "--ignore sub", "-opython_files=test_it.py", "-o python_files=test_it.py -p no:doctest"]
)
def test_what_the_projects_own_settings_leave_out_is_its_own_decision(project: Project, addopts: str) -> None:
    project.tests("def test_one(): pass")
    project.tests("def test_two(): assert 0", "sub/test_two.py")
    project.write("pytest.ini", f"[pytest]\naddopts = {addopts}\n")
    assert project.run().last_line == "GO"
    assert project.run("-o", "xfail_strict=true").last_line == "GO (partial: -o xfail_strict=true)"


def test_paths_that_a_plugin_changed_make_a_run_partial(project: Project) -> None:
    project.write("conftest.py", "def pytest_configure(config): config.args = ['test_it.py']\n")
    project.tests("def test_one(): pass")
    assert project.run().last_line == "GO (partial: only test_it.py)"


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("", "default policy (no [tool.artisan])"),
        ("[tools.artisan]\nrequired = ['unit', 'kpi']\n", "default policy (no [tool.artisan])"),
        ("[tool.artisan.unit]\nmin_items = 1\n", "policy of pyproject.toml"),
    ],
)
def test_a_release_goes_by_the_gates_that_its_policy_names(project: Project, policy: str, told: str) -> None:
    project.write("pyproject.toml", policy)
    project.tests("def test_one(): pass")
    assert project.run().last_line == "GO (local; no evidence: security)"
    run = project.plain("--artisan-gates", "--artisan-purpose=release")
    assert run.status == 4
    assert f"--artisan-purpose=release: {told} states no required gates" in run.err
