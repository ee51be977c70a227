"""The payload: an in-toto Statement (v1) whose predicate is a verdict, and what it was given for.

Every key is there, also where its value is null: one that is missing, unknown or of another type makes it none.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from pytest_artisan.release.attestation.attested import Check, Kind, Refused
from pytest_artisan.release.environments import Name

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://pytest-artisan.dev/verdict/v1"
VERIFIER: Final = "https://pypi.org/project/pytest-artisan/"
Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]{40,64}\Z")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Count = Annotated[int, Meta(ge=0)]
_Moment = Annotated[datetime, Meta(tz=True)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Anything in a statement."""


class Subject(_Part, frozen=True):
    """What the verdict is about: a name, and its digest by the name of the algorithm."""

    name: Annotated[str, Meta(pattern=r"^\S")]
    digest: dict[Literal["gitCommit", "gitTree", "sha256"], Hex]


class PolicyUsed(_Part, frozen=True):
    """The policy's name, empty for the main one, and the digest of what it asks."""

    name: str
    digest: Sha256


class Purpose(_Part, frozen=True):
    """What the verdict may be used for; `version` may be empty, and a `stage` of null is all of them."""

    kind: Kind
    environment: Name
    version: str
    stage: Annotated[float, Meta(gt=0, le=100)] | None


class Number(_Part, frozen=True):
    """A measurement without its sample; `limit` is null where it has none, else such as ["at_least", 99.5]."""

    item: str
    name: str
    value: float | None
    unit: str
    limit: tuple[str, float] | None
    n: int | None
    interval: tuple[float, float] | None


class GateResult(_Part, frozen=True):
    """A gate's state, its items in numbers, what was measured, and the reasons that speak against it."""

    name: str
    state: Literal["GO", "NO_GO", "INCONCLUSIVE", "NO_EVIDENCE"]
    required: bool
    planned: _Count
    passed: _Count
    declared: _Count
    measurements: tuple[Number, ...]
    reasons: tuple[str, ...]


class Waived(_Part, frozen=True):
    """What was found and does not block, because `owner` answers for it through the day `expires` in UTC."""

    gate: str
    finding: str
    owner: str
    expires: date


class Grounds(_Part, frozen=True):
    """Digests of what a session's journal holds: what was asked, what was planned, and what was seen.

    `report` is that of the JSON report that they come to.
    """

    requirements: Sha256
    plan: Sha256
    evidence: Sha256
    report: Sha256


class Verifier(_Part, frozen=True):
    """Who judged."""

    id: Literal["https://pypi.org/project/pytest-artisan/"]
    version: str


class Predicate(_Part, frozen=True):
    """The verdict. `reasons` are those of the session as a whole; `baseline` and `previous` are digests."""

    verdict: Literal["GO", "NO_GO"]
    purpose: Purpose
    policy: PolicyUsed
    plan: Sha256
    counts: dict[str, _Count]
    gates: tuple[GateResult, ...]
    reasons: tuple[str, ...]
    waivers: tuple[Waived, ...]
    baseline: Sha256 | None
    grounds: Grounds
    issued_at: _Moment
    expires_at: _Moment
    nonce: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    previous: Sha256 | None
    verifier: Verifier


class Statement(_Part, frozen=True):
    """An in-toto Statement of this predicate."""

    type: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(name="_type")
    subject: tuple[Subject, ...]
    predicate_type: Literal["https://pytest-artisan.dev/verdict/v1"]
    predicate: Predicate


def canonical(statement: Statement) -> bytes:
    """The payload: canonical JSON (RFC 8785). Raises ValueError for a number that it can not hold."""
    import rfc8785

    return rfc8785.dumps(encodable(msgspec.to_builtins(statement)))


def encodable(tree: Any) -> Any:
    """A test's text may hold half a character, which no encoding of JSON can."""
    if isinstance(tree, str):
        return tree.encode(errors="replace").decode()
    if isinstance(tree, dict):
        return {encodable(key): encodable(value) for key, value in tree.items()}
    return [encodable(value) for value in tree] if isinstance(tree, list | tuple) else tree


def parsed(payload: bytes) -> Statement:
    """The statement of a payload whose signature was checked; raises Refused where it is none.

    Written in another way, with a key twice or a number that other readers take for another one, it is none.
    """
    try:
        statement = msgspec.json.decode(payload, type=Statement)
        if canonical(statement) == payload:
            return statement
        told = "no canonical JSON (RFC 8785)"
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        told = str(error)
    raise Refused(f"the statement is no verdict of {PREDICATE_TYPE}: {told}", Check.STATEMENT)
