"""What a deployment wants to know, what a signed verdict says, and what can speak against it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import IntEnum
from typing import Literal, TypeAlias

import msgspec

from pytest_artisan.release.environments import Name
from pytest_artisan.settings import SettingsError

# The second is what `artisan hotfix` releases, by the smaller policy of this name.
Kind = Literal["train", "hotfix"]
POLICIES: dict[str, Kind] = {"": "train", "hotfix": "hotfix"}
# The digest that a policy, by its name, has to have in an environment; raises SettingsError and NoEvidence.
DigestOf: TypeAlias = Callable[[Name, str], str]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is about to deploy. `stage`: the canary's, in per cent; None is all of them, and blue/green."""

    environment: Name
    version: str = ""
    stage: float | None = None


class Attested(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict that has been checked. `digest` is the SHA-256 of its payload, by which the next one names it.

    `version` is empty where it names none, and `stage` None where it is for all of them; `previous` is the digest of the
    verdict before it.
    """

    digest: str
    nonce: str
    commit: str
    kind: Kind
    environment: Name
    version: str
    stage: float | None
    expires: datetime
    previous: str | None = None


class Check(IntEnum):
    """What a signed verdict is asked; the number is the exit status of a command that a no ends."""

    ENVELOPE = 10
    SIGNATURE = 11
    STATEMENT = 12
    COMMIT = 13
    TREE = 14
    IMAGE = 15
    MODELS = 16
    SBOM = 17
    LOCK = 18
    MIGRATIONS = 19
    POLICY = 20
    VERDICT = 21
    GATES = 22
    USED = 23
    COUNTS = 24
    PURPOSE = 25
    ENVIRONMENT = 26
    VERSION = 27
    STAGE = 28
    EARLY = 29
    EXPIRED = 30
    WAIVER = 31
    CHAIN = 32


class Refused(SettingsError):
    """A verdict that does not let this be deployed; a command ends with the `status` of the check that it failed."""

    def __init__(self, text: str, check: Check) -> None:
        super().__init__(text)
        self.check = check
        self.status = int(check)
