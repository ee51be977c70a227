"""The ensemble's settings, from the environment's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_artisan.ensemble.answers import MODES, Mode, Role
from pytest_artisan.release.environments import Environment
from pytest_artisan.settings import SettingsError

_NAMES: dict[Role, str] = {"primary": "qwen", "validator": "mistral", "creative": "llama"}
# Seconds that an answer counts as fresh.
_TTL = {"dev": 300.0, "stg": 1800.0, "prod": 3600.0}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an OpenAI-compatible server answers for a model; `url` ends before /chat/completions."""

    url: str
    model: str
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EnsembleSettings:
    """Members by role; seconds that an answer may take by mode; seconds that it stays fresh.

    `hedge_after`: seconds after which a second member is asked for the same brief; None is never.
    """

    members: Mapping[Role, Endpoint]
    timeouts: Mapping[Mode, float]
    ttl: float
    cache_url: str | None = None
    embedding: Endpoint | None = None
    response_format: str = "json_schema"
    hedge_after: float | None = None


def settings_of(environment: Environment, local: EnsembleSettings | None = None) -> EnsembleSettings:
    """The settings of an environment; where it names no members, those of the `local` reference models.

    Raises SettingsError where it names none and is not dev, and where the variable with the key is not set.
    """
    llm = environment.llm
    key = None
    if "llm.key_env" in environment.secrets:
        try:
            key = environment.secrets["llm.key_env"].reveal()
        except LookupError as error:
            raise SettingsError(f"llm.key_env: {error}") from None
        if not (key.isascii() and key.isprintable() and key == key.strip()):
            # Else the client would refuse it in each request, with the key in its error.
            raise SettingsError("llm.key_env: the variable holds what no header can, such as a line break at its end")
    members: Mapping[Role, Endpoint]
    embedding = None
    if llm.qwen_endpoint is not None:
        members = {
            role: Endpoint(getattr(llm, f"{name}_endpoint"), getattr(llm, f"{name}_model"), key)
            for role, name in _NAMES.items()
        }
        if llm.embedding_endpoint is not None and llm.embedding_model is not None:
            embedding = Endpoint(llm.embedding_endpoint, llm.embedding_model, key)
    elif environment.env != "dev":
        raise SettingsError(f"{environment.env}: llm.qwen_endpoint is not set; the local reference models are for dev")
    elif local is not None:
        members, embedding = local.members, local.embedding
    else:
        raise SettingsError("llm.qwen_endpoint is not set, and the local reference models do not run")
    timeouts = {mode: float(getattr(llm, f"{mode}_timeout_s")) for mode in MODES}
    ttl = llm.cache_ttl_s or _TTL[environment.env]
    return EnsembleSettings(members, timeouts, ttl, llm.cache_url, embedding, llm.response_format, llm.hedge_after_s)
