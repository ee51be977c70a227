"""The changes of an environment's flags, in a file of SQLite: the newest of a flag is what it is set to."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from pytest_artisan.files import make_folder, share
from pytest_artisan.release.flags.states import State
from pytest_artisan.settings import SettingsError

# Seconds that one process waits for another.
_PATIENCE_S = 10.0
# The same within a request, which has the last answer to fall back on.
_BRIEFLY_S = 0.1
_APPLICATION = int.from_bytes(b"ArtF", "big")
_VERSION = 1
# A change is its own record: no crash and no hand can bring one without the other.
_SCHEMA = f"""
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE changes (
    number INTEGER PRIMARY KEY,
    flag TEXT NOT NULL,
    at TEXT NOT NULL,
    who TEXT NOT NULL CHECK (who <> ''),
    why TEXT NOT NULL CHECK (why <> ''),
    from_base INTEGER NOT NULL CHECK (from_base IN (0, 1)),
    from_moved INTEGER NOT NULL CHECK (from_moved BETWEEN 0 AND 10000),
    to_base INTEGER NOT NULL CHECK (to_base IN (0, 1)),
    to_moved INTEGER NOT NULL CHECK (to_moved BETWEEN 0 AND 10000)
) STRICT;
CREATE INDEX newest ON changes (flag, number);
CREATE TRIGGER no_update BEFORE UPDATE ON changes BEGIN SELECT RAISE(ABORT, 'the record is never changed'); END;
CREATE TRIGGER no_replace BEFORE INSERT ON changes WHEN NEW.number IN (SELECT number FROM changes)
BEGIN SELECT RAISE(ABORT, 'the record is never changed'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON changes BEGIN SELECT RAISE(ABORT, 'the record is never cut'); END;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
COMMIT;
"""  # noqa: S608  # of constants


class Change(NamedTuple):
    """One change of a flag, as it is on the record; `at` is in UTC."""

    number: int
    flag: str
    at: datetime
    who: str
    why: str
    before: State
    after: State


class Store:
    """The file at `path`, which the first change makes. Threads and processes may share it.

    Each call opens it anew, so that nothing is held over a fork, and a file that was replaced is seen. Every method
    raises SettingsError for a file that is damaged, of somebody else or of a newer release, or can not be reached.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def exists(self) -> bool:
        return os.path.lexists(self.path)

    def check(self) -> None:
        """Look at all of it; where there is no file, nothing has been changed yet."""
        if self.exists():
            with self._open("ro") as connection:
                [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise SettingsError(f"{self.path}: damaged: {found}")

    def states(self) -> dict[str, State]:
        """What every flag that was ever changed is set to."""
        # It reads every row, and so finds what is torn; by the index alone it would not.
        query = "SELECT flag, to_base, to_moved, max(number) FROM changes GROUP BY flag"
        with self._open("ro", _BRIEFLY_S) as connection:
            return {flag: State(bool(base), moved) for flag, base, moved, _ in connection.execute(query)}

    def change(
        self, flag: str, step: Callable[[State | None], tuple[State, State]], *, who: str, why: str, at: datetime
    ) -> Change:
        """Set a flag; `step` says from what and to what, given what was set last. Another's change waits meanwhile.

        On disk when this returns. What `step` raises leaves everything as it was.
        """
        if not self.exists():
            self._create()
        with self._open("rw") as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            query = "SELECT to_base, to_moved FROM changes WHERE flag = ? ORDER BY number DESC LIMIT 1"
            last = connection.execute(query, [flag]).fetchone()
            before, after = step(last and State(bool(last[0]), last[1]))
            values = (flag, at.isoformat(), who, why, *before, *after)
            added = connection.execute("INSERT INTO changes VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            connection.execute("COMMIT")
            return Change(added.lastrowid or 0, flag, at, who, why, before, after)

    def history(self) -> list[Change]:
        """Every change, in the order they were made."""
        query = (
            "SELECT number, flag, at, who, why, from_base, from_moved, to_base, to_moved FROM changes ORDER BY number"
        )
        if not self.exists():
            return []
        with self._open("ro") as connection:
            return [
                Change(number, flag, _moment(at, self.path), who, why, State(bool(a), b), State(bool(c), d))
                for number, flag, at, who, why, a, b, c, d in connection.execute(query)
            ]

    @contextmanager
    def _open(self, mode: Literal["ro", "rw"], patience_s: float = _PATIENCE_S) -> Iterator[sqlite3.Connection]:
        try:
            # Who may not write the folder can read what lies there at rest, as long as it does: SQLite makes no -wal then.
            at_rest = mode == "ro" and not (os.access(self.path.parent, os.W_OK) or os.path.exists(f"{self.path}-wal"))
            before = os.stat(self.path)
            address = f"{self.path.as_uri()}?mode={mode}{'&immutable=1' if at_rest else ''}"
            with closing(sqlite3.connect(address, uri=True, timeout=patience_s, isolation_level=None)) as connection:
                self._recognise(connection)
                yield connection
            if at_rest and os.stat(self.path).st_mtime_ns != before.st_mtime_ns:
                raise SettingsError(f"{self.path}: somebody changes it at this moment; ask again")
        except (OSError, ValueError, sqlite3.Error) as error:
            raise SettingsError(f"{self.path}: {getattr(error, 'strerror', None) or error}") from None

    def _recognise(self, connection: sqlite3.Connection) -> None:
        application, version = (
            connection.execute(f"PRAGMA {key}").fetchone()[0] for key in ("application_id", "user_version")
        )
        if application != _APPLICATION:
            raise SettingsError(f"{self.path}: no store of flags; name another file, or take this one away")
        if version != _VERSION:
            raise SettingsError(f"{self.path}: of version {version}; this release reads {_VERSION}")

    def _create(self) -> None:
        """Put a whole and empty store in place, unless another process was first."""
        try:
            make_folder(self.path.parent)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            os.close(handle)
            try:
                share(name)
                with closing(sqlite3.connect(name, isolation_level=None)) as connection:
                    connection.executescript(_SCHEMA)
                os.link(name, self.path)
            except FileExistsError:
                pass
            finally:
                os.unlink(name)
        except (OSError, ValueError, sqlite3.Error) as error:
            raise SettingsError(f"{self.path}: {getattr(error, 'strerror', None) or error}") from None


def _moment(text: str, path: Path) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{path}: damaged: {text!r} is no time") from None
