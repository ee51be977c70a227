"""Whether a commit makes a train, and the tag that a feature freeze puts on what does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pytest_artisan.git import commit_of, done
from pytest_artisan.release.record import who
from pytest_artisan.release.train.branch import contains, id_of, main_before, main_of
from pytest_artisan.release.train.times import shown
from pytest_artisan.release.train.timetable import STOPS, Run, Stop, Train
from pytest_artisan.release.train.windows import openings
from pytest_artisan.settings import SettingsError


@dataclass(frozen=True, slots=True)
class Seat:
    """Whether a commit makes the train that takes deployments to `stop` from `at` (UTC) on, and why."""

    stop: Stop
    at: datetime
    go: bool
    why: str


def seats(root: Path, train: Train, ref: str, now: datetime) -> tuple[Seat, ...]:
    """Whether the commit makes the next train, and the next one to the other environment, in their order.

    Raises NoEvidence where git knows no such commit, or can not tell.
    """
    commit = commit_of(root, ref)
    found = []
    for stop in STOPS:
        run, at = next(openings(train, stop, now))
        go, why = _judged(root, train, run, stop, commit, now)
        found.append(Seat(stop, at, go, why))
    return tuple(sorted(found, key=lambda seat: seat.at))


def _judged(root: Path, train: Train, run: Run, stop: Stop, commit: str, now: datetime) -> tuple[bool, str]:
    """By the candidate's tag, where the freeze has made it; before, and to stg, by what is on main."""
    freeze = shown(run.freeze, train.tz)
    early = now < run.freeze
    if not contains(root, main_of(root), commit):
        return False, f"it is not on main; the feature freeze {'is' if early else 'was'} {freeze}"
    if early:
        return True, f"it is on main, and the feature freeze is {freeze}"
    candidate = id_of(root, f"refs/tags/{run.tag}")
    if candidate is not None:
        within = contains(root, candidate, commit)
        return within, f"it is {'in' if within else 'not in'} {run.tag}"
    if stop == "prod":
        return False, f"no tag {run.tag} here says what is in stg"
    within = contains(root, main_before(root, run.freeze), commit)
    came = "before" if within else "after"
    return within, f"it came to main {came} the feature freeze of {freeze}; there is no tag {run.tag} yet"


def tag_candidate(root: Path, train: Train, now: datetime) -> str:
    """Put the annotated tag `release-candidate-YYYYMMDD` on what main was at the feature freeze; returns the tag.

    Raises SettingsError before the freeze, after the train to stg, on a changed checkout and where the tag exists.
    """
    run = _frozen_run(train, now)
    if id_of(root, f"refs/tags/{run.tag}"):
        raise SettingsError(f"the tag {run.tag} exists; a feature freeze has one candidate")
    if done(root, "status", "--porcelain", "--untracked-files=no").stdout:
        raise SettingsError("files of this checkout are changed; commit them or take them back first")
    commit = main_before(root, run.freeze)
    text = f"Feature freeze of {shown(run.freeze, train.tz)}\n\nTagged-By: {who(root)}"
    done(
        root, "tag", "-a", "-m", text, run.tag, commit, extra={"GIT_COMMITTER_DATE": now.isoformat(timespec="seconds")}
    )
    return run.tag


def _frozen_run(train: Train, now: datetime) -> Run:
    """The run after whose freeze, and before the end of whose train to stg, it is. Raises SettingsError."""
    run = next(run for run in train.runs(now) if now < run.stg + train.opening)
    if now < run.freeze:
        raise SettingsError(f"the next feature freeze is {shown(run.freeze, train.tz)}; there is no candidate before")
    return run
