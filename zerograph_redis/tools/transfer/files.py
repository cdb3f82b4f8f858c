"""SQLite files that threads are read from: opened read-only, with the errors of this package."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from zerograph_redis.errors import BackendUnavailableError, CorruptCheckpointError

BUSY_TIMEOUT = 60.0  # seconds
THEIRS = frozenset({"checkpoints", "pending_writes"})
OURS = frozenset({f"zerograph_redis_{name}" for name in ("format", "threads", "checkpoints", "writes", "logs")})


def connect(path: str | Path, mode: str = "ro") -> sqlite3.Connection:
    """Open a database file that exists, read-only unless *mode* is ``rw``."""
    url = f"file:{quote(str(path))}?mode={mode}"
    return sqlite3.connect(url, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)


def tables_in(connection: sqlite3.Connection) -> set[str]:
    """Name the tables of a database."""
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def savers_of(path: str | Path) -> tuple[bool, bool]:
    """Return whether a database file has the tables of ZeroGraph's own saver, and whether it has ours."""
    try:
        with closing(connect(path)) as connection:
            names = tables_in(connection)
    except sqlite3.Error:  # opening it as a store reports what is wrong
        return False, False
    return names >= THEIRS, "zerograph_redis_threads" in names


@contextmanager
def translated(path: str | Path) -> Iterator[None]:
    """Turn SQLite's errors for a file into those of this package."""
    try:
        yield
    except sqlite3.Error as error:
        message = f"the SQLite database {path} cannot be read: {error}"
        kind = CorruptCheckpointError if type(error) is sqlite3.DatabaseError else BackendUnavailableError
        raise kind(message) from error
