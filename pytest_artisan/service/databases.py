"""Where an environment's database is."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sql

from pytest_artisan.files import OWN_FOLDER, make_folder
from pytest_artisan.release.environments import Environment
from pytest_artisan.settings import SettingsError, project_root


def address_of(environment: Environment, start: Path | None = None) -> sql.URL:
    """The URL of the environment's database; SQLite's file is in the project that `start` (default: here) is in.

    Raises SettingsError where there is no password, or none that may be used.
    """
    table = environment.database
    if table.driver == "sqlite":
        folder = project_root(start or Path.cwd()) / OWN_FOLDER
        try:
            make_folder(folder)
        except OSError as error:
            raise SettingsError(f"database: {error}") from None
        return sql.URL.create("sqlite", database=str(folder / f"{table.name}-{environment.env}.db"))
    try:
        password = environment.secrets["database.password_env"].reveal()
    except LookupError as error:
        raise SettingsError(f"database.password_env: {error}") from None
    return sql.URL.create("postgresql+psycopg", table.user, password, table.host, table.port, table.name)
