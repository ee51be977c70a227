"""A canary as it is kept on disk, in `.artisan/deploy-<environment>/canary-<flag>.json`, and as people are told of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from pytest_artisan.release.canary.machine import Phase, Plan, State, due
from pytest_artisan.release.canary.reach import Before
from pytest_artisan.release.deployments import folder_of, load
from pytest_artisan.release.environments import Name
from pytest_artisan.release.health import Block, Health, Limits, Ruling
from pytest_artisan.release.observing import Counters, Yardstick
from pytest_artisan.release.record import Entry, note, read, who

_MOST_MOMENTS = 400


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a canary; a timeline holds them in their order, at most 400.

    `what`: `admitted`, `expired`, `moved` (its stage begins), `looked`, `back` (it goes back) or `returned` (it has).
    `percent` is the share of the stage that it happened in, and `seen` all that was seen in that stage by then; `phase` is
    what came of it. Of a look that saw nothing `ruling` is None. `text` says why, and may quote a server. Where there are
    too many, every second look is left out; `seen` stays right, as it holds sums.
    """

    at: datetime
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

    `seen`, `health` and `last` are of the current stage.
    """

    environment: Name
    flag: str
    asked: float | None
    plan: Plan
    look_s: float
    limits: Limits
    yardstick: Yardstick
    before: Before
    start: float
    verdict: str
    expires: datetime
    state: State = State()
    seen: Block = Block()
    health: Health
    last: Counters
    timeline: tuple[Moment, ...]

    def __post_init__(self) -> None:
        if not (0 <= self.state.stage < len(self.plan.stages) and self.timeline):
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


def underway(root: Path, environment: Name) -> list[Run]:
    """The canaries of an environment that have not come to an end, by their flags."""
    paths = sorted(folder_of(root, environment).glob("canary-*.json"))
    runs = [run for run in (load(path, Run) for path in paths) if run]
    return [run for run in runs if due(run.plan, run.state)]


def put_on_record(root: Path, run: Run) -> None:
    """Note how it ended, once however often this is called; raises SettingsError."""
    subject = f"{run.flag} to {run.environment}"
    at, action = run.timeline[-1].at, f"canary {run.state.phase}"
    why = f"{run.line}; verdict sha256:{run.verdict}"
    # Not by who: another may type the command again.
    if not any((one.at, one.action, one.subject) == (at, action, subject) for one in read(root)):
        note(root, Entry(at=at, who=who(root), action=action, subject=subject, why=why))
