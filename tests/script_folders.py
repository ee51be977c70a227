"""Small projects with migrations, for the tests."""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from pytest_artisan.gates.migrating.reading import directory_of
from pytest_artisan.gates.migrating.steps import Directory

ENV = """\
from alembic import context
import sqlalchemy as sa
from models import METADATA

def run(connection):
    context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()

given = context.config.attributes["connection"]
if isinstance(given, sa.Engine):
    with given.begin() as connection:
        run(connection)
else:
    run(given)
"""
_REVISION = """\
import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {down!r}


def upgrade():
{up}


def downgrade():
{back}
"""


def project_of(
    root: Path, revisions: Sequence[tuple[str, str]], models: str = "", env: str = ENV, *, in_a_line: bool = True
) -> Path:
    """A project whose revisions, "1" and so on, have these bodies of `upgrade` and `downgrade`.

    Where they are not in a line, all others come after the first.
    """
    (root / "migrations" / "versions").mkdir(parents=True, exist_ok=True)
    (root / "alembic.ini").write_text(
        "[alembic]\nscript_location = migrations\npath_separator = os\n", encoding="utf-8"
    )
    (root / "migrations" / "env.py").write_text(env, encoding="utf-8")
    head = "import sqlalchemy as sa\nMETADATA = sa.MetaData()\n"
    (root / "models.py").write_text(head + textwrap.dedent(models), encoding="utf-8")
    for number, (up, back) in enumerate(revisions, 1):
        down = None if number == 1 else str(number - 1) if in_a_line else "1"
        bodies = {"up": _body(up), "back": _body(back)}
        text = _REVISION.format(revision=str(number), down=down, **bodies)
        (root / "migrations" / "versions" / f"r{number:02}.py").write_text(text, encoding="utf-8")
    return root


def _body(text: str) -> str:
    return textwrap.indent(textwrap.dedent(text).strip() or "pass", "    ")


def read_in_place(root: Path, dialect: str = "") -> Directory:
    """The directory as the reading process has it, which is started in the project's root."""
    with contextlib.chdir(root), mock.patch.object(sys, "pycache_prefix", os.devnull):
        return directory_of(root, "alembic.ini", dialect)
