"""What a deployment wants to know, and what a signed verdict says."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from pytest_artisan.release.environments import Name
from pytest_artisan.settings import SettingsError

Kind = Literal["train", "hotfix"]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is about to deploy. `stage`: the canary's, in per cent; None is all of them, and blue/green."""

    environment: Name
    version: str = ""
    stage: float | None = None


class Attested(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict that has been checked. `digest` is the SHA-256 of its payload, by which the next one names it."""

    digest: str
    nonce: str
    commit: str
    kind: Kind
    environment: Name
    version: str
    stage: float | None
    expires: datetime


class Refused(SettingsError):
    """A verdict that does not let this be deployed; each check has a `status` of its own, with which a command ends."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status
