"""How a change went to its users, as a page tells it, and its picture."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pytest_artisan.reports.drawing import Scale
from pytest_artisan.reports.html.pictures import BOTTOM, TOP, Picture, sheet_of


@dataclass(frozen=True, slots=True)
class Step:
    """What happened to a rollout: `percent` of users have the change after it, `kind` is `good`, `bad` or `plain`."""

    at: datetime
    what: str
    percent: float
    kind: str
    requests: int
    errors: int
    text: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """One canary: `line` says where it is, `is_back` whether it goes, or went, back; its steps are in order of time."""

    line: str
    is_back: bool
    steps: tuple[Step, ...]

    def picture(self) -> Picture:
        """The share of users over the time; not for a rollout without a step."""
        begun = self.steps[0].at
        minutes = [(step.at - begun).total_seconds() / 60 for step in self.steps]
        title = f"Share of users who have the change, by minutes since {begun:%Y-%m-%d %H:%M} UTC"
        sheet = sheet_of(title)
        times = Scale(min(minutes), max((*minutes, 1.0)), sheet.left, sheet.right)
        levels = sorted({step.percent for step in self.steps} | {0.0})
        # Stages are a few, and far from even: each has the same room.
        up = {level: Scale(0, max(len(levels) - 1, 1), BOTTOM, TOP)(k) for k, level in enumerate(levels)}
        sheet.ticks_up((y, f"{level:g} %") for level, y in list(up.items())[:12])
        sheet.ticks_across(BOTTOM, ((times(tick), f"{tick:g}") for tick in times.ticks()), "minutes")
        places = [(times(minute), up[step.percent]) for minute, step in zip(minutes, self.steps, strict=True)]
        sheet.path("learnt", f"M{places[0][0]:g} {places[0][1]:g}" + "".join(f"H{x:g}V{y:g}" for x, y in places[1:]))
        for kind in ("plain", "good", "bad"):
            marked = (place for place, step in zip(places, self.steps, strict=True) if step.kind == kind)
            sheet.path(f"step {kind}", "".join(f"M{x:g} {y:g}h0" for x, y in marked))
        head = ("minutes", "what", "users", "requests", "errors", "why")
        return Picture(title, str(sheet), head, tuple(map(_row, minutes, self.steps)))


def _row(minute: float, step: Step) -> tuple[str, ...]:
    return f"{minute:.1f}", step.what, f"{step.percent:g} %", str(step.requests), str(step.errors), step.text
