"""Passwords from Vault: read as its API says, told in one line where not, and never shown.

Held against a stand-in, and, where VAULT_ADDR and VAULT_TOKEN are set, its first tests against that server too.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import hvac
import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from vault_by_contract import ROLE, SECRET, FakeVault

from conftest import Project
from pytest_artisan.cli import main
from pytest_artisan.loopback import served
from pytest_artisan.release import vault as vaults
from pytest_artisan.release.environments import EnvironmentTable, Name, resolve
from pytest_artisan.release.passwords import DEV_PASSWORD
from pytest_artisan.release.secrets import MASK, Masker, Secret
from pytest_artisan.release.vault import Vault, read
from pytest_artisan.service.databases import address_of
from pytest_artisan.settings import SettingsError, convert

VALUE, PATH = "pw-of-stg-0815", "artisan/stg/db"
REAL = os.environ.get("VAULT_ADDR"), os.environ.get("VAULT_TOKEN", "")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("VAULT_ADDR", "VAULT_TOKEN", "DB_PASSWORD_DEV", "DB_PASSWORD_STG", "DB_PASSWORD_PROD", "ARTISAN_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[str, FakeVault]]:
    fake = FakeVault()
    with served(fake.app) as url:
        yield url, fake


@pytest.fixture
def fake(running: tuple[str, FakeVault], monkeypatch: pytest.MonkeyPatch) -> FakeVault:
    """One that holds the password, at VAULT_ADDR, with the right token in VAULT_TOKEN."""
    url, fake = running
    vars(fake).update(vars(FakeVault(versions={PATH: [{"password": "an-older-one"}, {"password": VALUE}]})))
    monkeypatch.setenv("VAULT_ADDR", url)
    monkeypatch.setenv("VAULT_TOKEN", fake.token)
    return fake


@pytest.fixture(params=["fake", "real"] if REAL[0] else ["fake"])
def client(request: pytest.FixtureRequest, fake: FakeVault, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client that writes, of a server that VAULT_ADDR names."""
    if request.param == "real":
        monkeypatch.setenv("VAULT_ADDR", str(REAL[0]))
        monkeypatch.setenv("VAULT_TOKEN", REAL[1])
    client = hvac.Client(url=os.environ["VAULT_ADDR"], token=os.environ["VAULT_TOKEN"])
    yield client.secrets.kv.v2
    client.session.close()


def fault(vault: Vault, path: str = PATH) -> str:
    with pytest.raises(LookupError) as raised:
        read(vault, path)
    told = str(raised.value)
    for secret in (VALUE, "hvs.", SECRET, ROLE):
        assert secret not in told
    assert told.isprintable()
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    return told


def test_the_newest_version_is_read(client: Any) -> None:
    for password in ("one-of-two", "zwei-schlüssel-日本 \"'\\"):
        client.create_or_update_secret("artisan-test/db", {"password": password})
    assert read(Vault(), "artisan-test/db") == password


def test_a_deleted_version_is_none(client: Any) -> None:
    client.create_or_update_secret("artisan-test/gone", {"password": VALUE})
    client.delete_latest_version_of_secret("artisan-test/gone")
    assert "secret/artisan-test/gone: has nothing there any more (404): its newest version was deleted" in fault(
        Vault(), "artisan-test/gone"
    )


def test_what_is_not_there_is_told(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "secret/artisan-test/none: has nothing there (404)" in fault(Vault(), "artisan-test/none")
    client.create_or_update_secret("artisan-test/other", {"passwort": VALUE})
    assert "the field password of its answer is missing" in fault(Vault(), "artisan-test/other")
    monkeypatch.setenv("VAULT_TOKEN", "hvs.wrong")
    assert "forbids it (403)" in fault(Vault(), "artisan-test/db")


APPROLE = Vault(role_id_env="ROLE", secret_id_env="SECRET_ID")  # noqa: S106  # its name


def test_an_approle_opens_it(fake: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLE", ROLE)
    assert fault(APPROLE) == "the environment variable SECRET_ID is not set"
    monkeypatch.setenv("SECRET_ID", SECRET)
    assert read(APPROLE, PATH) == VALUE
    assert fake.asked == ["POST /v1/auth/approle/login", f"GET /v1/secret/data/{PATH}"]
    assert fake.tokens == [None, fake.token], "the one in VAULT_TOKEN is not what the AppRole's id is for"
    monkeypatch.setenv("SECRET_ID", "hvs.no")
    assert "AppRole: refuses the request (400)" in fault(APPROLE)
    fake.answer = JSONResponse({"auth": None})
    assert "AppRole: the field client_token of its answer is missing" in fault(APPROLE)


def _with(password: object) -> Response:
    return JSONResponse({"data": {"data": {"password": password}}})


def _refusal(status: int) -> Response:
    return JSONResponse({"errors": [f"\x1b[31m{VALUE} hvs.root-4711"]}, status)


ANSWERS: dict[str, tuple[Response, str]] = {
    "400": (_refusal(400), "refuses the request (400)"),
    "401": (_refusal(401), "refuses the credentials (401)"),
    "403": (_refusal(403), "forbids it (403)"),
    "429": (_refusal(429), "is asked too often (429)"),
    "500": (_refusal(500), "has failed inside (500)"),
    "501": (_refusal(501), "is not initialised (501)"),
    "502": (_refusal(502), "is not reached by what stands before it (502)"),
    "418": (_refusal(418), "gives an answer that can not be read (UnexpectedError)"),
    "a list of errors": (JSONResponse([VALUE], 403), "can not be read (AttributeError)"),
    "errors of another kind": (JSONResponse({"errors": [{"a": VALUE}]}, 403), "can not be read (TypeError)"),
    "redirect": (RedirectResponse("https://elsewhere.test/v1"), "sends elsewhere, and no redirect is followed"),
    "HTML": (Response(f"<html>{VALUE}"), "gives an answer that is no JSON"),
    "deep": (Response(b"[" * 200_000), "gives an answer that can not be read (RecursionError)"),
    "nothing": (Response(status_code=204), "gives an answer that is no JSON"),
    "a list": (JSONResponse([VALUE]), "gives an answer that is no JSON"),
    "a text": (JSONResponse({"data": VALUE}), "the field password of its answer is missing"),
    "version 1": (JSONResponse({"data": {"password": VALUE}}), "the field password of its answer is missing"),
    "empty": (_with(""), "the field password of its answer is empty"),
    "a number": (_with(4711), "the field password of its answer is no text of one line"),
    "texts": (_with([VALUE]), "the field password of its answer is no text of one line"),
    "two lines": (_with(f"{VALUE}\n"), "the field password of its answer is no text of one line"),
    "half a character": (Response(rb'{"data": {"data": {"password": "\ud800"}}}'), "is no text of one line"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_without_a_password_is_told_in_one_line(name: str, fake: FakeVault) -> None:
    fake.answer, told = ANSWERS[name]
    assert told in fault(Vault())
    tables = {"dev": {"vault": {"path": PATH}, "database": {"driver": "postgresql"}}}
    with pytest.raises(SettingsError, match="DB_PASSWORD_DEV is not set, and Vault does not help"):
        address_of(resolve("dev", tables, "pyproject.toml"))


def test_a_sealed_vault_is_told(fake: FakeVault) -> None:
    fake.sealed = True
    assert "is sealed, or down for maintenance (503)" in fault(Vault())


def test_no_redirect_carries_a_token_away(fake: FakeVault) -> None:
    other = FakeVault(token=fake.token)
    with served(other.app) as url:
        fake.answer = RedirectResponse(f"{url}/v1/secret/data/{PATH}", 307)
        assert "sends elsewhere" in fault(Vault())
    assert other.asked == []


async def _drip() -> Any:
    import asyncio

    for _ in range(40):
        yield b" "
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("drips", [False, True])
def test_who_waits_for_vault_waits_no_longer_than_its_time(
    drips: bool, fake: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vaults, "_TIMEOUT_S", 0.2)
    fake.delay_s, fake.answer = (0.0, StreamingResponse(_drip())) if drips else (0.6, None)
    began = time.monotonic()
    assert "gives no answer in time" in fault(Vault())
    assert time.monotonic() - began < 0.5


def test_a_vault_on_this_machine_is_asked_past_any_proxy(fake: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert read(Vault(), PATH) == VALUE


def test_nobody_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "hvs.4711")
    assert "can not be reached (ConnectionError)" in fault(Vault(url="http://127.0.0.1:1"))


def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)

    pem, key, openssl = tmp_path / "a.pem", tmp_path / "a.key", shutil.which("openssl")
    assert openssl is not None
    made = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=a -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([openssl, *made.split(), "-keyout", key, "-out", pem], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("VAULT_TOKEN", "hvs.4711")
        try:
            assert "does not prove by TLS who it is" in fault(Vault(url=f"https://127.0.0.1:{server.server_port}"))
        finally:
            server.shutdown()
    assert seen == []


def test_a_token_in_the_users_home_is_not_taken(
    fake: FakeVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    (tmp_path / ".vault-token").write_text(fake.token)
    assert fault(Vault()) == "the environment variable VAULT_TOKEN is not set"
    assert fake.asked == []


@pytest.mark.parametrize("token", ["hvs.two\nlines", "hvs.schlüssel-日本", "hvs.\udcff"])
def test_a_token_that_no_header_can_hold_is_told(token: str, fake: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", token)
    assert f"secret/{PATH}: " in fault(Vault())


def test_the_extra_is_named_where_it_is_missing(fake: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hvac", None)
    assert fault(Vault()) == "hvac is not installed; pip install 'pytest-artisan[vault]'"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"url": "http://vault.test"}, "http://vault.test' would carry secrets in the open"),
        ({"url": "https://u:p@vault.test"}, "must not hold credentials"),
        ({"url": "vault.test:8200"}, "is no http or https address"),
        ({"path": "../sys/x"}, "path: expected str matching"),
        ({"path": "a//b"}, "path: expected str matching"),
        ({"mount": "a\n"}, "mount: expected str matching"),
        ({"role_id_env": "A"}, "names one of role_id_env and secret_id_env, and needs both"),
        ({"role_id_env": "A", "secret_id_env": "B", "token_env": "C"}, "names both a token and an AppRole"),
        ({"token": "x"}, "has no key 'token'; the nearest is 'token_env'"),
    ],
)
def test_a_table_that_can_not_be_meant_is_refused(table: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        convert({"vault": table}, EnvironmentTable, "pyproject.toml")
    assert told in str(raised.value)
    assert "vault" in str(raised.value)


@pytest.mark.parametrize(
    ("address", "told"), [("", "neither vault.url nor"), ("http://vault.test", "VAULT_ADDR: 'http://vault.test' would")]
)
def test_the_variable_for_the_address_has_to_be_as_safe(
    address: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", address)
    assert told in fault(Vault())


def password(env: Name, **table: Any) -> Secret:
    return resolve(env, {env: table}, "pyproject.toml").secrets["database.password_env"]


def test_the_variable_comes_before_vault(fake: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    assert password("stg", vault={}).reveal() == VALUE
    assert (
        password("stg", vault={}).masked()
        == f"(not looked up) (from DB_PASSWORD_STG, which is not set, else Vault secret/{PATH})"
    )
    fake.asked.clear()
    monkeypatch.setenv("DB_PASSWORD_STG", "of-the-variable")
    assert password("stg", vault={}).reveal() == "of-the-variable"
    assert fake.asked == []


def test_without_a_table_nobody_asks_vault(fake: FakeVault) -> None:
    with pytest.raises(LookupError, match=r"^the environment variable DB_PASSWORD_STG is not set$"):
        password("stg").reveal()
    assert fake.asked == []


def test_the_password_of_dev_is_for_dev_alone(fake: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    assert password("dev").reveal() == DEV_PASSWORD
    assert DEV_PASSWORD not in password("dev").masked()
    assert Masker().text(f".artisan/{DEV_PASSWORD}.db") == f".artisan/{DEV_PASSWORD}.db"
    with pytest.raises(LookupError, match="MINE is not set"):
        password("dev", database={"password_env": "MINE"}).reveal()
    refused = "^the password of stg is that of dev; give it one of its own$"
    fake.versions[PATH].append({"password": DEV_PASSWORD})
    with pytest.raises(LookupError, match=refused):
        password("stg", vault={}).reveal()
    monkeypatch.setenv("DB_PASSWORD_STG", "shared-4711")
    assert password("stg").reveal() == "shared-4711"
    monkeypatch.setenv("DB_PASSWORD_DEV", "shared-4711")
    assert password("stg").masked() == "(refused: that of dev) (from DB_PASSWORD_STG)"
    for table in ({}, {"database": {"password_env": "DB_PASSWORD_DEV"}}):
        with pytest.raises(LookupError, match=refused):
            password("stg", **table).reveal()


def test_a_mask_that_is_older_than_a_secret_knows_it(fake: FakeVault) -> None:
    fake.versions[PATH].append({"password": "younger-than-the-mask"})
    masker = Masker()
    assert masker.tree(["younger-than-the-mask"]) == ["younger-than-the-mask"]
    read(Vault(), PATH)
    assert masker.tree(["younger-than-the-mask"]) == [MASK]


@pytest.mark.parametrize(
    ("workers", "secret"), [("0", "only-worker-0-knows"), ("1", "only-worker-1-knows"), ("1", "reprentries")]
)
def test_what_a_test_reads_from_vault_is_in_no_report(
    workers: str, secret: str, running: tuple[str, FakeVault], project: Project, fake: FakeVault
) -> None:
    fake.versions[PATH].append({"password": secret})
    project.policy(f'required = ["unit"]\n[tool.artisan.environments.stg]\nvault = {{ url = "{running[0]}" }}')
    project.tests(
        """
        from pytest_artisan.release.environments import get_config
        def test_it(gate):
            value = get_config("stg").secrets["database.password_env"].reveal()
            assert not value, f"it is {value}"
        """
    )
    run = project.run("--artisan-env=stg", f"-n{workers}", "--artisan-report=r.md")
    assert run.last_line == "NO-GO"
    assert f"it is {MASK}" in run.told
    for path in (project.report, project.path / "r.md"):
        assert secret not in path.read_text(encoding="utf-8")


def test_the_command_shows_where_a_password_is_and_asks_nobody(
    fake: FakeVault, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.policy(
        '[tool.artisan.environments.stg]\nvault = { url = "https://vault.test", role_id_env = "R", secret_id_env = "S" }'
    )
    monkeypatch.chdir(project.path)
    monkeypatch.setenv("R", ROLE)
    assert main(["env", "show", "stg"]) == 0
    shown = capsys.readouterr().out
    assert "vault.url = https://vault.test (from pyproject.toml)" in shown
    assert "database.password = (not looked up) (from DB_PASSWORD_STG, which is not set, else Vault" in shown
    assert f"vault.role_id = {MASK} (from R)" in shown
    assert "vault.secret_id = (not set) (from S)" in shown
    assert ROLE not in shown
    assert fake.asked == []
