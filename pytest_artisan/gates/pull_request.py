"""The gate `pull_request`: a branch is small, young and well named, and keeps the promises of its template."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from pytest_artisan.gates.changing.change import Change, change_of, why_inapplicable
from pytest_artisan.gates.changing.evidence import TEMPLATES, age_of, boxes_of, name_of, size_of
from pytest_artisan.gates.changing.github import request_of
from pytest_artisan.gates.gate import Check, CheckEvidence, Gate, Project
from pytest_artisan.gates.tables import PullRequest
from pytest_artisan.git import done
from pytest_artisan.settings import seconds
from pytest_artisan.verdict.evidence import NoEvidence


def _run(judged: Callable[[Change], CheckEvidence], project: Project, table: PullRequest) -> CheckEvidence:
    return judged(change_of(project, table, os.environ, datetime.now(UTC)))


def _drill(judged: Callable[[Change], CheckEvidence], project: Project, table: PullRequest) -> CheckEvidence:
    """The same for a planted branch that breaks every rule, by the default limits."""
    with tempfile.TemporaryDirectory(prefix="artisan-drill-") as name:
        now = datetime.now(UTC)
        environment = _planted(Path(name), PullRequest(), now)
        return judged(change_of(Project(Path(name, "planted")), PullRequest(), environment, now))


def _planted(folder: Path, table: PullRequest, now: datetime) -> Mapping[str, str]:
    """Make the repository in the folder "planted" of this one, and return the variables of its pull request."""
    root = folder / "planted"
    (root / ".github").mkdir(parents=True)
    (root / TEMPLATES[0]).write_text("- [ ] Planted\n", encoding="utf-8")
    started = now - timedelta(seconds=seconds(table.branch_age))
    base = _committed(root, folder, started, "init", "--quiet", "--initial-branch=main")
    (root / "planted.txt").write_text("planted\n" * table.changed_lines, encoding="utf-8")
    tip = _committed(root, folder, started, "checkout", "--quiet", "-b", "planted")
    sides = {"head": {"ref": "planted", "sha": tip}, "base": {"ref": "main", "sha": base}}
    (folder / "event.json").write_text(json.dumps({"pull_request": {**sides, "body": None}}), encoding="utf-8")
    return {"GITHUB_EVENT_PATH": str(folder / "event.json")}


def _committed(root: Path, home: Path, date: datetime, *before: str) -> str:
    """The id of a commit of all that is there, after another command; nobody's settings of git count."""
    when = f"{int(date.timestamp())} +0000"
    own = {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    done(root, *before, extra=own)
    done(root, "add", "--all", extra=own)
    names = ("-c", "user.name=drill", "-c", "user.email=drill@localhost")
    done(root, *names, "commit", "--quiet", "--message=planted", extra=own)
    return done(root, "rev-parse", "HEAD").stdout.strip()


def _in_request() -> bool:
    """Whether this run is for a pull request, or nobody can tell."""
    try:
        return request_of(os.environ) is not None
    except NoEvidence:
        return True


def _check(name: str, judged: Callable[[Change], CheckEvidence], planted: str) -> Check:
    return Check(name, partial(_run, judged), partial(_drill, judged), planted=planted)


GATE = Gate(
    "pull_request",
    "small, young, well named",
    PullRequest,
    (
        _check("lines", size_of, "400 changed lines"),
        _check("age", age_of, "a branch of 48 hours"),
        _check("name", name_of, "a branch called planted"),
        replace(_check("boxes", boxes_of, "a box that nobody ticked"), wanted=lambda table: _in_request()),
    ),
    absent=lambda project: None if _in_request() else "not configured, and no pull request of GitHub Actions",
    inapplicable=lambda project, table: why_inapplicable(project, table, os.environ),
)
