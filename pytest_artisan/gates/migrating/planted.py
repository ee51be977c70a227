"""Planted violations for the checks that run migrations: small projects, each with one thing wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.gates.migrating import running
from pytest_artisan.gates.migrating.compatibility import between
from pytest_artisan.gates.tables import DualWriteTable, Migrations

_ENV = """\
import sqlalchemy as sql
from alembic import context

models = sql.MetaData()
sql.Table("planted", models, sql.Column("id", sql.Integer, primary_key=True), sql.Column("name", sql.String(20)){more})
context.configure(connection=context.config.attributes["connection"], target_metadata=models)
with context.begin_transaction():
    context.run_migrations()
"""
_FIRST = """\
import sqlalchemy as sql
from alembic import op

revision = "1"
down_revision = None


def upgrade():
    op.create_table("planted", sql.Column("id", sql.Integer, primary_key=True), sql.Column("name", sql.String(20)))


def downgrade():
    op.drop_table("planted")
"""
_SECOND = """\
from alembic import op

revision = "2"
down_revision = "1"


def upgrade():
    for statement in {statements!r}:
        op.execute(statement)


def downgrade():
    pass
"""
_WRITE = """\
import sqlalchemy as sql


def write(connection, value):
    connection.execute(sql.text("INSERT INTO planted (name) VALUES (:value)"), {"value": value})
"""
_ADD, _DROP = "ALTER TABLE planted ADD COLUMN title VARCHAR(20)", "ALTER TABLE planted DROP COLUMN name"


def round_trip(project: Project, table: Migrations, now: datetime) -> CheckEvidence:
    """A downgrade that does nothing."""
    with _project(_ADD) as planted:
        return running.round_trip(planted, Migrations(), now)


def models(project: Project, table: Migrations, now: datetime) -> CheckEvidence:
    """A column that no revision makes."""
    with _project(more=', sql.Column("title", sql.String(20))') as planted:
        return running.models(planted, Migrations(), now)


def compatibility(project: Project, table: Migrations, now: datetime) -> CheckEvidence:
    """A column dropped that the last release reads."""
    with _project() as old, _project(_DROP) as planted:
        return between(planted, Migrations(), old.root, "planted", now)


def dual_write(project: Project, table: Migrations, now: datetime) -> CheckEvidence:
    """A write that fills the old column alone."""
    declared = DualWriteTable(table="planted", old="name", new="title", write="planted:write")
    with _project(_ADD) as planted:
        (planted.root / "planted.py").write_text(_WRITE, encoding="utf-8")
        return running.dual_write(planted, Migrations(dual_write=(declared,)), now)


def locks(project: Project, table: Migrations, now: datetime) -> CheckEvidence:
    """A table that is locked for longer than it may be."""
    with _project("LOCK TABLE planted", "SELECT pg_sleep(0.2)") as planted:
        asked = Migrations(postgresql_env=table.postgresql_env, lock_rows=10, stall_ms=100)
        return running.under_load(planted, asked, ("2",), now)


@contextmanager
def _project(*statements: str, more: str = "") -> Iterator[Project]:
    """A project with a second revision that executes these where there are any, and whose models have more columns than it makes."""
    with tempfile.TemporaryDirectory(prefix="artisan-drill-") as name:
        folder = Path(name)
        (folder / "versions").mkdir()
        (folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s\n", encoding="utf-8")
        (folder / "env.py").write_text(_ENV.format(more=more), encoding="utf-8")
        (folder / "versions" / "r1.py").write_text(_FIRST, encoding="utf-8")
        if statements:
            (folder / "versions" / "r2.py").write_text(_SECOND.format(statements=statements), encoding="utf-8")
        yield Project(folder)
