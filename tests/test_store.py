"""The service's database: its schema and migrations, what races leave behind, and where it is."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest
import sqlalchemy as sql
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from pytest_artisan.fragrance.evolution import HOUSE_BRIEF, evolve
from pytest_artisan.fragrance.experiments import Checkpoint, Experiment
from pytest_artisan.fragrance.refinement import Refinement
from pytest_artisan.release.environments import get_config
from pytest_artisan.service.databases import address_of
from pytest_artisan.service.schema import CHECKPOINTS, EXPERIMENTS, FEEDBACK, HEAD, TABLES
from pytest_artisan.service.store import DatabaseStore, StoreError
from pytest_artisan.settings import SettingsError

ROOT = Path(__file__).parent.parent
DNA = evolve(HOUSE_BRIEF, generations=3)[1]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'artisan.db'}"


def config_of(connection: sql.Connection) -> Config:
    config = Config(ROOT / "alembic.ini")
    config.attributes["connection"] = connection
    return config


def revision_of(url: str) -> str | None:
    engine = sql.create_engine(url)
    with engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    return revision


def shape_of(connection: sql.Connection) -> dict[str, object]:
    """Tables, columns, keys and indices as the database itself tells them."""
    seen = sql.inspect(connection)
    return {
        table: (
            [(c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(table)],
            seen.get_pk_constraint(table)["constrained_columns"],
            [(k["constrained_columns"], k["referred_table"]) for k in seen.get_foreign_keys(table)],
            [u["column_names"] for u in seen.get_unique_constraints(table)],
            [(i["name"], i["column_names"]) for i in seen.get_indexes(table)],
        )
        for table in sorted(TABLES.tables)
    }


def test_migrations_and_metadata_make_the_same_schema(url: str) -> None:
    migrated, made = sql.create_engine(url), sql.create_engine("sqlite://")
    with migrated.begin() as connection, made.begin() as other:
        command.upgrade(config_of(connection), "head")
        TABLES.create_all(other)
        assert compare_metadata(MigrationContext.configure(connection), TABLES) == []
        assert shape_of(connection) == shape_of(other)
        [head] = ScriptDirectory.from_config(config_of(connection)).get_heads()
        assert head == HEAD
        command.downgrade(config_of(connection), "base")
        assert sql.inspect(connection).get_table_names() == ["alembic_version"]
    migrated.dispose()
    made.dispose()


@pytest.mark.parametrize("versioned", [False, True], ids=["before there were revisions", "first revision"])
def test_an_older_database_is_migrated_with_its_rows(url: str, versioned: bool) -> None:
    engine = sql.create_engine(url)
    with engine.begin() as connection:
        if versioned:
            command.upgrade(config_of(connection), "0001")
        else:
            TABLES.create_all(connection, tables=[EXPERIMENTS, FEEDBACK, CHECKPOINTS])
        connection.execute(EXPERIMENTS.insert().values(id="a-0", subject="a", record=b"asked"))
        connection.execute(FEEDBACK.insert().values(experiment="a-0", record=b"said"))
        connection.execute(CHECKPOINTS.insert().values(subject="a", algorithm="PPO", learnt=1, content=b"learnt"))
    engine.dispose()
    for _ in range(2):
        store = DatabaseStore(url)
        assert store.feedback("a") == [(b"asked", b"said")]
        assert store.load("a", "PPO") == Checkpoint(1, b"learnt")
        store.close()
    store = DatabaseStore(url)
    store.add_dna("d", b"dna")
    assert store.dna("d") == b"dna"
    store.close()
    assert revision_of(url) == HEAD


def test_a_new_database_needs_no_alembic_and_one_from_the_future_is_told_in_one_line(url: str) -> None:
    code = "import sys; from pytest_artisan.service.store import DatabaseStore; DatabaseStore(sys.argv[1]).close();"
    code += "assert not {'alembic', 'fastapi', 'numpy.random'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code, url], check=True)
    assert revision_of(url) == HEAD
    engine = sql.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(StoreError, match="is of revision 9999, which this version does not know; the newest is 0002"):
        DatabaseStore(url)
    assert revision_of(url) == "9999"


def test_a_database_that_was_downgraded_to_its_base_is_an_empty_one(url: str) -> None:
    DatabaseStore(url).close()
    engine = sql.create_engine(url)
    with engine.begin() as connection:
        command.downgrade(config_of(connection), "base")
    engine.dispose()
    assert revision_of(url) is None
    DatabaseStore(url).close()
    assert revision_of(url) == HEAD


def test_alembic_finds_the_environments_database(project_folder: Path) -> None:
    environment = {**os.environ, "ARTISAN_ENV": "stg", "PYTHONPATH": str(ROOT)}
    alembic = [sys.executable, "-m", "alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head"]
    subprocess.run(alembic, cwd=project_folder, env=environment, check=True, capture_output=True)
    assert revision_of(f"sqlite:///{project_folder / '.artisan/scents-stg.db'}") == HEAD


@pytest.fixture
def project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SECRET", "p@ss")
    monkeypatch.delenv("NOBODYS", raising=False)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.artisan.environments]\nstg.database = { name = "scents" }\n'
        'dev.database = { driver = "postgresql", password_env = "NOBODYS" }\n'
        'prod.database = { driver = "postgresql", host = "db", password_env = "SECRET" }\n'
    )
    return tmp_path


def test_a_server_is_reached_by_its_secret(project_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = address_of(get_config("prod", project_folder), project_folder)
    assert address.render_as_string(hide_password=False) == "postgresql+psycopg://artisan:p%40ss@db:5432/artisan"
    with pytest.raises(SettingsError, match="NOBODYS is not set"):
        address_of(get_config("dev", project_folder), project_folder)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"its driver psycopg\w* does not come with this package") as raised:
        DatabaseStore(address)
    assert "p@ss" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql+psycopg://u:hunter2@db:hunter2@db/a", "its port, or an option of it, is no number"),
        ("sqlite:///a?timeout=hunter2", "its port, or an option of it, is no number"),
        ("postgresql+psycopg://127.0.0.1:1/a?password=hunter2", "database postgresql+psycopg://127.0.0.1:1/a: "),
    ],
)
def test_what_a_url_can_not_be_opened_for_is_told_without_its_secrets(url: str, told: str) -> None:
    with pytest.raises(StoreError) as raised:
        DatabaseStore(url)
    assert told in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_processes_that_open_an_empty_database_at_once_make_it_once(url: str) -> None:
    together = Barrier(4)

    def open_it(_: int) -> None:
        together.wait()
        DatabaseStore(url).close()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(open_it, range(4))) == [None] * 4
    assert revision_of(url) == HEAD


def test_a_checkpoint_is_never_replaced_by_one_that_has_learnt_less(url: str) -> None:
    stores = [DatabaseStore(url) for _ in range(2)]
    together = Barrier(4)

    def save(first: int) -> None:
        together.wait()
        for learnt in range(first, 40, 4):
            stores[learnt % 2].save("a", "PPO", Checkpoint(learnt, str(learnt).encode()))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(save, range(4))) == [None] * 4
    assert stores[0].load("a", "PPO") == Checkpoint(39, b"39")
    stores[1].save("a", "PPO", Checkpoint(3, b"old"))
    assert stores[0].load("a", "PPO") == Checkpoint(39, b"39")
    for store in stores:
        store.close()


def test_a_connection_that_the_server_has_closed_is_made_anew(url: str) -> None:
    store = DatabaseStore(url)
    pooled = store._engine.raw_connection()
    behind = pooled.driver_connection
    pooled.close()
    assert behind is not None
    behind.close()
    store.check()
    store.close()


class Overtaken(DatabaseStore):
    """A store beside which another process makes an experiment between the count and the insert."""

    def count_experiments(self, subject: str) -> int:
        counted = super().count_experiments(subject)
        self.add_experiment(subject, f"{subject}-{counted}", b"of another process")
        return counted


def test_an_experiments_number_that_another_process_took_is_followed_by_the_next(url: str) -> None:
    store = Overtaken(url)
    experiment = Refinement(store).options(DNA, HOUSE_BRIEF)
    assert experiment.id.endswith("-1")
    assert msgspec.json.decode(store.experiment(experiment.id), type=Experiment) == experiment
    store.close()


def test_on_a_server_feedback_is_numbered_in_the_order_in_which_it_can_be_seen(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, told = DatabaseStore(url), list[str]()
    store.add_experiment("a", "a-0", b"")

    def hear(*event: Any) -> tuple[str, Any]:
        told.append(event[2])
        # SQLite, which stands in for the server, has one writer at a time and no such statement.
        return ("SELECT 1" if event[2].startswith("LOCK") else event[2]), event[3]

    sql.event.listen(store._engine, "before_cursor_execute", hear, retval=True)
    monkeypatch.setattr(store._engine.dialect, "name", "postgresql")
    store.add_feedback("a-0", b"")
    assert [statement.split(" (")[0] for statement in told] == [
        "LOCK TABLE feedback IN SHARE ROW EXCLUSIVE MODE",
        "INSERT INTO feedback",
    ]
    store.close()


class Forestalled(DatabaseStore):
    """A store beside which another process learns from a feedback as soon as it is there."""

    def add_feedback(self, experiment: str, record: bytes) -> None:
        super().add_feedback(experiment, record)
        Refinement(self).options(DNA, HOUSE_BRIEF)


def test_feedback_tells_its_update_also_where_another_process_learnt_from_it_first(url: str, tmp_path: Path) -> None:
    told = []
    for store in (Forestalled(url), DatabaseStore(f"sqlite:///{tmp_path / 'alone.db'}")):
        refinement = Refinement(store)
        experiment = refinement.options(DNA, HOUSE_BRIEF)
        told.append(refinement.feedback(experiment.id, experiment.options[0].id, 4))
        store.close()
    assert told[0] == told[1]
