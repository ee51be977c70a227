"""Alembic's way in: by the connection of a store that is being opened, else to the environment's own database."""

from __future__ import annotations

import sqlalchemy as sql
from alembic import context

from pytest_artisan.release.environments import get_config
from pytest_artisan.service.databases import address_of
from pytest_artisan.service.schema import TABLES


def _migrate(connection: sql.Connection) -> None:
    context.configure(connection=connection, target_metadata=TABLES)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _migrate(given)
else:
    engine = sql.create_engine(address_of(get_config()))
    with engine.connect() as own:
        _migrate(own)
        own.commit()
    engine.dispose()
