"""New revisions under a reader and a writer, on a real server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from forked import forked  # noqa: F401
from postgres import VARIABLE, on_server  # noqa: F401
from script_folders import project_of

from pytest_artisan.gates.gate import CheckEvidence, Project, state_of
from pytest_artisan.gates.migrating import planted, running
from pytest_artisan.gates.tables import Migrations
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State

ROOT = Path(__file__).parent.parent
NOW = datetime(2026, 11, 27, tzinfo=UTC)
CREATE = "op.create_table('dna', sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.String(40), nullable=False))"
ADD = "op.add_column('dna', sa.Column('more', sa.Integer))"
# Somebody else holds the table; it is this very revision, by another connection.
BLOCKED = f"""
with op.get_bind().engine.connect() as other:
    other.exec_driver_sql("LOCK TABLE dna")
    {ADD}
"""

pytestmark = pytest.mark.usefixtures("on_server", "forked")


def under_load(root: Path, up: str, stall_ms: float = 500) -> CheckEvidence:
    table = Migrations(postgresql_env=VARIABLE, lock_rows=1000, stall_ms=stall_ms)
    return running.under_load(Project(project_of(root, [(CREATE, "pass"), (up, "pass")])), table, ("2",), NOW)


def test_a_quick_change_under_load_is_go(tmp_path: Path) -> None:
    evidence = under_load(tmp_path, ADD)
    assert (evidence.findings, state_of(evidence)) == ((), State.GO)
    done, reader, writer = evidence.measurements
    assert (done.value, reader.name, writer.name) == (
        1,
        "reader's longest stall while 2 ran",
        "writer's longest stall while 2 ran",
    )
    assert all(stall.n is not None and stall.n > 0 and (stall.value or 0) > 0 for stall in (reader, writer))


def test_a_long_lock_stalls_reader_and_writer() -> None:
    evidence = planted.locks(Project(ROOT), Migrations(postgresql_env=VARIABLE), NOW)
    assert state_of(evidence) is State.NO_GO
    assert all((stall.value or 0) >= 190 for stall in evidence.measurements[1:])


@pytest.mark.parametrize(
    ("up", "rule", "told"),
    [
        (BLOCKED, "lock-timeout", "gets no lock in time: LockNotAvailable"),
        ("op.drop_column('dna', 'name')", "client-error", "reader fails meanwhile: UndefinedColumn"),
    ],
    ids=["blocked", "dropped"],
)
def test_what_goes_wrong_under_load_is_told(tmp_path: Path, up: str, rule: str, told: str) -> None:
    evidence = under_load(tmp_path, up, stall_ms=300)
    assert any(finding.rule == rule and told in finding.message for finding in evidence.findings)
    assert state_of(evidence) is State.NO_GO


def test_without_a_new_revision_there_is_nothing_to_run_and_without_a_server_no_evidence(tmp_path: Path) -> None:
    root = project_of(tmp_path, [(CREATE, "pass")])
    evidence = running.under_load(Project(root), Migrations(postgresql_env=VARIABLE), (), NOW)
    assert (len(evidence.measurements), state_of(evidence)) == (1, State.GO)
    with pytest.raises(NoEvidence, match="names no server"):
        running.under_load(Project(root), Migrations(), (), NOW)
