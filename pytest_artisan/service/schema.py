"""The tables of the service's database, and how a database comes to have them."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sql

from pytest_artisan.settings import SettingsError

TABLES = sql.MetaData()
EXPERIMENTS = sql.Table(
    "experiments",
    TABLES,
    sql.Column("id", sql.String(80), primary_key=True),
    sql.Column("subject", sql.String(64), nullable=False, index=True),
    sql.Column("record", sql.LargeBinary, nullable=False),
)
FEEDBACK = sql.Table(
    "feedback",
    TABLES,
    # The order in which it was given.
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("experiment", sql.ForeignKey("experiments.id"), nullable=False, unique=True),
    sql.Column("record", sql.LargeBinary, nullable=False),
)
CHECKPOINTS = sql.Table(
    "checkpoints",
    TABLES,
    sql.Column("subject", sql.String(64), primary_key=True),
    sql.Column("algorithm", sql.String(16), primary_key=True),
    sql.Column("learnt", sql.Integer, nullable=False),
    sql.Column("content", sql.LargeBinary, nullable=False),
)
DNA = sql.Table(
    "dna",
    TABLES,
    sql.Column("id", sql.String(64), primary_key=True),
    sql.Column("record", sql.LargeBinary, nullable=False),
)
# The newest of `migrations.versions`, so that a database that has it is opened without Alembic.
HEAD: Final = "0002"
# Databases from before there were revisions have the tables of this one.
_FIRST = "0001"
_VERSION = sql.Table("alembic_version", sql.MetaData(), sql.Column("version_num", sql.String(32), primary_key=True))
# Several processes may open one database at the same moment; one of them makes its tables, the others wait.
_LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(4711052)"}


class StoreError(SettingsError):
    """A database that can not be used."""


def prepare(engine: sql.Engine) -> None:
    """Bring a database to the newest schema: make the tables of an empty one, migrate an older one with its rows.

    Raises StoreError for one that a newer version has made, and SQLAlchemyError.
    """
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    options = {"isolation_level": "AUTOCOMMIT"} if engine.dialect.name == "sqlite" else {}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        lock = _LOCKS.get(engine.dialect.name)
        if lock is not None:
            connection.exec_driver_sql(lock)
        revision = _revision(connection)
        if revision is None and not sql.inspect(connection).has_table(EXPERIMENTS.name):
            TABLES.create_all(connection)
            # A database that was downgraded to its base has this table, without a row.
            _VERSION.create(connection, checkfirst=True)
            connection.execute(_VERSION.insert().values(version_num=HEAD))
        elif revision != HEAD:
            _upgrade(connection, revision)


def _revision(connection: sql.Connection) -> str | None:
    """The revision that the database says it has."""
    if not sql.inspect(connection).has_table(_VERSION.name):
        return None
    return connection.scalar(sql.select(_VERSION.c.version_num))


def _upgrade(connection: sql.Connection, revision: str | None) -> None:
    from alembic import command  # slow, and seldom needed
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "pytest_artisan:service/migrations")
    config.set_main_option("path_separator", "os")
    try:
        if revision is None:
            command.stamp(config, _FIRST)
        command.upgrade(config, "head")
    except CommandError:
        raise StoreError(f"is of revision {revision}, which this version does not know; the newest is {HEAD}") from None
