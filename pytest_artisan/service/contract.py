"""What clients send and get: one strict model for each body, and one shape for every error."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pytest_artisan.ensemble.answers import Mode, Outcome, Source
from pytest_artisan.ensemble.briefs import WishBrief
from pytest_artisan.fragrance.refinement import FEWEST_OPTIONS

Algorithm = Literal["PPO", "REINFORCE"]
# GA: options without learning, where that is switched off.
Maker = Literal["PPO", "REINFORCE", "GA"]
MOST_OPTIONS = 8
# Such as the names that the service gives.
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[0-9A-Za-z_-]+$")]
PerCent = Annotated[float, Field(gt=0, le=100)]
Judged = Annotated[float, Field(ge=0, le=1)]


def _whole(number: object) -> object:
    """JSON knows one kind of number: 3.0 is the integer 3, as JSON Schema has it."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


class _Body(BaseModel):
    """Nothing is converted, nothing unknown is taken, and NaN is no number."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class CreateRequest(_Body):
    """A wish, in Korean or English; without a mode the service chooses one."""

    wish: Annotated[str, Field(min_length=1, max_length=4000)]
    mode: Mode | None = None


class OptionsRequest(_Body):
    """`dna`: the id of what is to be refined; `count`: how many formulas are wanted.

    Without an algorithm the flag `ppo_algorithm` says which.
    """

    dna: Name
    algorithm: Algorithm | None = None
    count: Annotated[int, Field(ge=FEWEST_OPTIONS, le=MOST_OPTIONS), BeforeValidator(_whole)] = FEWEST_OPTIONS


class FeedbackRequest(_Body):
    """Which option of an experiment was chosen, and how good it is: from 1 to 5.

    `notes` may hold wishes such as `more citrus, less woody`.
    """

    experiment: Name
    chosen: Name
    rating: Annotated[float, Field(ge=1, le=5)]
    notes: Annotated[str, Field(max_length=500)] = ""
    algorithm: Algorithm | None = None


class Part(_Body):
    """A material of a formula, per cent of the concentrate."""

    cas: str
    name: str
    per_cent: PerCent


class JudgedBy(_Body):
    """A formula's four objectives, each from 0, the best, to 1."""

    misfit: Judged
    sameness: Judged
    fading: Judged
    cost: Judged


class Dna(_Body):
    """What a wish became: its brief, who wrote that and how, and the formula evolved for it.

    `remarks`: what was asked for and is not so.
    """

    id: str
    brief: WishBrief
    mode: Mode
    source: Source
    outcome: Outcome
    composition: tuple[Part, ...]
    objectives: JudgedBy
    remarks: tuple[str, ...]


class OfferedOption(_Body):
    """A formula on offer.

    `points`: from 0 to about 100, what it is expected to be worth; `remarks`: what the brief asks for and is not so.
    """

    id: str
    composition: tuple[Part, ...]
    objectives: JudgedBy
    points: float
    remarks: tuple[str, ...]


class Options(_Body):
    """An experiment: formulas to choose from, the most promising first."""

    experiment: str
    dna: str
    algorithm: Maker
    options: tuple[OfferedOption, ...]


class Update(_Body):
    """What learning did: `episode_return` in points, `entropy` and `kl` in nats; `rolled_back`: why it was undone."""

    loss: float
    episode_return: float
    entropy: float
    clip_fraction: float
    kl: float
    rolled_back: str


class Learnt(_Body):
    """The update that followed from a feedback; none where learning is switched off, and the feedback only kept."""

    experiment: str
    algorithm: Maker
    update: Update | None


class Health(_Body):
    """The service's version, and the snapshot of all that shapes its answers."""

    status: Literal["ok"] = "ok"
    version: str
    model_snapshot: str


class Live(_Body):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Checks(_Body):
    """Whether the database answers, and whether requests reach at least one member of the ensemble."""

    store: Literal["ok", "unavailable"]
    members: Literal["ok", "unavailable"]


class Ready(_Body):
    """Whether the service can do its work now."""

    status: Literal["ok", "unavailable"]
    checks: Checks


Code = Literal[
    "bad_request",
    "not_found",
    "method_not_allowed",
    "conflict",
    "too_large",
    "invalid",
    "not_possible",
    "internal",
    "unavailable",
]


class Fault(_Body):
    """`message`: one line for people; `field`: what of the request it is about, such as `body.wish`."""

    code: Code
    message: str
    field: str | None = None


class ErrorBody(_Body):
    """The body of every answer that is none."""

    error: Fault
