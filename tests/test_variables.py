"""Variables say where an environment's things are, never what it allows; none is passed over."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from conftest import Project
from pytest_artisan.cli import main
from pytest_artisan.policy import load_policy
from pytest_artisan.release.environments import Environment, EnvironmentTable, chosen, environment_name, resolve
from pytest_artisan.release.variables import flat
from pytest_artisan.release.vault import Vault
from pytest_artisan.settings import SettingsError

POLICY = """
[tool.artisan.environments.stg]
base_url = "https://stg.example.test"
[tool.artisan.environments.stg.limits.load_smoke]
p95_ms = 3000
"""


def test_what_the_data_are_made_of_decides_whether_they_are_written_to() -> None:
    data = {"dev": "sample", "stg": "anonymised", "prod": "real"}
    for name, default in data.items():
        for stated in (None, *data.values()):
            for allow in (None, True, False):
                table = {"data": stated, "allow_writes": allow}
                found = resolved(name, {name: {key: value for key, value in table.items() if value is not None}})
                assert found.data == (stated or default)
                assert found.allow_writes == (found.data == "sample" if allow is None else allow)


def resolved(name: str, tables: dict[str, Any] | None = None) -> Environment:
    return chosen(environment_name(name), tables or {}, "pyproject.toml [tool.artisan]")


KEYS = {
    **dict.fromkeys(("base_url", "prometheus_url", "vault.url"), "https://one.test"),
    **dict.fromkeys(("database.password_env", "llm.key_env", "vault.token_env"), "OTHER_NAME"),
    **dict.fromkeys(("llm.fast_timeout_s", "llm.balanced_timeout_s", "llm.creative_timeout_s"), 2.5),
    **dict.fromkeys(("llm.hedge_after_s", "llm.cache_ttl_s"), 0.25),
    **dict.fromkeys(("database.host", "database.name", "database.user", "flags", "vault.mount", "vault.path"), "other"),
    **dict.fromkeys(("llm.qwen_model", "llm.mistral_model", "llm.llama_model"), "other"),
    "database.driver": "postgresql",
    "database.port": 5433,
    "llm.cache_url": "redis://one.test",
    "llm.response_format": "text",
}
TOGETHER = {
    "llm.qwen_endpoint": "http://q.test",
    "llm.mistral_endpoint": "http://m.test",
    "llm.llama_endpoint": "http://l.test",
    "llm.embedding_endpoint": "http://e.test",
    "llm.embedding_model": "e",
    "vault.role_id_env": "ROLE",
    "vault.secret_id_env": "SECRET",
}


@pytest.mark.parametrize(
    "values", [*({key: value} for key, value in KEYS.items()), TOGETHER], ids=lambda values: next(iter(values))
)
def test_a_variable_says_where_something_is(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = resolved("stg")
    for key, value in values.items():
        monkeypatch.setenv("ARTISAN_" + key.upper().replace(".", "__"), str(value))
    found = resolved("stg")
    assert found.overridden == values
    for key, value in values.items():
        assert attrgetter(key)(found.table) == value
        assert found.origin(key) == "ARTISAN_" + key.upper().replace(".", "__")
    assert plain.overridden == {}
    assert (found.data, found.allow_writes) == (plain.data, plain.allow_writes)


def test_every_key_but_what_is_allowed_has_its_variable() -> None:
    table = msgspec.to_builtins(EnvironmentTable(vault=Vault(), limits={"unit": {}}))
    keys = {key for key in flat(table) if key not in ("data", "allow_writes", "limits.unit", "traffic", "slots")}
    assert keys == {*KEYS, *TOGETHER}


def test_a_variable_comes_before_the_table_and_leaves_the_rest_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"stg": {"base_url": "https://file.test", "database": {"host": "file", "port": 1}}, "prod": {"flags": "f"}}
    monkeypatch.setenv("ARTISAN_DATABASE__HOST", "variable")
    found = resolved("stg", tables)
    assert (found.base_url, found.database.host, found.database.port) == ("https://file.test", "variable", 1)
    assert [found.origin(f"database.{key}") for key in ("host", "port", "name")] == [
        "ARTISAN_DATABASE__HOST",
        "pyproject.toml",
        "",
    ]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ARTISAN_DATABSE__HOST", "hunter2", "no key 'ARTISAN_DATABSE__HOST'; the nearest is 'ARTISAN_DATABASE__HOST'"),
        ("ARTISAN_TYPO", "1", "no key 'ARTISAN_TYPO'; "),
        ("ARTISAN_Base_url", "1", "no key 'ARTISAN_Base_url'; "),
        ("ARTISAN_DATABASE", "{}", "no key 'ARTISAN_DATABASE'; "),
        ("ARTISAN_DATABASE__HOST__X", "1", "no key 'ARTISAN_DATABASE__HOST__X'; "),
        ("ARTISAN_", "1", "no key 'ARTISAN_'; "),
        ("ARTISAN_DATABASE__PASSWORD", "hunter2", "the nearest is 'ARTISAN_DATABASE__PASSWORD_ENV'"),
        ("ARTISAN_ALLOW_WRITES", "true", "ARTISAN_ALLOW_WRITES: what an environment allows and runs is for its table"),
        ("ARTISAN_DATA", "sample", "ARTISAN_DATA: what an environment allows"),
        ("ARTISAN_LIMITS__LOAD_SMOKE__P95_MS", "9", "ARTISAN_LIMITS__LOAD_SMOKE__P95_MS: what an environment allows"),
        ("ARTISAN_DATABASE__PORT", "hunter2", "ARTISAN_DATABASE__PORT: expected int, got str"),
        ("ARTISAN_DATABASE__PORT", "65536", "ARTISAN_DATABASE__PORT: expected int <= 65535"),
        ("ARTISAN_LLM__FAST_TIMEOUT_S", "nan", "ARTISAN_LLM__FAST_TIMEOUT_S: "),
        ("ARTISAN_LLM__FAST_TIMEOUT_S", "1e999", "ARTISAN_LLM__FAST_TIMEOUT_S: "),
        ("ARTISAN_LLM__FAST_TIMEOUT_S", "inf", "ARTISAN_LLM__FAST_TIMEOUT_S: "),
        ("ARTISAN_DATABASE__DRIVER", "mysql", "ARTISAN_DATABASE__DRIVER: Invalid enum value 'mysql'"),
        ("ARTISAN_DATABASE__HOST", "", "ARTISAN_DATABASE__HOST: is empty"),
        ("ARTISAN_DATABASE__HOST", " ", "ARTISAN_DATABASE__HOST: is empty"),
        ("ARTISAN_DATABASE__HOST", "a\nb", "ARTISAN_DATABASE__HOST: is empty, or no text of one line"),
        ("ARTISAN_DATABASE__HOST", "a\udcff", "ARTISAN_DATABASE__HOST: is empty, or no text of one line"),
        ("ARTISAN_DATABASE__PASSWORD_ENV", "hunter2", "ARTISAN_DATABASE__PASSWORD_ENV: expected str matching"),
        ("ARTISAN_BASE_URL", "https://me:hunter2@a.test", "ARTISAN_BASE_URL: pyproject.toml [tool.artisan]"),
        ("ARTISAN_LLM__QWEN_ENDPOINT", "http://q.test", "llm names an endpoint for some members of the ensemble"),
    ],
)  # fmt: skip
def test_a_variable_that_can_not_be_meant_is_told_without_its_value(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        resolved("dev")
    assert told in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_variable_is_for_the_chosen_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prod = {"vault": {"role_id_env": "A", "secret_id_env": "B"}}
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text('[tool.artisan.environments.prod]\nvault = { role_id_env = "A", secret_id_env = "B" }')
    monkeypatch.setenv("ARTISAN_VAULT__TOKEN_ENV", "C")
    monkeypatch.setenv("ARTISAN_BASE_URL", "http://dev.test")
    assert load_policy(tmp_path).environment.base_url == "http://dev.test"
    assert resolve("prod", {"prod": prod}, "pyproject.toml").base_url is None
    with pytest.raises(
        SettingsError, match=r"^ARTISAN_BASE_URL, ARTISAN_VAULT__TOKEN_ENV: .* vault names both a token"
    ):
        load_policy(tmp_path, environment="prod")


def test_what_a_variable_changes_is_in_the_policys_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = [load_policy(tmp_path).digest]
    for name, value in (("BASE_URL", "http://a.test"), ("BASE_URL", "http://b.test"), ("DATABASE__PORT", "5433")):
        monkeypatch.setenv(f"ARTISAN_{name}", value)
        digests.append(load_policy(tmp_path).digest)
    assert len(set(digests)) == 4
    assert load_policy(tmp_path).digest == digests[-1]


def test_the_command_tells_where_a_setting_comes_from(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.policy(POLICY + '[tool.artisan.environments.stg.database]\nhost = "a\\u001bb-hunter22"')
    monkeypatch.chdir(project.path)
    monkeypatch.setenv("DB_PASSWORD_STG", "hunter22")
    monkeypatch.setenv("ARTISAN_DATABASE__PORT", "5433")
    assert main(["env", "show", "stg"]) == 0
    shown = capsys.readouterr().out.splitlines()
    for line in (
        "data = anonymised",
        "allow_writes = false",
        "base_url = https://stg.example.test (from pyproject.toml)",
        "database.host = a b-*** (from pyproject.toml)",
        "database.port = 5433 (from ARTISAN_DATABASE__PORT)",
        "database.name = artisan",
        "limits.load_smoke = {'p95_ms': 3000} (from pyproject.toml)",
        "database.password = *** (from DB_PASSWORD_STG)",
    ):
        assert line in shown
    monkeypatch.setenv("ARTISAN_DATABASE__PROT", "5433")
    assert main(["env", "show", "stg"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("artisan: ")
    assert told.err.count("\n") == 1
