"""The environments dev, stg and prod: where they are, what they allow, and by which name their secrets are found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pytest_artisan.release.addresses import url_complaints
from pytest_artisan.release.passwords import Password
from pytest_artisan.release.secrets import Secret
from pytest_artisan.release.slots.settings import Slots
from pytest_artisan.release.traffic.settings import Traffic
from pytest_artisan.release.variables import flat, overlaid, read_variables, variable_of
from pytest_artisan.release.vault import Reference, Vault
from pytest_artisan.settings import SettingsError, Table, artisan_of, as_table, convert, project_root

NAMES = ("dev", "stg", "prod")
Name = Literal["dev", "stg", "prod"]
_Model = Annotated[str, Meta(min_length=1, max_length=200)]
_Seconds = Annotated[float, Meta(gt=0)]
Data = Literal["sample", "anonymised", "real"]
_DATA: dict[Name, Data] = {"dev": "sample", "stg": "anonymised", "prod": "real"}
# What an environment allows, and what runs there: the policy's word, which no variable changes.
_WITHHELD = ("data", "allow_writes", "limits", "traffic", "slots")


class Database(Table, frozen=True):
    """A database: a file of SQLite beside the project, or a server of PostgreSQL.

    `password_env` names the variable with the server's password, which is never written down.
    """

    driver: Literal["sqlite", "postgresql"] = "sqlite"
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 5432
    name: str = "artisan"
    user: str = "artisan"
    password_env: Reference | None = None


class Llm(Table, frozen=True):
    """The ensemble's members: base URLs, models, and the variable with their key.

    Endpoints that are None are the local reference models, in dev alone. `hedge_after_s`: None asks no second member
    while one is asked; `cache_url`: a Redis server, None is this process's memory; `cache_ttl_s`: None is the
    environment's own.
    """

    qwen_endpoint: str | None = None
    mistral_endpoint: str | None = None
    llama_endpoint: str | None = None
    embedding_endpoint: str | None = None
    qwen_model: _Model = "qwen"
    mistral_model: _Model = "mistral"
    llama_model: _Model = "llama"
    embedding_model: _Model | None = None
    response_format: Literal["json_schema", "json_object", "text"] = "json_schema"
    fast_timeout_s: _Seconds = 8
    balanced_timeout_s: _Seconds = 12
    creative_timeout_s: _Seconds = 20
    hedge_after_s: _Seconds | None = None
    cache_url: str | None = None
    cache_ttl_s: _Seconds | None = None
    key_env: Reference | None = None

    def lint(self) -> Iterator[str]:
        for field in ("qwen_endpoint", "mistral_endpoint", "llama_endpoint", "embedding_endpoint"):
            url = getattr(self, field)
            if url is not None:
                yield from url_complaints(field, url)
        if self.cache_url is not None:
            yield from url_complaints("cache_url", self.cache_url, ("redis", "rediss"))
        members = (self.qwen_endpoint, self.mistral_endpoint, self.llama_endpoint)
        if None in members and any(members):
            yield "names an endpoint for some members of the ensemble; name all three, or none for the local models"
        if (self.embedding_endpoint is None) != (self.embedding_model is None):
            yield "names one of embedding_endpoint and embedding_model, and needs both"


class EnvironmentTable(Table, frozen=True):
    """`[tool.artisan.environments.<name>]`; `limits` overrides the gates' tables for this environment.

    `data`: what its data are made of, by default sample in dev, anonymised in stg, real in prod. `flags`: the file of the
    feature flags, by default `.artisan/flags-<name>.db`.
    """

    base_url: str | None = None
    prometheus_url: str | None = None
    database: Database = Database()
    llm: Llm = Llm()
    vault: Vault | None = None
    flags: Annotated[str, Meta(min_length=1)] | None = None
    traffic: Traffic | None = None
    slots: Slots | None = None
    data: Data | None = None
    allow_writes: bool | None = None
    limits: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)

    def lint(self) -> Iterator[str]:
        for field in ("base_url", "prometheus_url"):
            url = getattr(self, field)
            if url is not None:
                yield from url_complaints(field, url)
        for name in ("database", "llm", "vault", "traffic", "slots"):
            table: Table | None = getattr(self, name)
            yield from (f"{name} {complaint}" for complaint in (() if table is None else table.lint()))


class Environment(msgspec.Struct, frozen=True):
    """One environment, resolved: its name, its settings and whether tests may write to it.

    By key, such as `database.host`: `overridden` holds what variables say, `stated` what stands in pyproject.toml.
    """

    env: Name
    table: EnvironmentTable
    overridden: dict[str, Any] = msgspec.field(default_factory=dict)
    stated: frozenset[str] = frozenset()

    @property
    def base_url(self) -> str | None:
        return self.table.base_url

    @property
    def prometheus_url(self) -> str | None:
        return self.table.prometheus_url

    @property
    def database(self) -> Database:
        return self.table.database

    @property
    def llm(self) -> Llm:
        return self.table.llm

    @property
    def data(self) -> Data:
        """What its data are made of."""
        return self.table.data or _DATA[self.env]

    @property
    def allow_writes(self) -> bool:
        """Whether tests marked `writes` run here: on sample data, and where the policy says so."""
        return self.data == "sample" if self.table.allow_writes is None else self.table.allow_writes

    @property
    def secrets(self) -> dict[str, Secret]:
        """The secrets by the key that names them."""
        vault = self.table.vault
        secrets: dict[str, Secret] = {"database.password_env": Password(self.env, self.database.password_env, vault)}
        if self.llm.key_env is not None:
            secrets["llm.key_env"] = Secret(self.llm.key_env)
        return secrets if vault is None else secrets | vault.credentials

    def origin(self, key: str) -> str:
        """Where a setting comes from: a variable, pyproject.toml, or, empty, from nowhere but its default."""
        return variable_of(key) if key in self.overridden else "pyproject.toml" if key in self.stated else ""


def environment_name(given: str | None) -> Name:
    """The environment that was asked for, else ARTISAN_ENV's, else dev; raises SettingsError for an unknown one."""
    asked = os.environ.get("ARTISAN_ENV", "dev") if given is None else given
    for name in NAMES:
        if name == asked:
            return name  # type: ignore[return-value]  # mypy widens a member of a tuple of literals
    source = "ARTISAN_ENV" if given is None else "environment"
    raise SettingsError(f"{source}={asked}: no such environment; known: {', '.join(NAMES)}")


def resolve(name: Name, tables: Mapping[str, Any], where: str) -> Environment:
    """The environment from the tables of `[tool.artisan.environments]` alone; every one is checked, not just its own."""
    for key in tables:
        if key not in NAMES:
            raise SettingsError(f"{where}.environments has no key {key!r}; known: {', '.join(NAMES)}")
    checked = {key: convert(table, EnvironmentTable, f"{where}.environments.{key}") for key, table in tables.items()}
    return Environment(name, checked.get(name, EnvironmentTable()), stated=frozenset(flat(tables.get(name, {}))))


def chosen(name: Name, tables: Mapping[str, Any], where: str) -> Environment:
    """The environment that something runs in: that of the tables, with the variables that are set over it."""
    environment, overridden = resolve(name, tables, where), read_variables(EnvironmentTable, _WITHHELD)
    if not overridden:
        return environment
    # The table alone is sound, so what is wrong now is by the variables.
    told = f"{', '.join(map(variable_of, overridden))}: {where}.environments.{name}"
    table = convert(overlaid(tables.get(name, {}), overridden), EnvironmentTable, told)
    return msgspec.structs.replace(environment, table=table, overridden=overridden)


def get_config(name: str | None = None, root: Path | None = None) -> Environment:
    """The environment `name` (default: ARTISAN_ENV, else dev) of the project that `root` (default: here) is in.

    Raises SettingsError, with one line for the user.
    """
    where = "pyproject.toml [tool.artisan]"
    tables = artisan_of(project_root(root or Path.cwd())).get("environments", {})
    return chosen(environment_name(name), as_table(tables, f"{where} environments"), where)
