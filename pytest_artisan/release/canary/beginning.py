"""How a canary begins, or one that was interrupted goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pytest_artisan.release.attestation.attested import Attested
from pytest_artisan.release.canary.machine import Admitted, Phase, State, after
from pytest_artisan.release.canary.reach import Before, Reach
from pytest_artisan.release.canary.runs import Moment, Run, put_on_record, underway
from pytest_artisan.release.canary.settings import Canary
from pytest_artisan.release.deployments import folder_of, load, save
from pytest_artisan.release.environments import Name
from pytest_artisan.release.health import Health
from pytest_artisan.release.observing import Source
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
        run = load(self.path, Run)
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
        typed, how = replace(asked, flag=run.flag).typed, "--auto" if run.asked is None else f"{run.asked:g}"
        raise SettingsError(f"{run.line}; {typed} {how} goes on with it, {typed} --rollback takes it back")
    return None


def begin(
    asked: Asked,
    table: Canary,
    reach: Reach,
    source: Callable[[Before], Source],
    admit: Callable[[], Attested],
    now: datetime,
) -> Run:
    """A canary that is about to reach its first stage, on disk; `admit` is asked last, as it uses a verdict up.

    `source` is that of those who get the change, given what was set before. Raises SettingsError and NoEvidence, and
    nobody has got anything then.
    """
    previous = load(asked.path, Run)
    if previous:
        put_on_record(asked.root, previous)
    before, start = _before(reach, previous)
    plan = table.plan(asked.percent, max(start, before.share))
    seen_by = source(before)
    yardstick = seen_by.yardstick(now)
    last = seen_by.counters(yardstick, now)
    verdict = admit()
    state = after(plan, State(), Admitted())
    what = f"{asked.flag} is {before.flag} of users; slow is over {yardstick.slow_s:.3g} s ({yardstick.origin})"
    moment = Moment(at=now, what="admitted", phase=state.phase, percent=plan.stages[0].percent, text=what)
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
        verdict=verdict.digest,
        expires=verdict.expires,
        state=state,
        health=Health(limits=table.limits),
        last=last,
        timeline=(moment,),
    )
    save(asked.path, run)
    return run


def _before(reach: Reach, previous: Run | None) -> tuple[Before, float]:
    """What to go back to, and for how many per cent of users the flag is moved already.

    Where the last canary of the flag ended well, and all is as it left it, this one goes back to what was before that.
    """
    if previous and previous.state.phase is Phase.DONE and previous.percent < 100:
        before, percent = previous.before, previous.percent
        if not reach.differs(before, percent):
            return before, percent
    found = reach.read()
    return found, found.moved / 100
