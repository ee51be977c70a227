"""Runs of a project's migrations by a process of its own, on the gate's own databases; what it answers as findings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pytest_artisan import tools
from pytest_artisan.gates.migrating.inside.messages import Action, Answer, Request, Run, Trouble
from pytest_artisan.gates.tables import Migrations
from pytest_artisan.release.secrets import Masker
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import Finding, NoEvidence

_INSIDE = Path(__file__).with_name("inside")


def ask(action: Action, tree: Path, table: Migrations, urls: Mapping[str, str], **request: Any) -> dict[str, Run]:
    """What the process answers for each of the databases. Raises NoEvidence with one line.

    It finds `tree` as the project's root, and nothing of this environment that could lead to a database.
    """
    asked = Request(action=action, parent=os.getpid(), ini=table.config, urls=dict(urls), **request)
    try:
        said = tools.run(
            sys.executable,
            [str(_INSIDE)],
            cwd=tree,
            timeout_s=table.timeout_s,
            stdin=msgspec.json.encode(asked).decode(),
        )
    except NoEvidence as error:
        raise NoEvidence(str(error).replace(sys.executable, "the process that runs the migrations")) from None
    try:
        answer = msgspec.json.decode(said.stdout, type=Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        lines = said.stderr.strip().splitlines() or [f"exit status {said.status}, no output"]
        raise NoEvidence(f"the migrations ended the process that ran them: {_shown(lines[-1])}") from None
    if answer.refused:
        raise NoEvidence(_shown(answer.refused))
    if answer.runs.keys() != urls.keys():
        raise NoEvidence("the process that runs the migrations did not answer for every database")
    return answer.runs


def _shown(text: str) -> str:
    return one_line(Masker().text(text))[:500]


def findings_of(runs: Mapping[str, Run], tree: Path, table: Migrations) -> Iterator[tuple[str, Finding]]:
    """A finding for each trouble, with the revision that it is about."""
    for dialect, run in runs.items():
        for trouble in dict.fromkeys(run.troubles):
            about = f"{trouble.revision} " if trouble.revision else ""
            message = _shown(f"{about}{trouble.message} (on {dialect})")
            place = _place(trouble, tree, table)
            yield trouble.revision, Finding("migrations", trouble.rule, message, place, max(trouble.line, 1))


def _place(trouble: Trouble, tree: Path, table: Migrations) -> str:
    """Below the project's root; where it is not about a revision, the configuration of Alembic."""
    if not trouble.path:
        return table.config
    path = Path(trouble.path)
    return path.relative_to(tree).as_posix() if path.is_relative_to(tree) else path.as_posix()
