"""`artisan train`: when it runs, what makes it, and whether a deployment may begin now."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from pathlib import Path

import msgspec

from pytest_artisan.commands import GO, NO_GO, Commands
from pytest_artisan.commands.arguments import add_reasons, count
from pytest_artisan.git import commit_of
from pytest_artisan.release.environments import NAMES
from pytest_artisan.release.train.branch import train_in_force
from pytest_artisan.release.train.calendar import as_icalendar, as_lines, events
from pytest_artisan.release.train.check import seats, tag_candidate
from pytest_artisan.release.train.times import shown
from pytest_artisan.release.train.timetable import STOPS, Train, load_train
from pytest_artisan.release.train.windows import departure, openings
from pytest_artisan.settings import SettingsError, as_table, one_line, project_root, read_toml

_MOST_WEEKS = 104


def add(commands: Commands) -> None:
    train = commands.add_parser("train", help="the release train").add_subparsers(required=True, metavar="COMMAND")
    following = train.add_parser("next", help="the next trains, with all their moments")
    following.set_defaults(run=_next)
    check = train.add_parser("check", help="whether a commit makes the next train, and why")
    check.add_argument("commit")
    check.set_defaults(run=_check)
    calendar = train.add_parser("calendar", help="the coming weeks, also as iCalendar")
    calendar.add_argument("--weeks", type=count, default=4, help=f"default: 4, at most {_MOST_WEEKS}")
    calendar.add_argument("--format", choices=("text", "ics"), default="text", help="default: text")
    calendar.set_defaults(run=_calendar)
    freeze = train.add_parser("freeze", help="tag what main was at the feature freeze as the release candidate")
    freeze.set_defaults(run=_freeze)
    opened = train.add_parser("open", help="whether a deployment may begin now")
    opened.add_argument("environment", choices=NAMES)
    add_reasons(opened)
    opened.set_defaults(run=_open)


def _train(root: Path) -> Train:
    """The train in force; that a change of this checkout is not, yet, is told."""
    train = train_in_force(root)
    if msgspec.structs.replace(load_train(root), freezes=train.freezes) != train:
        print("the timetable of main counts; that of this checkout differs", file=sys.stderr)
    return train


def _next(options: argparse.Namespace) -> int:
    now, train = options.clock(), _train(project_root(Path.cwd()))
    until = max(next(openings(train, stop, now))[1] for stop in STOPS)
    print("\n".join(as_lines(train, events(train, now, until), now)))
    return GO


def _check(options: argparse.Namespace) -> int:
    root = project_root(Path.cwd())
    train = _train(root)
    found = seats(root, train, options.commit, options.clock())
    short = commit_of(root, options.commit)[:12]
    for seat in found:
        answer = "GO" if seat.go else "NO-GO"
        print(f"{answer}: {short} for the train to {seat.stop} of {shown(seat.at, train.tz)}: {seat.why}")
    return GO if found[0].go else NO_GO


def _calendar(options: argparse.Namespace) -> int:
    if options.weeks > _MOST_WEEKS:
        raise SettingsError(f"--weeks {options.weeks}: at most {_MOST_WEEKS}")
    root, now = project_root(Path.cwd()), options.clock()
    train = _train(root)
    found = events(train, now, now + timedelta(weeks=options.weeks))
    if options.format == "ics":
        print(as_icalendar(train, found, now, _project(root)), end="")
    else:
        print("\n".join(as_lines(train, found, now)))
    return GO


def _project(root: Path) -> str:
    path = root / "pyproject.toml"
    project = as_table(read_toml(path).get("project", {}), f"{path.name} [project]") if path.exists() else {}
    return str(project.get("name", ""))


def _freeze(options: argparse.Namespace) -> int:
    root = project_root(Path.cwd())
    tag = tag_candidate(root, _train(root), options.clock())
    commit = commit_of(root, f"refs/tags/{tag}")[:12]
    print(f"{tag} is {commit}, which main was at the feature freeze; git push origin {tag} tells the others")
    return GO


def _open(options: argparse.Namespace) -> int:
    root = project_root(Path.cwd())
    train = _train(root)
    found = departure(root, train, options.environment, options.clock(), options.hotfix, options.override)
    following = f"; the next window opens {shown(found.next, train.tz)}" if found.next else ""
    print(one_line(f"{'GO' if found.go else 'NO-GO'}: {found.why}{following}"))
    return GO if found.go else NO_GO
