"""The CI workflow, the pull request template and the Dockerfile keep what the release strategy asks of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
TEMPLATE = ROOT / ".github" / "pull_request_template.md"
DOCKERFILE = ROOT / "Dockerfile"

GATED_JOBS = [
    "lint",
    "test",
    "artisan-critical-tests",
    "security",
    "load-smoke-test",
    "smoke-test",
    "docker-build",
]
CHECKLIST = {"Tests": 2, "Static analysis": 2, "Security": 2, "Performance": 2, "Code quality": 3}
PINNED = re.compile(r"(?P<action>[\w.-]+/[\w./-]+)@(?P<sha>[0-9a-f]{40}) # v\d+\.\d+\.\d+")


def workflow() -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    return loaded


def jobs() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = workflow()["jobs"]
    return found


def steps(job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = jobs()[job]["steps"]
    return found


def commands(job: str) -> str:
    return "\n".join(step["run"] for step in steps(job) if "run" in step)


def uses_lines() -> list[str]:
    text = WORKFLOW.read_text(encoding="utf-8")
    return [line.split("uses:", 1)[1].strip() for line in text.splitlines() if re.match(r"\s*(- )?uses:", line)]


def tool(name: str) -> str:
    """The tool installed beside this interpreter, or the first one on PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not installed; the dev dependency group has it")
    return found


# The workflow


def test_it_runs_for_pull_requests_main_and_the_merge_queue() -> None:
    triggers = workflow()[True]  # YAML 1.1 reads the key `on` as a boolean
    assert set(triggers) == {"pull_request", "push", "merge_group"}
    assert triggers["push"] == {"branches": ["main"]}


def test_it_holds_the_eight_jobs() -> None:
    assert list(jobs()) == [*GATED_JOBS, "summary"]


def test_nothing_is_permitted_by_default() -> None:
    assert workflow()["permissions"] == {}


@pytest.mark.parametrize("job", [*GATED_JOBS, "summary"])
def test_a_job_may_at_most_read_the_code_and_has_a_time_limit(job: str) -> None:
    assert jobs()[job]["permissions"] in ({}, {"contents": "read"})
    assert jobs()[job]["timeout-minutes"] <= 60


def test_only_superseded_pull_request_runs_are_cancelled() -> None:
    concurrency = workflow()["concurrency"]
    assert concurrency["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"
    assert "github.event.pull_request.number || github.run_id" in concurrency["group"]


def test_every_action_is_pinned_by_commit_with_its_version() -> None:
    lines = uses_lines()
    used = [step for job in jobs() for step in steps(job) if "uses" in step]
    assert len(lines) == len(used) > 0
    assert [line for line in lines if not PINNED.fullmatch(line)] == []


def test_an_action_has_one_version_everywhere() -> None:
    actions = {line.split("@", 1)[0] for line in uses_lines()}
    assert len(set(uses_lines())) == len(actions)


@pytest.mark.parametrize("job", GATED_JOBS)
def test_a_checkout_leaves_no_credentials_behind(job: str) -> None:
    checkouts = [step for step in steps(job) if step.get("uses", "").startswith("actions/checkout@")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


@pytest.mark.parametrize(
    ("job", "command"),
    [
        ("lint", "ruff check"),
        ("lint", "ruff format --check"),
        ("lint", "mypy"),
        ("lint", "lint-imports"),
        ("lint", "zizmor --offline .github"),
        ("test", "python -m pytest -n 2"),
        (
            "test",
            "python -m pytest --artisan-gates "
            "--artisan-report=verdict.json --artisan-report=verdict.md --artisan-report=verdict.sarif "
            "--artisan-report=verdict.html",
        ),
        ("security", "artisan audit environment --snapshot .artisan/advisories --pip-audit"),
        ("security", "python -m pytest --artisan-gates=security -v --maxfail=1"),
    ],
)
def test_a_job_runs_its_command(job: str, command: str) -> None:
    assert command in commands(job).splitlines()


def test_the_tests_run_on_every_supported_python() -> None:
    assert jobs()["test"]["strategy"]["matrix"]["python-version"] == ["3.11", "3.12", "3.13"]


def test_the_image_is_built_and_not_pushed() -> None:
    (build,) = [step for step in steps("docker-build") if step.get("uses", "").startswith("docker/build-push-action@")]
    assert build["with"]["push"] is False


# Gates with a step of their own


@pytest.mark.parametrize(
    ("job", "gate", "file", "minutes"),
    [
        ("artisan-critical-tests", "ensemble", "tests/test_llm_ensemble_operation.py", 10),
        ("artisan-critical-tests", "moga_stability", "tests/test_moga_stability.py", 15),
        ("artisan-critical-tests", "e2e_evolution", "tests/test_end_to_end_evolution.py", 20),
        ("load-smoke-test", "load_smoke", "loadtests/artisan.py", 5),
        ("smoke-test", "smoke", "tests/smoke_test.py", 5),
    ],
)
def test_a_gate_runs_within_its_limit(job: str, gate: str, file: str, minutes: int) -> None:
    command = f"python -m pytest --artisan-gates={gate} -v --maxfail=1"
    (step,) = [step for step in steps(job) if step.get("run") == command]
    assert step["timeout-minutes"] == minutes
    assert (ROOT / file).exists()
    assert "if" not in step


# The summary


def summarise(needs: object) -> subprocess.CompletedProcess[str]:
    """Run the script of the summary job, as its runner would, over the given results."""
    (step,) = steps("summary")
    assert step["shell"] == "python"
    assert "${{" not in step["run"], "an expression inside a script is an injection waiting for its input"
    environment = os.environ | step["env"] | {"NEEDS": json.dumps(needs)}
    return subprocess.run(
        [sys.executable, "-c", step["run"]], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def results(**changed: str) -> dict[str, dict[str, Any]]:
    changes = {job.replace("_", "-"): result for job, result in changed.items()}
    return {job: {"result": changes.get(job, "success"), "outputs": {}} for job in GATED_JOBS}


def test_the_summary_waits_for_every_other_job() -> None:
    summary = jobs()["summary"]
    assert summary["if"] == "always()"
    assert summary["needs"] == GATED_JOBS
    (step,) = steps("summary")
    assert step["env"] == {"EXPECTED": " ".join(GATED_JOBS), "NEEDS": "${{ toJSON(needs) }}"}


def test_the_summary_passes_when_every_job_succeeded() -> None:
    done = summarise(results())
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "GO: every job succeeded")


@pytest.mark.parametrize("job", GATED_JOBS)
@pytest.mark.parametrize("result", ["failure", "cancelled", "skipped", ""])
def test_the_summary_fails_when_a_job_did_not_succeed(job: str, result: str) -> None:
    done = summarise(results(**{job: result}))
    assert done.returncode == 1
    assert done.stderr.strip() == f"NO-GO: not a success: {job}"


@pytest.mark.parametrize("job", GATED_JOBS)
def test_the_summary_fails_when_a_job_is_missing(job: str) -> None:
    needs = results()
    del needs[job]
    assert summarise(needs).returncode == 1


@pytest.mark.parametrize("needs", [{}, None, [], {**results(), "extra": {"result": "failure"}}, {"lint": {}}])
def test_the_summary_fails_on_results_it_cannot_account_for(needs: object) -> None:
    assert summarise(needs).returncode != 0


# The pull request template


def boxes() -> dict[str, int]:
    """How many boxes stand below each heading that has any."""
    found: dict[str, int] = {}
    heading = ""
    for line in TEMPLATE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif re.match(r"\s*[-*+] \[.\]", line):
            found[heading] = found.get(heading, 0) + 1
    return found


def test_the_checklist_has_five_groups_and_eleven_boxes() -> None:
    assert boxes() == CHECKLIST
    assert sum(boxes().values()) == 11


@pytest.mark.parametrize("heading", ["What", "Why", "Rollback"])
def test_the_template_asks_for_the_reasons_and_the_way_back(heading: str) -> None:
    assert f"## {heading}" in TEMPLATE.read_text(encoding="utf-8").splitlines()


def test_no_box_is_ticked_beforehand() -> None:
    assert "[x]" not in TEMPLATE.read_text(encoding="utf-8").lower()


# The image


def instructions(keyword: str) -> list[str]:
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(keyword).strip() for line in lines if line.startswith(f"{keyword} ")]


def test_the_image_is_multi_stage_with_a_tagged_base() -> None:
    (base,) = instructions("ARG")
    assert re.fullmatch(r"PYTHON_IMAGE=python:\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    assert instructions("FROM") == ["${PYTHON_IMAGE} AS build", "${PYTHON_IMAGE}"]


def test_the_image_runs_the_command_without_root() -> None:
    assert int(instructions("USER")[-1]) > 0
    assert instructions("ENTRYPOINT") == ['["artisan"]']
    assert instructions("CMD") == ['["serve", "--host", "0.0.0.0"]']


# The linters of these files


def test_zizmor_finds_nothing_in_the_workflows() -> None:
    command = [tool("zizmor"), "--offline", "--no-progress", "--strict-collection", "--format", "json", ".github"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    command = [tool("hadolint"), "--format", "json", str(DOCKERFILE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert json.loads(done.stdout) == [], done.stderr
    assert done.returncode == 0
