"""The HTML report, with what a project knows besides the verdict: its name, its earlier runs and its canaries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from pytest_artisan.files import OWN_FOLDER
from pytest_artisan.release.canary.machine import Phase
from pytest_artisan.release.canary.runs import Moment, kept
from pytest_artisan.release.health import Ruling
from pytest_artisan.release.secrets import Masker
from pytest_artisan.reports.html.history import earlier
from pytest_artisan.reports.html.page import as_html
from pytest_artisan.reports.html.rollouts import Rollout, Step
from pytest_artisan.reports.publish import Renderer
from pytest_artisan.settings import SettingsError, read_toml
from pytest_artisan.verdict.decide import Verdict

# A canary that ended before is history, and no longer news.
_NEWS = timedelta(days=7)
# As many as a canary keeps; a file may hold any number.
_MOST_STEPS = 400


def page_of(root: Path, reports: Iterable[Path], at: datetime, masker: Masker) -> Renderer:
    """Makes the page of a masked verdict that was made at `at`; `reports` are those that it takes the place of."""
    replaced, project = list(reports), _name(root)

    def rendered(verdict: Verdict) -> str:
        runs, remark = earlier(replaced, project, at)
        rollouts, remarks = list[Rollout](), [remark] if remark else []
        for path in sorted((root / OWN_FOLDER / f"deploy-{verdict.environment}").glob("canary-*.json")):
            try:
                rollouts += _told(path, at, masker)
            except SettingsError as error:
                remarks.append(str(error))
        return as_html(verdict, at, project=project, earlier=runs, rollouts=rollouts, remarks=remarks)

    return rendered


def _name(root: Path) -> str:
    with suppress(SettingsError, KeyError, TypeError):
        return str(read_toml(root / "pyproject.toml")["project"]["name"])
    return root.name


def _told(path: Path, at: datetime, masker: Masker) -> Iterator[Rollout]:
    """Raises SettingsError for a file that can not be read."""
    run = kept(path)
    if run is not None and run.timeline and at - run.timeline[-1].at <= _NEWS:
        is_back = run.state.phase in (Phase.RETURNING, Phase.BACK)
        yield Rollout(
            masker.text(run.line), is_back, tuple(_step(moment, masker) for moment in run.timeline[-_MOST_STEPS:])
        )


def _step(moment: Moment, masker: Masker) -> Step:
    percent = 0.0 if moment.what in ("admitted", "returned") else moment.percent
    is_bad = moment.what in ("expired", "back", "returned") or moment.ruling is Ruling.ROLL_BACK
    kind = "bad" if is_bad else "good" if moment.ruling is Ruling.HEALTHY else "plain"
    seen = moment.seen
    what = moment.what if moment.what != "looked" else f"looked: {moment.ruling or 'nothing seen'}"
    return Step(moment.at, what.replace("_", " "), percent, kind, seen.requests, seen.errors, masker.text(moment.text))
