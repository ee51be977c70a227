"""How a canary begins, or one that was interrupted goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as other
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from pytest_artisan.release.attestation.attested import Attested
from pytest_artisan.release.canary.machine import Admitted, Phase, after
from pytest_artisan.release.canary.reach import Before, Reach
from pytest_artisan.release.canary.runs import Moment, Run, forget, kept, put_on_record, underway
from pytest_artisan.release.canary.settings import Canary
from pytest_artisan.release.deployments import folder_of, save
from pytest_artisan.release.environments import Name
from pytest_artisan.release.health import Health
from pytest_artisan.release.observing import Source
from pytest_artisan.release.record import read
from pytest_artisan.settings import SettingsError, seconds


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody typed; `percent` is None for all stages."""

    root: Path
    environment: Name
    flag: str
    percent: float | None

    @property
    def path(self) -> Path:
        """Where the canary is kept."""
        return folder_of(self.root, self.environment) / f"canary-{self.flag}.json"

    @property
    def typed(self) -> str:
        return f"artisan deploy canary {self.environment} {self.flag}"

    def kept(self) -> Run:
        """The flag's last canary, wherever it is. Raises SettingsError, also where there was none."""
        run = kept(self.path)
        if run is None:
            raise SettingsError(f"there was no canary of {self.flag} in {self.environment}")
        return run


def going_on(asked: Asked) -> Run | None:
    """The canary that was interrupted, None where there is none.

    Raises SettingsError where it was asked for otherwise, and where that of another flag was interrupted.
    """
    for run in underway(asked.root, asked.environment):
        if (run.flag, run.asked) == (asked.flag, asked.percent):
            return run
        typed, how = other(asked, flag=run.flag).typed, "--auto" if run.asked is None else f"{run.asked:g}"
        raise SettingsError(f"{run.line}; {typed} {how} goes on with it, {typed} --rollback takes it back")
    found = kept(asked.path)
    if found is None or (found.asked, found.state.phase) != (asked.percent, Phase.ASKED):
        return None
    # Where its verdict is on the record, its process ended before it could begin.
    admitted = any((entry.at, entry.verdict) == (found.began, found.verdict) for entry in read(asked.root))
    return _admitted(asked, found) if admitted else None


def begin(
    asked: Asked,
    table: Canary,
    reach: Reach,
    source: Callable[[Before], Source],
    admit: Callable[[Callable[[Attested], None]], object],
    now: datetime,
) -> Run:
    """A canary that is about to reach its first stage, on disk; `admit` is asked last, as it uses a verdict up.

    It calls what it is given with a verdict that is good, before it puts that on the record. `source` is that of those
    who get the change, given what was set before. Raises SettingsError and NoEvidence, and nobody has got anything then.
    """
    forget(asked.path)
    previous = kept(asked.path)
    if previous and previous.timeline:
        put_on_record(asked.root, previous)
    before, start = _before(reach, previous)
    plan = table.plan(asked.percent, max(start, before.share))
    seen_by = source(before)
    yardstick = seen_by.yardstick(now)
    last = seen_by.counters(yardstick, now)

    def keep(verdict: Attested) -> None:
        run = Run(
            environment=asked.environment,
            flag=asked.flag,
            asked=asked.percent,
            plan=plan,
            look_s=seconds(table.look),
            limits=table.limits,
            yardstick=yardstick,
            before=before,
            start=start,
            began=now,
            verdict=verdict.digest,
            expires=verdict.expires,
            health=Health(limits=table.limits),
            last=last,
        )
        save(asked.path, run)

    admit(keep)
    return _admitted(asked, asked.kept())


def _admitted(asked: Asked, run: Run) -> Run:
    """About to reach its first stage, on disk."""
    state, slow = after(run.plan, run.state, Admitted()), run.yardstick
    text = f"{run.flag} is {run.before.flag} of users; slow is over {slow.slow_s:.3g} s ({slow.origin})"
    moment = Moment(at=run.began, what="admitted", phase=state.phase, percent=run.percent, text=text)
    run = replace(run, state=state, timeline=(moment,))
    save(asked.path, run)
    return run


def _before(reach: Reach, previous: Run | None) -> tuple[Before, float]:
    """What to go back to, and for how many per cent of users the flag is moved already.

    Where the last canary of the flag ended well, and all is as it left it, this one goes back to what was before that.
    """
    if previous and previous.state.phase in (Phase.ASKED, Phase.DONE):
        before, percent = previous.before, previous.reached
        if percent < 100 and not reach.differs(before, percent):
            return before, percent
    found = reach.read()
    return found, found.moved / 100
