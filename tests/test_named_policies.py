"""A policy of a name: fewer gates, never none, with a digest of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from release_house import MINE
from sound_project import SECURITY, make_sound

from conftest import Project
from pytest_artisan.cli import main
from pytest_artisan.policy import FLOOR, Policy, compared, load_policy
from pytest_artisan.reports.machine import Document
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.decide import Purpose

Load = Callable[..., Policy]
NAMED = 'required = ["unit", "security", "smoke"]'
NIGHTLY = f'required = ["unit"]\n[tool.artisan.policies.nightly]\n{NAMED}\n'
TESTS = """
def test_one(): pass
@pytest.mark.smoke
def test_it_answers(): pass
@pytest.mark.kpi
def test_of_a_gate_that_it_does_not_ask_for(): assert 1 == 2
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.delenv("ARTISAN_ENV", raising=False)

    def load_text(text: str, name: str = "", environment: str = "dev") -> Policy:
        (tmp_path / "pyproject.toml").write_text(f"[tool.artisan]\n{text}", encoding="utf-8")
        return load_policy(tmp_path, environment=environment, name=name)

    return load_text


def test_a_hotfix_needs_no_configuration(tmp_path: Path) -> None:
    policy = load_policy(tmp_path, name="hotfix")

    assert policy.core.required == ("unit", "static_analysis", "security", "smoke")
    assert policy.source == "default policy hotfix (no [tool.artisan])"
    assert policy.digest != load_policy(tmp_path).digest


REFUSED = [
    ("[tool.artisan.policies.a]", "policies.a: Object missing required field required"),
    ("[tool.artisan.policies.a]\nrequired = []", "policies.a required leaves out unit, security, smoke"),
    ('[tool.artisan.policies.hotfix]\nrequired = ["unit", "smoke"]', "policies.hotfix required leaves out security"),
    ('[tool.artisan.policies.a]\nrequired = ["unit", "security"]', "leaves out smoke; no policy asks for less than"),
    ('[tool.artisan.policies.a]\nrequired = "unit"', "policies.a required"),
    ('[tool.artisan.policies.a]\nrequired = ["unit", "security", "smoke", "x"]', "policies.a.required: no gate 'x'"),
    (f"[tool.artisan.policies.a]\n{NAMED}\nexpected = []", "policies.a has no key 'expected'"),
    (f"[tool.artisan.policies.a]\n{NAMED}\nlimits.lod.rps = 1", "policies.a.limits: no gate 'lod'"),
    (f"[tool.artisan.policies.a]\n{NAMED}\nlimits.kpi.kll = 1", "'kll'; the nearest is 'kl'"),
    (f"[tool.artisan.policies.a]\n{NAMED}\nlimits.kpi.kl = nan", "nan is no limit"),
    (f"[tool.artisan.policies.a]\n{NAMED}\nlimits = 5", "policies.a limits"),
    (f"[tool.artisan.policies.A]\n{NAMED}", "'A' is no name"),
    (f'[tool.artisan.policies."a\\nb"]\n{NAMED}', "is no name"),
    ('[tool.artisan.policies.""]', "'' is no name"),
    ("policies = 5", "policies"),
    ("[tool.artisan.policies]\nhotfix = 5", "policies.hotfix: expected a table, got int"),
]


@pytest.mark.parametrize(("text", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_a_named_policy_that_can_not_be_meant_is_refused_whatever_is_asked_for(
    text: str, told: str, load: Load
) -> None:
    with pytest.raises(SettingsError) as error:
        load(text)

    assert told in str(error.value)
    assert str(error.value).startswith("pyproject.toml [tool.artisan")


@pytest.mark.parametrize(
    ("name", "told"), [("hotfx", "=hotfx: no such policy; known: hotfix, nightly"), ("a\nb", "=a b: no such policy")]
)
def test_an_unknown_name_is_told_with_the_known_ones(name: str, told: str, load: Load) -> None:
    with pytest.raises(SettingsError) as error:
        load(NIGHTLY, name)

    assert told in str(error.value)


def test_what_it_asks_reaches_the_decision(load: Load) -> None:
    policy = load(NIGHTLY, "nightly")
    asked = policy.requirements(Purpose.RELEASE, (), (), ())

    assert asked.required == FLOOR
    assert asked.policy_digest == policy.digest
    assert asked.policy == "nightly"
    assert asked.left_out["load_smoke"] == "not required by the policy nightly"


def test_its_limits_stand_over_those_of_the_environment(load: Load) -> None:
    text = (
        f"[tool.artisan.kpi]\nkl = 0.01\nepisode_return = 11\n"
        f"[tool.artisan.environments.prod.limits.kpi]\nkl = 0.02\napi_p95_s = 1\n"
        f"[tool.artisan.policies.nightly]\n{NAMED}\nlimits.kpi.kl = 0.025"
    )
    named, main_one = (load(text, name, "prod").tables["kpi"] for name in ("nightly", ""))

    assert [getattr(named, key) for key in ("kl", "episode_return", "api_p95_s")] == [0.025, 11, 1]
    assert getattr(main_one, "kl", None) == 0.02


@pytest.mark.parametrize("environment", ["stg", "prod"])
def test_a_limit_that_is_wrong_in_another_environment_alone_is_found_in_dev(environment: str, load: Load) -> None:
    load(f"[tool.artisan.policies.nightly]\n{NAMED}\nlimits.kpi.api_p95_s = 4")
    with pytest.raises(SettingsError, match="api_p99_s 3 is below api_p95_s 4"):
        load(
            f"[tool.artisan.environments.{environment}.limits.kpi]\napi_p99_s = 3\n"
            f"[tool.artisan.policies.nightly]\n{NAMED}\nlimits.kpi.api_p95_s = 4"
        )


def test_its_digest_is_its_own(load: Load) -> None:
    seen = [load(NIGHTLY, name).digest for name in ("", "nightly", "hotfix")]
    looser = NIGHTLY + "limits.kpi.kl = 0.02"

    assert len(set(seen)) == 3
    assert load(looser, "nightly").digest != seen[1], "its limits are part of it"
    assert [load(looser, name).digest for name in ("", "hotfix")] == [seen[0], seen[2]], "and of no other"
    assert load(f"{NIGHTLY}[tool.artisan.kpi]\nkl = 0.02", "nightly").digest != seen[1]


def test_security_is_asked_as_the_base_asked_under_that_name(load: Load, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)  # noqa: S607

    load(f"{NIGHTLY}limits.security.critical = 1")
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "base")
    policy = compared(load(f"{NIGHTLY}limits.security.critical = 9", "nightly"), "main")

    assert getattr(policy.tables["security"], "critical", None) == 1
    assert policy.name == "nightly"
    with pytest.raises(
        SettingsError, match=r"--artisan-base=main: --artisan-policy=new: no such policy; known: hotfix"
    ):
        compared(load(NIGHTLY.replace("nightly", "new"), "new"), "main")


ADDED = [
    "",
    'required = ["unit", "mine"]',
    "[tool.artisan.mine]\nrate = 2",
    "[tool.artisan.environments.dev.limits.mine]\nrate = 3",
    f"[tool.artisan.policies.nightly]\n{NAMED[:-1]}, 'mine']\nlimits.mine.rate = 4",
]


def test_a_command_that_knows_no_plugin_comes_to_the_digest_of_a_session(tmp_path: Path) -> None:
    path, seen = tmp_path / "pyproject.toml", set[str]()
    for text in ADDED:
        path.write_text(f"[tool.artisan]\n{text}", encoding="utf-8")
        name = "nightly" if "nightly" in text else ""
        digest = load_policy(tmp_path, [MINE], "dev", name).digest
        assert load_policy(tmp_path, None, "dev", name).digest == digest
        seen.add(digest)
    assert len(seen) == len(ADDED), "what the file says of a plugin's gate counts"


@pytest.mark.parametrize("value", ["nan", "1e999", str(2**60)])
def test_what_no_digest_can_hold_is_refused_of_any_gate(value: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        f"[tool.artisan.mine]\nrate = [{value}]\nday = 2026-11-24", encoding="utf-8"
    )
    with pytest.raises(SettingsError, match=r"pyproject.toml \[tool.artisan\] mine rate: "):
        load_policy(tmp_path, None)
    (tmp_path / "pyproject.toml").write_text("[tool.artisan.mine]\nday = 2026-11-24", encoding="utf-8")
    assert load_policy(tmp_path, None).digest


@pytest.fixture
def named(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that meets its named policy, and of the main one not even the tests."""
    monkeypatch.chdir(project.path)
    make_sound(project)
    project.policy(f'required = ["unit", "kpi"]\n{SECURITY}\n[tool.artisan.policies.nightly]\n{NAMED}')
    project.tests(TESTS)
    return project


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["alone", "workers"])
def test_a_session_judges_by_the_named_policy_and_says_so(options: tuple[str, ...], named: Project) -> None:
    run = named.run("--artisan-policy=nightly", "--artisan-purpose=release", *options)

    assert run.status == 0, run.out
    assert run.verdict is not None
    assert (run.verdict.policy, run.verdict.partial, run.last_line) == ("nightly", (), "GO")
    assert [gate.name for gate in run.verdict.gates] == ["unit", "security", "smoke"], "what it leaves out does not run"
    assert run.verdict.left_out["kpi"] == "not required by the policy nightly"
    assert run.verdict.policy_digest == load_policy(named.path, name="nightly").digest
    assert "policy nightly of pyproject.toml sha256:" in run.out


def test_the_main_policy_is_another_one(named: Project) -> None:
    run = named.run("--artisan-purpose=release")

    assert run.last_line == "NO-GO"
    assert run.verdict is not None
    assert run.verdict.policy == ""


def test_a_named_policy_is_judged_by_the_rules_of_any(named: Project) -> None:
    named.tests("def test_one(): assert 1 == 2\n" + TESTS.replace("def test_one(): pass", ""))
    assert "unit|" in named.run("--artisan-policy=nightly").told
    named.tests(TESTS.replace("@pytest.mark.smoke", ""))
    assert "smoke|" in named.run("--artisan-policy=nightly").told


def test_a_journal_rebuilds_the_verdict_with_its_policy(named: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run = named.run("--artisan-policy=nightly", "--artisan-journal=journal.jsonl")
    assert main(["report", "journal.jsonl", "--output=again.json"]) == 0
    assert msgspec.json.decode((named.path / "again.json").read_bytes(), type=Document).verdict == run.verdict


def test_a_part_of_a_named_policy_is_partial(named: Project) -> None:
    run = named.run("--artisan-policy=nightly", gates="--artisan-gates=unit")

    assert run.last_line == "GO (partial: unit)"


def test_drills_are_of_the_gates_that_it_asks_for(named: Project) -> None:
    run = named.plain("--artisan-gates", "--artisan-drill", "--artisan-policy=nightly", "--collect-only", "-q")

    drilled = [line.split("::")[2] for line in run.out.splitlines() if line.startswith("artisan::drill::")]
    assert list(dict.fromkeys(drilled)) == ["unit", "security", "smoke"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--artisan-policy=nightly",), "--artisan-policy needs --artisan-gates"),
        (("--artisan-gates", "--artisan-policy=nightl"), "=nightl: no such policy; known: hotfix, nightly"),
    ],
    ids=["no gates", "unknown"],
)
def test_what_can_not_be_asked_for_is_a_usage_error(options: tuple[str, ...], told: str, named: Project) -> None:
    run = named.plain(*options)

    assert (run.status, run.verdict) == (4, None)
    assert told in run.err


def test_a_release_needs_gates_that_the_project_itself_states(project: Project) -> None:
    project.tests(TESTS)
    project.policy("")
    run = project.run("--artisan-policy=hotfix", "--artisan-purpose=release")

    assert run.status == 4
    assert "states no required gates" in run.err
