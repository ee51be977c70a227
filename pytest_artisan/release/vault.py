"""Passwords from a Vault server: the key-value store in its version 2, by a token or by AppRole."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta

from pytest_artisan.release.addresses import url_complaints
from pytest_artisan.release.secrets import Secret, kept
from pytest_artisan.settings import Table

Reference = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]*\Z")]
# No part begins with a dot: `..` would lead to another of the server's doors.
_Path = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*\Z")]
FIELD = "password"
_TIMEOUT_S = 10.0
# What it means where hvac raises one of these, for whoever has to put it right.
_MEANINGS = {
    "InvalidRequest": "refuses the request (400); a role id or secret id is wrong or used up",
    "Unauthorized": "refuses the credentials (401)",
    "Forbidden": "forbids it (403); the token is wrong or expired, or its policy does not reach there",
    "InvalidPath": "has nothing there (404)",
    "RateLimitExceeded": "is asked too often (429)",
    "InternalServerError": "has failed inside (500)",
    "VaultNotInitialized": "is not initialised (501)",
    "BadGateway": "is not reached by what stands before it (502)",
    "VaultDown": "is sealed, or down for maintenance (503)",
    "Timeout": "gives no answer in time",
    "ConnectTimeout": "gives no answer in time",
    "ReadTimeout": "gives no answer in time",
    "TimeoutError": "gives no answer in time",
    "SSLError": "does not prove by TLS who it is",
}


class Vault(Table, frozen=True):
    """Where an environment's password is, in the field `password` of `path` (default: `artisan/<environment>/db`).

    `url`: default is the variable VAULT_ADDR. The variable `token_env` (default: VAULT_TOKEN) holds a token, or those of
    `role_id_env` and `secret_id_env` the two ids of an AppRole.
    """

    url: str | None = None
    mount: _Path = "secret"
    path: _Path | None = None
    token_env: Reference | None = None
    role_id_env: Reference | None = None
    secret_id_env: Reference | None = None

    def lint(self) -> Iterator[str]:
        if self.url is not None:
            yield from _address_complaints("url", self.url)
        if (self.role_id_env is None) != (self.secret_id_env is None):
            yield "names one of role_id_env and secret_id_env, and needs both"
        if self.token_env is not None and self.role_id_env is not None:
            yield "names both a token and an AppRole, and needs one of them"

    @property
    def address(self) -> str:
        """The server's URL; raises LookupError where none is given, or one that is no safe address."""
        url = self.url or os.environ.get("VAULT_ADDR", "")
        if not url:
            raise LookupError("neither vault.url nor the variable VAULT_ADDR says where Vault is")
        for complaint in _address_complaints("VAULT_ADDR", url):
            raise LookupError(complaint)
        return url.rstrip("/")

    @property
    def credentials(self) -> dict[str, Secret]:
        """What opens it, by the key that names it: a token, or a role id and then its secret id."""
        if self.role_id_env is not None and self.secret_id_env is not None:
            return {"vault.role_id_env": Secret(self.role_id_env), "vault.secret_id_env": Secret(self.secret_id_env)}
        return {"vault.token_env": Secret(self.token_env or "VAULT_TOKEN")}


def _address_complaints(field: str, url: str) -> Iterator[str]:
    from pytest_artisan.loopback import is_here  # and with it asyncio, which takes a tenth of every command's start

    complaints = list(url_complaints(field, url))
    yield from complaints
    if not complaints and urlsplit(url).scheme == "http" and not is_here(url):
        yield f"{field}: {url!r} would carry secrets in the open; https is needed but on this machine"


def read(vault: Vault, path: str) -> str:
    """The field `password` of the newest version of a secret; every mask knows it from now on.

    Raises LookupError with one line for the user, which holds neither a secret nor what the server wrote.
    """
    try:
        import hvac
    except ImportError:
        raise LookupError("hvac is not installed; pip install 'pytest-artisan[vault]'") from None
    from pytest_artisan.loopback import is_here

    url, given = vault.address, [secret.reveal() for secret in vault.credentials.values()]
    # With a token of its own, if only an empty one: else hvac takes what it finds in the user's home.
    client = hvac.Client(url=url, token="", timeout=_TIMEOUT_S, allow_redirects=False)
    # A proxy from the environment is for the world outside; what runs on this machine is asked directly.
    client.session.trust_env = not is_here(url)
    with closing(client.session):
        if vault.role_id_env is None:
            client.token = given[0]
        else:
            login = partial(client.auth.approle.login, *given, use_token=False)
            client.token = _asked(f"Vault at {url}, AppRole", login, "auth", "client_token")
        ask = partial(client.secrets.kv.v2.read_secret_version, path, mount_point=vault.mount)
        place = f"Vault at {url}, {vault.mount}/{path}"
        return _asked(place, partial(ask, raise_on_deleted_version=True), "data", "data", FIELD)


def _asked(place: str, call: Callable[[], Any], *keys: str) -> str:
    """The text below these keys of an answer; raises LookupError, which names the place."""
    try:
        answer = _in_time(call)
    except Exception as error:  # noqa: BLE001  # of several libraries, for whatever a server may answer
        # By its name alone: its text quotes the server, and may quote what was sent to it.
        raise LookupError(f"{place}: {_meaning(error)}") from None
    value = answer
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, str) and value and value.isprintable():
        return kept(value)
    if 300 <= getattr(answer, "status_code", 0) < 400:
        told = "sends elsewhere, and no redirect is followed"
    elif not isinstance(answer, dict):
        told = "gives an answer that is no JSON"
    else:
        state = "is missing" if value is None else "is empty" if value == "" else "is no text of one line"
        told = f"the field {keys[-1]} of its answer {state}"
    raise LookupError(f"{place}: {told}")


def _in_time(call: Callable[[], Any]) -> Any:
    """What it returns within the whole time: the client's own limit is for a step, and a slow drip has many."""
    from concurrent.futures import Future  # and with it logging, which no command needs that asks no server

    done: Future[Any] = Future()

    def work() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001  # raised again where the answer is asked for
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return done.result(_TIMEOUT_S)


def _meaning(error: Exception) -> str:
    name = type(error).__name__
    if name == "InvalidPath" and _was_deleted(getattr(error, "json", None)):
        return "has nothing there any more (404): its newest version was deleted"
    if name in _MEANINGS:
        return _MEANINGS[name]
    if isinstance(error, OSError):
        return f"can not be reached ({name})"
    return f"gives an answer that can not be read ({name})"


def _was_deleted(answer: Any) -> bool:
    try:
        return bool(answer["data"]["metadata"]["deletion_time"])
    except (KeyError, TypeError):
        return False
