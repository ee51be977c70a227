"""No migration gets at a database that is not the gate's own, nothing of the gate is left, and no secret is told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sql
from forked import forked  # noqa: F401
from postgres import VARIABLE, on_server, shared  # noqa: F401
from script_folders import project_of

from pytest_artisan.gates.gate import Project, state_of
from pytest_artisan.gates.migrating import running, runs
from pytest_artisan.gates.migrating.databases import fresh_postgresql, with_lock_timeout
from pytest_artisan.gates.migrating.inside.messages import line_of
from pytest_artisan.gates.tables import Migrations
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State

NOW = datetime(2026, 11, 27, tzinfo=UTC)
SOUND = ("op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))", "op.drop_table('t')")


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """The database of an environment, with something in it."""
    path = tmp_path / "real.db"
    engine = sql.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE precious AS SELECT 'gold' AS what")
    engine.dispose()
    return path


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(
    "step",
    [
        "import sqlite3\nc = sqlite3.connect({path!r})\nc.execute('DROP TABLE precious')\nc.commit()",
        "import sqlite3\nsa.create_engine('sqlite://', creator=lambda: sqlite3.connect({path!r})).connect()",
        "try:\n    sa.create_engine('sqlite:///' + {path!r}).connect()\nexcept Exception:\n    pass",
        "import psycopg\npsycopg.connect('host=127.0.0.1 port=1')",
        "from psycopg import Connection\nConnection.connect(host='127.0.0.1', port=1)",
    ],
    ids=["sqlite3", "creator", "swallowed", "psycopg", "class"],
)
def test_a_revision_that_connects_elsewhere_is_refused(tmp_path: Path, real: Path, step: str) -> None:
    before = real.read_bytes()
    project = project_of(tmp_path, [(step.format(path=str(real)), "op.execute('SELECT 1')")])
    with pytest.raises(NoEvidence, match="asked for another database than the gate's own, which was refused"):
        running.round_trip(Project(project), Migrations(), NOW)
    assert real.read_bytes() == before


@pytest.mark.usefixtures("forked")
def test_a_revision_attaches_no_other_file(tmp_path: Path, real: Path) -> None:
    before = real.read_bytes()
    project = project_of(tmp_path, [(f"op.execute(\"ATTACH '{real}' AS real\")", "pass")])
    evidence = running.round_trip(Project(project), Migrations(), NOW)
    assert "not authorized" in evidence.findings[0].message
    assert (state_of(evidence), real.read_bytes()) == (State.NO_GO, before)


@pytest.mark.usefixtures("on_server", "forked")
def test_the_database_that_the_url_names_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is named in the query, which libpq lets win; and whatever characters are in names and passwords."""
    quoted, password = 'prod "ö" \'', "s3cr&t%/@ü"
    with fresh_postgresql(VARIABLE) as url:
        admin = sql.create_engine(url, isolation_level="AUTOCOMMIT")
        name = admin.dialect.identifier_preparer.quote(quoted)
        with admin.connect() as connection:
            connection.execute(sql.text(f"CREATE ROLE {name} SUPERUSER LOGIN"))
            connection.execute(sql.text("CREATE TABLE precious AS SELECT 'gold' AS what"))
        made = sql.make_url(shared()).set(username=quoted, password=password)
        made = made.update_query_dict({"dbname": str(sql.make_url(url).database)})
        monkeypatch.setenv(VARIABLE, made.render_as_string(hide_password=False))
        told = "raise ValueError(op.get_bind().engine.url.render_as_string(hide_password=False))"
        project = project_of(tmp_path, [SOUND, (told, "pass")])
        evidence = running.round_trip(Project(project), Migrations(postgresql_env=VARIABLE), NOW)
        with admin.connect() as connection:
            assert sql.inspect(connection).get_table_names() == ["precious"]
            assert connection.scalar(sql.text("SELECT what FROM precious")) == "gold"
            connection.execute(sql.text(f"DROP ROLE {name}"))
        admin.dispose()
    text = "\n".join(finding.message for finding in evidence.findings)
    assert [finding.rule for finding in evidence.findings] == ["upgrade-fails"] * 2
    assert ("s3cr" in text, "***" in text) == (False, True)


def test_the_process_does_not_outlive_who_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if its parent had been killed: another is its parent now.
    monkeypatch.setattr(runs, "os", SimpleNamespace(getpid=lambda: 0))
    with pytest.raises(NoEvidence, match="was killed by SIGKILL"):
        running.round_trip(Project(project_of(tmp_path, [("import time\ntime.sleep(60)", "")])), Migrations(), NOW)


def test_the_options_of_a_url_are_kept() -> None:
    made = sql.make_url(with_lock_timeout("postgresql://u@h/x?options=-c%20work_mem%3D8MB", 500))
    assert made.query["options"] == "-c work_mem=8MB -c lock_timeout=500"


def test_an_error_of_any_characters_is_a_line() -> None:
    assert line_of(ValueError("a\ud800\n b")) == "ValueError: a? b"
