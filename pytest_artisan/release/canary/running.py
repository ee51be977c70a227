"""A canary at work: what is due is done, and every step is on disk before the next one begins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pytest_artisan.release.canary.machine import (
    Back,
    Event,
    Expired,
    Give,
    Look,
    Looked,
    Moved,
    Returned,
    TakeBack,
    after,
    due,
)
from pytest_artisan.release.canary.reach import Before, Reach
from pytest_artisan.release.canary.runs import Moment, Run, call_back, forget, is_called_back
from pytest_artisan.release.deployments import save, spend
from pytest_artisan.release.health import Block, Health, Ruling
from pytest_artisan.release.observing import Source, between, later
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence

# How often it is tried to take a change back that can not be taken back, with a look's wait between.
_TRIES = 20
_Failures = (SettingsError, NoEvidence)


class Runner:
    """Brings a run to its end; `tell` gets a line for all that happens, `wait` takes seconds.

    `source` is that of those who get the change, given what was set before; on the way back it is not asked for.
    The looks are what counts as soak, not the clock: time that jumps, or in which this process did not run, promotes
    nobody. `clock` says only when a verdict expires.
    """

    def __init__(
        self,
        run: Run,
        path: Path,
        reach: Reach,
        source: Callable[[Before], Source],
        *,
        clock: Callable[[], datetime],
        wait: Callable[[float], None],
        tell: Callable[[str], None],
    ) -> None:
        self.run = run
        self._path, self._reach, self._source = path, reach, source
        self._clock, self._wait, self._tell = clock, wait, tell
        self._fault, self._tries = "", 0

    def finish(self) -> Run:
        """Until it is done or back. Where this is interrupted, another one goes on from what is on disk.

        What can not be written is taken back, and then raises SettingsError; so does what can not be taken back.
        """
        while task := self._due():
            match task:
                case Give(percent):
                    self._give(percent)
                case Look():
                    self._look()
                case TakeBack():
                    self._take_back()
        if self._fault:
            raise SettingsError(self._fault)
        forget(self._path)
        return self.run

    def _due(self) -> Give | Look | TakeBack | None:
        """What has to be done now, after what has come in the meantime."""
        if is_called_back(self._path):
            self.happened(Back("it was called back"))
        if not self.run.state.expired and self._clock() >= self.run.expires:
            self.happened(Expired())
        return due(self.run.plan, self.run.state)

    def happened(self, event: Event, **changes: Any) -> None:
        """Take note of an event, with what it changes of the run beside its state; of none that means nothing where it is."""
        state = after(self.run.plan, self.run.state, event)
        if state == self.run.state:
            return
        text = "; ".join(event.reasons) if isinstance(event, Looked) else state.why
        moment = Moment(
            at=self._clock(),
            what=type(event).__name__.lower(),  # type: ignore[arg-type]  # the events' names
            phase=state.phase,
            percent=self.run.percent,
            seen=changes.get("seen", self.run.seen),
            ruling=event.ruling if isinstance(event, Looked) else None,
            text=text,
        )
        self._keep(replace(self.run.noted(moment), state=state, **changes))
        self._tell(moment.line)

    def _keep(self, run: Run) -> None:
        self.run = run
        try:
            save(self._path, run)
        except SettingsError as error:
            # Who goes on from a state that is not on disk could not be taken over, nor seen. The one that is there is old.
            spend(self._path.parent)
            call_back(self._path)
            self._fault = self._fault or f"{error}; so the canary goes back"
            self.run = replace(run, state=after(run.plan, run.state, Back(self._fault)))

    def _give(self, percent: float) -> None:
        measures = self._measures()
        try:
            self._reach.give(self.run.before, percent, self.run.given[-2])
        except _Failures as error:
            self.happened(Back(str(error)))
        else:
            self.happened(Moved(), seen=Block(), health=Health(limits=self.run.limits), **measures)

    def _measures(self) -> dict[str, Any]:
        """What the next stage is measured by: those who are without the change now, else as the last one was."""
        now = self._clock()
        try:
            source = self._source(self.run.before)
            yardstick = source.yardstick(now)
            return {"yardstick": yardstick, "last": source.counters(yardstick, now)}
        except _Failures:
            return {}

    def _look(self) -> None:
        self._wait(self.run.look_s)
        if is_called_back(self._path):
            return
        last = self.run.last
        try:
            changed = self._reach.differs(self.run.before, self.run.percent)
            if changed:
                self.happened(Back(changed))
                return
            last = self._source(self.run.before).counters(self.run.yardstick, self._clock())
            block = between(self.run.last, last)
            health = self.run.health.after(block)
            opinion = health.opinion()
        except _Failures as error:
            self.happened(Looked(None, (str(error),)), last=later(self.run.last, last))
            return
        nobody = not block.requests and opinion.ruling is not Ruling.ROLL_BACK
        event = Looked(None, ("no request",)) if nobody else Looked(opinion.ruling, opinion.reasons)
        self.happened(event, last=last, health=health, seen=_sum(self.run.seen, block))

    def _take_back(self) -> None:
        try:
            left = self._reach.take_back(self.run.before, self.run.given)
        except _Failures as error:
            spend(self._path.parent)
            self._tries += 1
            if self._tries == _TRIES:
                raise SettingsError(f"{error}; the change is not taken back yet, --rollback tries it again") from None
            self._tell(f"it can not be taken back yet: {error}")
            self._wait(self.run.look_s)
            return
        if left:
            self._tell(left)
        self.happened(Returned())


def _sum(first: Block, second: Block) -> Block:
    return Block(**{name: getattr(first, name) + getattr(second, name) for name in Block.__struct_fields__})
