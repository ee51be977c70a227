"""Blue/green: the models of the last release on the database that this tree's migrations have upgraded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from pytest_artisan.gates.base import checked_out
from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.gates.migrating.databases import fresh_databases
from pytest_artisan.gates.migrating.history import history_of
from pytest_artisan.gates.migrating.inside.messages import OLD_RULES, Run
from pytest_artisan.gates.migrating.running import evidence, reach
from pytest_artisan.gates.migrating.runs import ask
from pytest_artisan.gates.tables import Migrations
from pytest_artisan.settings import read_toml
from pytest_artisan.verdict.evidence import Finding


def compatibility(project: Project, table: Migrations, now: datetime) -> CheckEvidence:
    """By the models of the newest release; by this tree's own where there is none with migrations, which is said.

    Raises NoEvidence.
    """
    with _released(project, table) as (tree, name):
        if name:
            return between(project, table, tree, name, now)
    with fresh_databases(project, table) as urls:
        runs = ask("alone", project.root, table, urls)
    reached = reach("operations of this tree's models", runs, "operations")
    found = evidence(project, table, runs, reached, OLD_RULES, now)
    told = "no release has migrations yet, so this tree's own models were tried in the place of older ones"
    remark = Finding("migrations", "no-release", told, table.config, 1, blocks=False)
    return CheckEvidence(found.measurements, (*found.findings, remark))


@contextmanager
def _released(project: Project, table: Migrations) -> Iterator[tuple[Path, str]]:
    """The files and the name of the newest release; no name where there is none, or it had no migrations."""
    found = history_of(project.root).releases
    if not found:
        yield project.root, ""
        return
    with checked_out(project.root, found[0].commit) as tree:
        yield tree, found[0].version if _config_of(tree, table) else ""


def _config_of(tree: Path, table: Migrations) -> str | None:
    """Alembic's configuration in a release's files, which may have had another name; None where it had no migrations."""
    pyproject = tree / "pyproject.toml"
    tools = read_toml(pyproject).get("tool", {}) if pyproject.exists() else {}
    said = tools.get("artisan", {}).get("migrations", {}).get("config")
    names = [name for name in (said, table.config, "alembic.ini") if isinstance(name, str) and (tree / name).is_file()]
    return names[0] if names else "alembic.ini" if "alembic" in tools else None


def between(project: Project, table: Migrations, old: Path, name: str, now: datetime) -> CheckEvidence:
    """The models of the tree `old`, which people know as `name`, on a database that the project's tree upgrades.

    The old tree makes and fills it, this one upgrades it, the old one uses it on, and this one reads what that wrote.
    Raises NoEvidence.
    """
    new, other = project.root, str(project.root)
    before = msgspec.structs.replace(table, config=_config_of(old, table) or table.config)
    with fresh_databases(project, table) as urls:
        made = ask("prepare", old, before, urls, other=other)
        upgraded = ask("upgrade", new, table, urls)
        choices = {dialect: run.choices for dialect, run in made.items()}
        used = ask("use", old, before, urls, other=other, choices=choices)
        read = ask("read", new, table, urls)
    runs = {
        dialect: _together(run, name, made[dialect], used[dialect], read[dialect]) for dialect, run in upgraded.items()
    }
    reached = reach(f"operations of {name}'s models", used, "operations")
    return evidence(project, table, runs, reached, OLD_RULES, now)


def _together(upgraded: Run, name: str, made: Run, used: Run, read: Run) -> Run:
    """All that went wrong, at the newest revision."""
    told = [(f"before the upgrade, models of {name}: ", made), (f"after the upgrade, models of {name}: ", used)]
    told.append((f"what models of {name} wrote, read by this tree's: ", read))
    place = {"revision": upgraded.head, "path": upgraded.path}
    troubles = [
        msgspec.structs.replace(trouble, message=f"{prefix}{trouble.message}", **place)
        for prefix, run in told
        for trouble in run.troubles
    ]
    return Run(troubles=troubles)
