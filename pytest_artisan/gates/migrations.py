"""The gate `migrations`: one way up, which the release that still runs survives, and a way down again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pytest_artisan.gates.gate import Check, CheckEvidence, Gate, Project
from pytest_artisan.gates.tables import Migrations
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import Finding, measured

_PLANTED = """\
from alembic import op

revision = "{id}"
down_revision = None


def upgrade():
    op.drop_column("planted", "column")


def downgrade():
    pass
"""


def _heads(project: Project, table: Migrations) -> CheckEvidence:
    """Where the revisions begin and end."""
    from pytest_artisan.gates.migrating.revisions import read

    directory = read(project, table)
    findings = [Finding("migrations", one.rule, one_line(one.message), one.path, 1) for one in directory.problems]
    by_id = {revision.id: revision.path for revision in directory.revisions}
    counts = [measured("faults of the history", len(findings), unit="count", at_most=0)]
    if findings:
        # What is broken as a whole has no number of heads.
        return CheckEvidence(tuple(counts), tuple(findings))
    for name, ids, hint in (
        ("heads", directory.heads, "alembic merge makes one of several"),
        ("bases", directory.bases, "a new revision needs its down_revision"),
    ):
        counts.append(measured(name, len(ids), unit="count", equal_to=1))
        if len(ids) > 1:
            message = one_line(f"{len(ids)} {name}: {', '.join(ids)}; {hint}")
            findings += [Finding("migrations", name, message, by_id[id_], 1) for id_ in ids]
    return CheckEvidence(tuple(counts), tuple(findings))


def _operations(project: Project, table: Migrations) -> CheckEvidence:
    """What new revisions do, by the rules."""
    from pytest_artisan.gates.migrating.evidence import of_operations

    return of_operations(project, table, datetime.now(UTC))


def _run(name: str, project: Project, table: Migrations) -> CheckEvidence:
    """What happens to databases of the gate's own."""
    from pytest_artisan.gates.migrating import running
    from pytest_artisan.gates.migrating.compatibility import compatibility

    check = compatibility if name == "compatibility" else getattr(running, name)
    evidence: CheckEvidence = check(project, table, datetime.now(UTC))
    return evidence


def _run_drill(name: str, project: Project, table: Migrations) -> CheckEvidence:
    """The same for a planted project."""
    from pytest_artisan.gates.migrating import planted

    evidence: CheckEvidence = getattr(planted, name)(project, table, datetime.now(UTC))
    return evidence


def _heads_drill(project: Project, table: Migrations) -> CheckEvidence:
    """Two revisions that both begin, and both end."""
    with tempfile.TemporaryDirectory(prefix="artisan-drill-") as folder:
        return _heads(*_planted(Path(folder), "1", "2"))


def _operations_drill(project: Project, table: Migrations) -> CheckEvidence:
    """A column dropped at once."""
    from pytest_artisan.git import done

    with tempfile.TemporaryDirectory(prefix="artisan-drill-") as folder:
        done(Path(folder), "init", "--quiet")
        return _operations(*_planted(Path(folder), "1"))


def _planted(folder: Path, *ids: str) -> tuple[Project, Migrations]:
    """A project whose revisions drop a column."""
    (folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s\n", encoding="utf-8")
    (folder / "versions").mkdir()
    for id_ in ids:
        (folder / "versions" / f"r{id_}.py").write_text(_PLANTED.format(id=id_), encoding="utf-8")
    return Project(folder), Migrations()


def _absent(project: Project) -> str | None:
    if (project.root / "alembic.ini").exists() or "alembic" in project.pyproject.get("tool", {}):
        return None
    return "no alembic.ini"


# Whether a table wants the check, and what its drill plants.
_RUNS: dict[str, tuple[Callable[[Migrations], bool], str]] = {
    "round_trip": (lambda table: True, "a downgrade that does nothing"),
    "models": (lambda table: True, "a column that no revision makes"),
    "compatibility": (lambda table: True, "a column dropped that the old release needs"),
    "dual_write": (lambda table: bool(table.dual_write), "a write of one column of two"),
    "locks": (lambda table: table.postgresql_env is not None, "a long lock"),
}

GATE = Gate(
    "migrations",
    "the database goes up under the release that still runs, and down again",
    Migrations,
    (
        Check("heads", _heads, _heads_drill, planted="two revisions that both begin"),
        Check("operations", _operations, _operations_drill, planted="a column that is dropped at once"),
        *(
            Check(
                name, partial(_run, name), partial(_run_drill, name), wanted, exclusive=name == "locks", planted=planted
            )
            for name, (wanted, planted) in _RUNS.items()
        ),
    ),
    absent=_absent,
)
"""The order is that of a report: what is wrong as a whole comes first."""
