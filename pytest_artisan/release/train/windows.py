"""When a deployment may begin: within a window of the train and outside of every freeze, or for a reason on the record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pytest_artisan.release.environments import Name
from pytest_artisan.release.record import Entry, note, who
from pytest_artisan.release.tags import releases
from pytest_artisan.release.train.times import shown
from pytest_artisan.release.train.timetable import Run, Stop, Train
from pytest_artisan.release.versions import is_hotfix
from pytest_artisan.settings import SettingsError


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether a deployment may begin now, and why; `next` is when one may begin where it may not now, in UTC."""

    go: bool
    why: str
    next: datetime | None = None


def opening(train: Train, stop: Stop, run: Run, now: datetime) -> datetime | None:
    """The first moment from `now` on at which a deployment may begin; None where the train is over or cancelled.

    A window is open from the departure on, and closed at its end.
    """
    at = max(now, run.departure(stop))
    while frozen := train.frozen(stop, at):
        at = frozen[1]
    return at if at < run.departure(stop) + train.opening else None


def openings(train: Train, stop: Stop, now: datetime) -> Iterator[tuple[Run, datetime]]:
    """The trains from `now` on, each with the first moment at which a deployment may begin."""
    for run in train.runs(now):
        at = opening(train, stop, run, now)
        if at is not None:
            yield run, at


def permission(train: Train, environment: Name, now: datetime) -> Permission:
    """Whether the timetable lets a deployment begin `now`; a freeze counts more than a window. dev takes them always."""
    if environment == "dev":
        return Permission(True, "dev takes deployments at any time")
    run, at = next(openings(train, environment, now))
    if at == now:
        until = shown(run.departure(environment) + train.opening, train.tz)
        return Permission(
            True, f"the train of {shown(run.departure(environment), train.tz)} takes deployments until {until}"
        )
    frozen = train.frozen(environment, now)
    if frozen:
        return Permission(False, f"frozen until {shown(frozen[1], train.tz)}: {frozen[0].why}", at)
    return Permission(False, f"no train to {environment} takes deployments now", at)


def departure(
    root: Path, train: Train, environment: Name, now: datetime, hotfix: str = "", override: str = ""
) -> Permission:
    """Whether a deployment of the project at `root`, whose train in force is `train`, may begin `now`.

    A released `hotfix` may begin at any time, and so may what somebody overrides with a reason; both are on the record
    before this returns. For a command that is about to begin one. Raises SettingsError, NoEvidence.
    """
    found = permission(train, environment, now)
    if found.go or not (hotfix or override):
        return found
    if hotfix:
        _check_released(root, hotfix)
    action = "hotfix" if hotfix else "override"
    subject = f"deployment to {environment} although {found.why}"
    note(root, Entry(at=now, who=who(root), action=action, subject=subject, why=hotfix or override))
    return Permission(True, f"{action} {hotfix or override}, on the record, although {found.why}")


def _check_released(root: Path, hotfix: str) -> None:
    if not is_hotfix(hotfix):
        raise SettingsError(f"{hotfix!r} is no version of a hotfix; they are named hotfix-YYYYMMDD-HHMM")
    faults = {release.version: release.fault for release in releases(root)}
    fault = faults.get(hotfix, "there is no such tag here; artisan hotfix finish makes it")
    if fault:
        raise SettingsError(f"{hotfix}: {fault}")
