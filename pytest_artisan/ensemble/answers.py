"""What the ensemble is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol, get_args

from pytest_artisan.ensemble.briefs import WishBrief
from pytest_artisan.settings import SettingsError

Mode = Literal["fast", "balanced", "creative"]
Role = Literal["primary", "validator", "creative"]
MODES: tuple[Mode, ...] = get_args(Mode)
# In the order in which one answers where another does not.
ROLES: tuple[Role, ...] = get_args(Role)


class WishError(SettingsError):
    """A wish that nobody can read: empty, too long, or in a mode that is none."""


class Source(StrEnum):
    """Who wrote a brief."""

    PRIMARY = "primary"
    VALIDATOR = "validator"
    CREATIVE = "creative"
    CACHE = "cache"
    DEFAULT = "default"


class Outcome(StrEnum):
    """How a brief came about; the first alone needed nothing but what the mode asks for.

    `FALLBACK`: another member's model, or an outdated answer, stood in; `DEFAULT`: nobody read the wish.
    """

    RAW = "raw"
    REPAIRED = "repaired"
    CACHED = "cached"
    FALLBACK = "fallback"
    DEFAULT = "default"


class CallOutcome(StrEnum):
    """How one request to a member ended. `REPAIRED` is a schema failure, too."""

    ANSWERED = "answered"
    REPAIRED = "repaired"
    SCHEMA_FAILURE = "schema_failure"
    REFUSED = "refused"
    FAILED = "failed"
    TIMEOUT = "timeout"

    @property
    def fails_schema(self) -> bool:
        return self in (CallOutcome.SCHEMA_FAILURE, CallOutcome.REPAIRED)


@dataclass(frozen=True, slots=True)
class Answer:
    """A brief and where it comes from.

    `key` names the wish with all that shapes its answer: equal keys, equal questions. `remarks`: what the mode asks for
    and this answer lacks, such as a validator that did not answer.
    """

    brief: WishBrief
    mode: Mode
    source: Source
    outcome: Outcome
    key: str
    remarks: tuple[str, ...] = ()


class Observer(Protocol):
    """Hears what happens, for metrics; `member` is a role."""

    def called(self, member: str, outcome: CallOutcome, seconds: float) -> None: ...

    def answered(self, mode: str, outcome: Outcome, seconds: float) -> None: ...

    def breaker(self, member: str, state: str) -> None:
        """`state`: closed, open or half-open."""
        ...


class Conduct(NamedTuple):
    """How one wish is answered.

    Without `ensemble` it is the primary member alone, in the mode fast; without `cache` nothing is kept, and nothing
    that was kept is used; without `breaker` a member is asked however often it has failed.
    """

    ensemble: bool = True
    cache: bool = True
    breaker: bool = True


WHOLE = Conduct()


class Answering(Protocol):
    """What turns a wish into a brief. Raises WishError for a wish that is none, and nothing else."""

    async def answer(self, wish: str, mode: Mode | None = None) -> Answer: ...

    async def aclose(self) -> None: ...


class Conducted(Answering, Protocol):
    """One that is told how, too."""

    async def answer(self, wish: str, mode: Mode | None = None, conduct: Conduct = WHOLE) -> Answer: ...
