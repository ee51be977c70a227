"""`[tool.artisan]` becomes a typed policy, or one line that names the key."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_artisan.cli import main
from pytest_artisan.gates.registry import GATES
from pytest_artisan.policy import Policy, load_policy
from pytest_artisan.release.environments import get_config
from pytest_artisan.release.secrets import MASK, Masker, Secret
from pytest_artisan.settings import SettingsError, seconds
from pytest_artisan.verdict.decide import Expected, Purpose

Load = Callable[..., Policy]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ARTISAN_ENV", "DB_PASSWORD_DEV", "DB_PASSWORD_PROD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """The policy of a pyproject.toml with this text; a text that starts with no `[` belongs to [tool.artisan]."""

    def load_text(text: str, environment: str | None = None) -> Policy:
        head = "" if text.startswith(("[tool", "tool")) else "[tool.artisan]\n"
        (tmp_path / "pyproject.toml").write_text(head + text, encoding="utf-8")
        return load_policy(tmp_path, environment=environment)

    return load_text


DEFAULTS: dict[str, dict[str, Any]] = {
    "unit": {"min_items": 1},
    "static_analysis": {"ruff_findings": 0, "mypy_errors": 0},
    "ensemble": {
        "schema_failures": 0,
        "fast_p95_s": 2.5,
        "balanced_p95_s": 3.2,
        "creative_p95_s": 4.5,
        "session_limit": "10min",
    },
    "moga_stability": {
        "iterations": 10_000,
        "negatives": 0,
        "empties": 0,
        "over_limit": 0,
        "sum_deviation": 0.01,
        "session_limit": "15min",
    },
    "e2e_evolution": {"options": 3, "kl": 0.03, "rise": 0.1, "effect": 0.5, "session_limit": "20min"},
    "load_smoke": {"rps": 10, "duration": "30s", "p95_ms": 2500, "errors_pct": 1},
    "security": {"snapshot_days": 7, "critical": 0, "known_exploited": 0, "malware": 0, "unknown": "block"},
    "smoke": {"min_items": 1},
    "kpi": {
        "llm_fast_p95_s": 2.5,
        "llm_balanced_p95_s": 3.2,
        "llm_creative_p95_s": 4.5,
        "api_p95_s": 2.5,
        "api_p99_s": 5,
        "errors_pct": 1,
        "schema_failures": 0,
        "episode_return": 10,
        "kl": 0.03,
    },
    "migrations": {"config": "alembic.ini", "drop_days": 14, "timeout_s": 60},
    "pull_request": {
        "changed_lines": 400,
        "branch_age": "48h",
        "prefixes": ("feature/", "bugfix/", "hotfix/", "refactor/", "docs/"),
    },
}


@pytest.mark.parametrize("gate", DEFAULTS)
def test_the_defaults_are_the_numbers_of_the_release_strategy(gate: str, tmp_path: Path) -> None:
    table = load_policy(tmp_path).tables[gate]

    assert {key: getattr(table, key) for key in DEFAULTS[gate]} == DEFAULTS[gate]


def test_every_gate_has_its_defaults_checked() -> None:
    assert [gate.name for gate in GATES] == list(DEFAULTS)


# The text of a policy, and what its one line must say.
REFUSED = [
    ('requird = ["unit"]', "'requird'; the nearest is 'required'"),
    ("[tool.artisan.load_smok]\nrps = 1", "'load_smok'; the nearest is 'load_smoke'"),
    ("[tool.artisan.load_smoke]\np95_s = 2.5", "[tool.artisan.load_smoke] has no key 'p95_s'; the nearest is 'p95_ms'"),
    ("[tool.artisan.kpi]\napi_p95_ms = 2500", "'api_p95_ms'; the nearest is 'api_p95_s'"),
    ('expected = [{outcome = "skip", why = "w", itm = "a"}]', "expected has no key 'itm'; the nearest is 'item'"),
    ('[tool.artisan.environments.dev]\nbase_ulr = "x"', "'base_ulr'; the nearest is 'base_url'"),
    ('[tool.artisan.environments.dev.database]\nhots = "x"', "database has no key 'hots'; the nearest is 'host'"),
    ("[tool.artisan.environments.prod.limits.kpi]\nkll = 1", "'kll'; the nearest is 'kl'"),
    ("[tool.artisan.environments.prd]", "no key 'prd'; known: dev, stg, prod"),
    ('"a\\nb" = 1', "has no key"),
    ("[tool.artisan.ensemble]\nschema_failures = -1", "schema_failures"),
    ('[tool.artisan.load_smoke]\nrps = "10"', "rps: expected float, got str"),
    ("[tool.artisan.security]\ncritical = true", "critical: expected int, got bool"),
    ("[tool.artisan.security]\ncritical = 0.5", "critical: expected int, got float"),
    ("[tool.artisan.load_smoke]\np95_ms = nan", "p95_ms: nan is no limit"),
    ("[tool.artisan.load_smoke]\np95_ms = inf", "p95_ms: inf is no limit"),
    ('[tool.artisan.environments.dev.limits.kpi]\n"a\\nb" = nan', "a"),
    ("[tool.artisan.load_smoke]\nerrors_pct = 100.5", "errors_pct"),
    ("[tool.artisan.kpi]\nerrors_pct = -1", "errors_pct"),
    ("[tool.artisan.load_smoke]\nrps = 0", "rps"),
    ("[tool.artisan.load_smoke]\nrps = 1e308", "too large"),
    ("[tool.artisan.load_smoke]\nerrors_pct = 5e-324", "too small"),
    (f"[tool.artisan.pull_request]\nchanged_lines = {2**53}", "too large"),
    ('[tool.artisan.load_smoke]\nduration = "30"', "duration: '30' is no duration"),
    ('[tool.artisan.load_smoke]\nduration = "0s"', "duration: '0s' is no duration"),
    ('[tool.artisan.ensemble]\nsession_limit = "10 minutes"', "session_limit"),
    ('[tool.artisan.pull_request]\nbranch_age = "-2h"', "branch_age"),
    ("[tool.artisan.pull_request]\nprefixes = []", "prefixes is empty"),
    ('[tool.artisan.pull_request]\nbase = "HEAD~1"', "base 'HEAD~1' is no name of a branch, such as 'main'"),
    ("[tool.artisan.kpi]\napi_p95_s = 6", "api_p99_s 5 is below api_p95_s 6"),
    ("required = []", "required is empty"),
    ('required = "unit"', "required"),
    ('required = ["untit"]', "required: no gate 'untit'; known: unit, static_analysis"),
    ('local_optional = ["securty"]', "local_optional: no gate 'securty'"),
    ("[tool.artisan.environments.stg.limits.lod]\nrps = 1", "environments.stg.limits: no gate 'lod'"),
    ("[tool.artisan.static_analysis]\nruff = []\nmypy = []", "both switched off"),
    ('[tool.artisan.static_analysis]\nruff = ["--exit-zero"]', "'--exit-zero' is an option"),
    ('[tool.artisan.load_smoke]\nduration = "5s"', "sends 50 requests, too few to show a p95: at least 59 are needed"),
    (
        '[tool.artisan.load_smoke]\nduration = "29s"',
        "290 requests, too few to show errors of at most 1 %: at least 299",
    ),
    ('expected = [{outcome = "skip", why = "w"}]', "expected[0] matches every skip"),
    ('expected = [{outcome = "skip", why = "w", item = "**", reason = "?*"}]', "expected[0] matches every skip"),
    ('expected = [{outcome = "skip", item = "a"}]', "why"),
    ('expected = [{outcome = "skip", item = "a", why = ""}]', "why"),
    ('expected = [{outcome = "sk\\nip", item = "a", why = "w"}]', "outcome"),
    ("expected = [5]", "expected"),
    ("unit = 5", "expected a table, got int"),
    ("environments = 5", "environments"),
    ("environments = {dev = 5}", "environments.dev: expected a table, got int"),
    ("[tool]\nartisan = 5", "expected a table, got int"),
    ("tool = 5", "expected a table, got int"),
    ("required = [", "pyproject.toml"),
]


@pytest.mark.parametrize(("text", "told"), REFUSED, ids=[f"{row}-{told:.30}" for row, (_, told) in enumerate(REFUSED)])
def test_a_policy_that_can_not_be_meant_is_refused_in_one_line(text: str, told: str, load: Load) -> None:
    with pytest.raises(SettingsError) as error:
        load(text)

    line = str(error.value)
    assert told in line
    assert "pyproject.toml" in line
    assert line.isprintable()


def test_a_file_that_is_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff")

    with pytest.raises(SettingsError, match=r"^pyproject\.toml: .+$"):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("30s", 30), ("1.5 min", 90), ("48h", 172_800)],
)
def test_a_duration_is_a_number_and_its_unit(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_what_the_policy_asks_reaches_the_decision(load: Load) -> None:
    policy = load(
        'required = ["unit", "kpi"]\nlocal_optional = ["kpi"]\n'
        'expected = [{outcome = "skip", item = "*gpu*", why = "no GPU"}]\n'
        "[tool.artisan.unit]\nmin_items = 7"
    )
    asked = policy.requirements(Purpose.MERGE, (), ("-k x",), ())

    assert asked.required == ("unit", "kpi")
    assert asked.local_optional == ("kpi",)
    assert asked.expected == (Expected("skip", "no GPU", "*gpu*", "*"),)
    assert asked.min_items == {"unit": 7, "kpi": 1}
    assert asked.partial == ("-k x",)
    assert asked.left_out["smoke"] == "not required by the policy"
    assert (asked.policy_digest, asked.environment) == (policy.digest, "dev")


URLS = [
    ("not an address", "is no http or https address", ()),
    ("ftp://host/", "is no http or https address", ()),
    ("http://", "is no http or https address", ()),
    ("http://[::1", "is no http or https address", ()),
    ("http://host:99999", "is no http or https address", ()),
    ("https://ann:hunter22@host/", "must not hold credentials", ("ann", "hunter22")),
    ("https://ann@host/", "must not hold credentials", ("ann",)),
    ("ftp://ann:hunter22@host/", "must not hold credentials", ("ann", "hunter22")),
    ("ann:hunter22@host", "must not hold credentials", ("ann", "hunter22")),
    ("http://ann:hunter22@", "must not hold credentials", ("ann", "hunter22")),
    ("http://a b", "is no http or https address", ()),
    ("http://host/?key=hunter22", "must not hold a query", ("hunter22",)),
    ("http://host/#hunter22", "must not hold a query", ("hunter22",)),
]


@pytest.mark.parametrize("key", ["base_url", "prometheus_url", "llm.qwen_endpoint"])
@pytest.mark.parametrize(("url", "told", "hidden"), URLS, ids=[url for url, _, _ in URLS])
def test_an_address_is_plain_http_and_its_error_repeats_no_credential(
    key: str, url: str, told: str, hidden: tuple[str, ...], load: Load
) -> None:
    with pytest.raises(SettingsError, match=told) as error:
        load(f'[tool.artisan.environments.stg]\n{key} = "{url}"')

    assert key.rpartition(".")[2] in str(error.value)
    assert not [word for word in hidden if word in str(error.value)]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "https://host/@v1", "http://[::1]:80/"])
def test_a_plain_address_is_taken(url: str, load: Load) -> None:
    assert load(f'[tool.artisan.environments.dev]\nbase_url = "{url}"').environment.base_url == url


def test_an_environment_has_its_own_limits(load: Load) -> None:
    text = "[tool.artisan.load_smoke]\nrps = 20\n[tool.artisan.environments.prod.limits.load_smoke]\np95_ms = 1500"
    dev, prod = load(text).tables["load_smoke"], load(text, "prod").tables["load_smoke"]

    assert (getattr(dev, "rps", None), getattr(dev, "p95_ms", None)) == (20, 2500)
    assert (getattr(prod, "rps", None), getattr(prod, "p95_ms", None)) == (20, 1500)


@pytest.mark.parametrize(
    ("option", "variable", "told"),
    [
        ("prd", "dev", "environment=prd: no such environment; known: dev, stg, prod"),
        ("", "dev", "environment=: no such environment; known: dev, stg, prod"),
        (None, "", "ARTISAN_ENV=: no such environment; known: dev, stg, prod"),
        (None, "live", "ARTISAN_ENV=live: no such environment; known: dev, stg, prod"),
        (None, "a\nb", "ARTISAN_ENV=a b"),
    ],
)
def test_an_unknown_environment_is_named_with_the_known_ones(
    option: str | None, variable: str, told: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTISAN_ENV", variable)

    with pytest.raises(SettingsError) as error:
        load("", option)
    assert told in str(error.value)


@pytest.mark.parametrize(("text", "told"), [("environments = 5", "environments"), ("[tool]\nartisan = 5", "table")])
def test_get_config_refuses_what_is_no_table(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text if text.startswith("[") else f"[tool.artisan]\n{text}")

    with pytest.raises(SettingsError, match=told):
        get_config("dev", tmp_path)


@pytest.mark.parametrize(("environment", "reference"), [("dev", "DB_PASSWORD_DEV"), ("prod", "DB_PASSWORD_PROD")])
def test_a_secret_is_found_by_reference_and_never_shown(
    environment: str,
    reference: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    policy = f'[tool.artisan.environments.{environment}.llm]\nkey_env = "LLM_KEY"\n'
    (tmp_path / "pyproject.toml").write_text(policy)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(reference, "hunter22")
    monkeypatch.setenv("LLM_KEY", "sk-4711")
    found = get_config(environment)

    status = main(["env", "show", environment])
    shown = capsys.readouterr().out
    assert status == 0
    assert found.secrets["database.password_env"].reveal() == "hunter22"
    assert f"database.password = {MASK} (from {reference})" in shown
    assert f"llm.key = {MASK} (from LLM_KEY)" in shown
    for text in (shown, repr(found), repr(found.secrets), str(found.secrets["llm.key_env"])):
        assert "hunter22" not in text
        assert "sk-4711" not in text


def test_a_secret_that_is_not_set_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")

    assert Secret("EMPTY").masked() == "(not set) (from EMPTY)"
    with pytest.raises(LookupError, match="EMPTY"):
        Secret("EMPTY").reveal()


def test_a_masker_finds_a_secret_anywhere_in_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "hunter22")
    monkeypatch.setenv("B", "hunter22-and-more")
    monkeypatch.setenv("SHORT", "abc")
    masker = Masker([Secret("A"), Secret("B"), Secret("SHORT"), Secret("UNSET")])
    tree = {"hunter22": ["x hunter22-and-more", ("hunter22", 3)], "abc": None}

    assert masker.tree(tree) == {MASK: [f"x {MASK}", (MASK, 3)], "abc": None}


def test_the_digest_is_the_same_whatever_the_order_of_the_keys(load: Load) -> None:
    parts = ["[tool.artisan.kpi]\nkl = 0.02\nepisode_return = 11", "[tool.artisan.load_smoke]\nrps = 20\np95_ms = 900"]
    turned = [
        "[tool.artisan.load_smoke]\np95_ms = 900.0\nrps = 20",
        "[tool.artisan.kpi]\nepisode_return = 11\nkl = 2e-2",
    ]

    assert load("\n".join(parts)).digest == load("\n".join(turned)).digest
    assert re.fullmatch("[0-9a-f]{64}", load("").digest)


_OTHER = {
    "subject": "package.module:factory",
    "locustfile": "load.py",
    "arrivals": "poisson",
    "early_stop": True,
    "snapshot": "a",
    "osv_url": "http://127.0.0.1:1",
    "pip_audit": True,
    "canaries": {"critical": "a==1", "clean": "a==2", "malware": "b==1"},
    "unaudited": [{"name": "a", "reason": "ours", "expires": "2026-12-24"}],
    "sbom": "sbom.json",
    "base": "main",
    "sbom_version": "1.7",
    "queries": {"api": {"query": "q", "newest": "n"}},
    "waivers": "a.toml",
    "kev": "a.json",
    "postgresql_env": "SERVER_URL",
    "dual_write": [{"table": "a", "old": "b", "new": "c", "write": "package.module:function"}],
    "unknown": "pass",
}


def other(key: str, value: object) -> object:
    """Another value for this key that every table takes."""
    if key in _OTHER:
        return _OTHER[key]
    if isinstance(value, str):
        return "77min"
    if isinstance(value, float) and 0 < value < 1:
        return value / 2
    if isinstance(value, int | float):
        return value + 1 if value else 1
    return {"other": 1} if isinstance(value, dict) else ["other"]


def as_toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {as_toml(entry)}' for key, entry in value.items())} }}"
    return f"[{', '.join(map(as_toml, value))}]" if isinstance(value, list) else json.dumps(value)


LIMITS = [(gate.name, field.name) for gate in GATES for field in msgspec.structs.fields(gate.table)]


@pytest.mark.parametrize(("gate", "key"), LIMITS)
def test_the_digest_changes_with_any_limit(gate: str, key: str, load: Load) -> None:
    before = load("")
    value = as_toml(other(key, getattr(before.tables[gate], key)))

    assert load(f"[tool.artisan.{gate}]\n{key} = {value}").digest != before.digest


@pytest.mark.parametrize(
    "text",
    ['required = ["unit"]', 'local_optional = ["kpi"]', 'expected = [{outcome = "skip", item = "a", why = "w"}]'],
)
def test_the_digest_changes_with_what_is_asked(text: str, load: Load) -> None:
    assert load(text).digest != load("").digest
    assert load("", "prod").digest != load("", "dev").digest
