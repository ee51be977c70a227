"""Whether a commit makes a train, and the tag that a feature freeze puts on what does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pytest_artisan.git import commit_of, done
from pytest_artisan.release.record import who
from pytest_artisan.release.train.branch import contains, id_of, main_before, main_of
from pytest_artisan.release.train.times import shown
from pytest_artisan.release.train.timetable import STOPS, Run, Stop, Train
from pytest_artisan.release.train.windows import opening, openings
from pytest_artisan.release.worktree import worktree
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
    early, main = now < run.freeze, main_of(root)
    name = main.removeprefix("refs/remotes/").removeprefix("refs/heads/")
    if not contains(root, main, commit):
        missed = f"merge it before the feature freeze of {freeze}" if early else f"the feature freeze was {freeze}"
        return False, f"it is not on {name}; {missed}"
    if stop == "prod" and opening(train, "stg", run, run.stg) is None:
        return False, f"the train to stg of {shown(run.stg, train.tz)}, which takes it there first, is cancelled"
    if early:
        return True, f"it is on {name}, and the feature freeze is {freeze}"
    candidate = id_of(root, f"refs/tags/{run.tag}")
    if candidate is not None:
        within = contains(root, candidate, commit)
        return within, f"it is {'in' if within else 'not in'} {run.tag}"
    if stop == "prod":
        return False, f"no tag {run.tag} here says what is in stg; git fetch --tags brings it, where there is one"
    within = contains(root, main_before(root, run.freeze), commit)
    came = "before" if within else "after"
    missing = f"there is no tag {run.tag} here yet (git fetch --tags, or artisan train freeze)"
    return within, f"it came to {name} {came} the feature freeze of {freeze}; {missing}"


def tag_candidate(root: Path, train: Train, now: datetime) -> str:
    """Put the annotated tag `release-candidate-YYYYMMDD` on what main was at the feature freeze; returns the tag.

    Raises SettingsError before the freeze, after the train to stg, on a changed checkout and where the tag exists.
    """
    run = _frozen_run(train, now)
    if id_of(root, f"refs/tags/{run.tag}"):
        raise SettingsError(f"the tag {run.tag} exists; a feature freeze has one candidate")
    if told := replace(worktree(root), untracked=()).told:
        raise SettingsError(f"commit or stash what differs from the last commit: {told}")
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
        following = f"the next feature freeze is {shown(run.freeze, train.tz)}"
        raise SettingsError(f"{following}; a candidate is tagged from then on, until its train to stg is over")
    return run
