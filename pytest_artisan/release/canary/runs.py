"""A canary as it is kept on disk, in `.artisan/deploy-<environment>/canary-<flag>.json`, and as people are told of it."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from pytest_artisan.release.canary.machine import Phase, Plan, State, due
from pytest_artisan.release.canary.reach import Before
from pytest_artisan.release.deployments import folder_of, load
from pytest_artisan.release.environments import Name
from pytest_artisan.release.health import Block, Health, Limits, Ruling
from pytest_artisan.release.observing import Counters, Yardstick
from pytest_artisan.release.record import Entry, note, read, who
from pytest_artisan.settings import SettingsError

_MOST_MOMENTS = 400
_When = Annotated[datetime, Meta(tz=True)]


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a canary; a timeline holds them in their order, at most 400.

    `what`: `admitted`, `expired`, `moved` (its stage begins), `looked`, `back` (it goes back) or `returned` (it has).
    `percent` is the share of the stage that it happened in, and `seen` all that was seen in that stage by then; `phase` is
    what came of it. Of a look that saw nothing `ruling` is None. `text` says why, and may quote a server. Where there are
    too many, every second look is left out; `seen` stays right, as it holds sums.
    """

    at: _When
    what: Literal["admitted", "expired", "moved", "looked", "back", "returned"]
    phase: Phase
    percent: float
    seen: Block = Block()
    ruling: Ruling | None = None
    text: str = ""

    @property
    def line(self) -> str:
        """It for people who watch; what shows that all is well is in the numbers."""
        told = self._looked if self.what == "looked" else self.what
        text = "" if self.ruling is Ruling.HEALTHY else self.text
        return f"{self.at:%H:%M:%S} {self.percent:5g} %  {': '.join(filter(None, [told, text]))}"

    @property
    def _looked(self) -> str:
        seen, shares = self.seen, [f"n={self.seen.requests}"]
        if seen.requests:
            shares.append(f"{100 * seen.errors / seen.requests:.2f} % errors")
        if seen.timed:
            shares.append(f"{100 * seen.slow / seen.timed:.1f} % slow")
        if seen.ratings:
            shares.append(f"rated {seen.rating_sum / seen.ratings:.1f} by {seen.ratings}")
        return f"{', '.join(shares)}: {self.ruling.replace('_', ' ') if self.ruling else 'saw nothing'}"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One canary; `asked` is the percentage, None for all stages, and `start` that of users who had the change already.

    `began`: when its verdict was asked for. `seen`, `health` and `last` are of the current stage.
    """

    environment: Name
    flag: str
    asked: float | None
    plan: Plan
    look_s: Annotated[float, Meta(gt=0)]
    limits: Limits
    yardstick: Yardstick
    before: Before
    start: float
    began: _When
    verdict: str
    expires: _When
    state: State = State()
    seen: Block = Block()
    health: Health
    last: Counters
    timeline: tuple[Moment, ...] = ()

    def __post_init__(self) -> None:
        begun = self.timeline or self.state.phase is Phase.ASKED
        if not (0 <= self.state.stage < len(self.plan.stages) and begun):
            raise ValueError("its stage or its timeline is missing")

    @property
    def percent(self) -> float:
        """The share of its stage."""
        return self.plan.stages[self.state.stage].percent

    @property
    def given(self) -> tuple[float, ...]:
        """The shares that had the change, in their order, and the one of its stage."""
        return (self.start, *(stage.percent for stage in self.plan.stages[: self.state.stage + 1]))

    @property
    def reached(self) -> float:
        """For how many per cent of users it has moved the flag, once it is done or while it has no verdict."""
        return self.start if self.state.phase is Phase.ASKED else self.percent

    @property
    def line(self) -> str:
        """Where it is, for people."""
        where = {
            Phase.ASKED: "has no verdict",
            Phase.MOVING: f"is about to reach {self.percent:g} %",
            Phase.WATCHING: f"has reached {self.percent:g} %, and is to be watched",
            Phase.RETURNING: "is on its way back",
            Phase.BACK: f"was taken back from {self.percent:g} %",
            Phase.DONE: f"has reached {self.percent:g} %, and was healthy",
        }[self.state.phase]
        return f"canary {self.flag} in {self.environment} {where}{': ' if self.state.why else ''}{self.state.why}"

    def noted(self, moment: Moment) -> Run:
        """With one more moment."""
        timeline = (*self.timeline, moment)
        if len(timeline) > _MOST_MOMENTS:
            timeline = tuple(one for i, one in enumerate(timeline) if one.what != "looked" or i % 2 or one is moment)
        return replace(self, timeline=timeline)


def kept(path: Path) -> Run | None:
    """The canary that is kept there, None where there is none. Raises SettingsError, also for that of another flag."""
    try:
        run = load(path, Run)
        if run and (path.parent.name, path.name) != (f"deploy-{run.environment}", f"canary-{run.flag}.json"):
            raise SettingsError(f"{path}: it is the canary of {run.flag} in {run.environment}")
    except SettingsError as error:
        told = "artisan flags sets a flag by hand, and without this file a canary begins anew"
        raise SettingsError(f"{error}; {told}") from None
    return run


def call_back(path: Path) -> None:
    """Have whoever watches the canary at `path`, or goes on with it, take it back. It takes no room on a disk."""
    with suppress(OSError):
        _call(path).touch()


def is_called_back(path: Path) -> bool:
    return os.path.exists(_call(path))


def forget(path: Path) -> None:
    """Of the next one nobody has said so; where that can not be noted, it is taken back too."""
    with suppress(OSError):
        _call(path).unlink()


def _call(path: Path) -> Path:
    return path.with_suffix(".back")


def underway(root: Path, environment: Name) -> list[Run]:
    """The canaries of an environment that have not come to an end, by their flags."""
    paths = sorted(folder_of(root, environment).glob("canary-*.json"))
    runs = [run for run in map(kept, paths) if run]
    return [run for run in runs if due(run.plan, run.state)]


def put_on_record(root: Path, run: Run) -> None:
    """Note how it ended, once however often this is called; raises SettingsError."""
    subject = f"{run.flag} to {run.environment}"
    at, action = run.timeline[-1].at, f"canary {run.state.phase}"
    why = f"{run.line}; verdict sha256:{run.verdict}"
    # Not by who: another may type the command again.
    if not any((one.at, one.action, one.subject) == (at, action, subject) for one in read(root)):
        note(root, Entry(at=at, who=who(root), action=action, subject=subject, why=why))
