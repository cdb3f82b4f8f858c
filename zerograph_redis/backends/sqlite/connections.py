"""Connections to one database, for many OS threads, and for the processes that a fork makes of one."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from zerograph_redis.errors import BackendUnavailableError, CorruptCheckpointError
from zerograph_redis.forks import settle

from .schema import FORMAT, TABLES

__all__ = ("Connections",)

BUSY_TIMEOUT = 60.0  # seconds that a writer waits for the others


class Connections:
    """Hands out transactions. A file has a connection for each transaction under way; memory has one, taken in turns."""

    def __init__(self, path: str) -> None:
        """Open *path*, ``:memory:`` for a database in memory, and make the tables."""
        self._path = path
        self._shared = path == ":memory:"
        self._turn = threading.Condition(threading.RLock())
        self._under_way = 0
        self._forking = False
        self._idle: list[sqlite3.Connection] = []
        self._abandoned: list[sqlite3.Connection] = []
        self._closed = False
        settle(self)
        with self._connection():
            pass

    def close(self) -> None:
        """Close every connection that no transaction uses; further transactions are refused."""
        with self._turn:
            self._closed = True
            self._close_idle()

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction: all of it happens, or, when it raises, nothing."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._turn:
            self._turn.wait_for(self._is_free)
            if self._closed:
                raise BackendUnavailableError(f"the SQLite database {self._path} was closed")
            self._under_way += 1
            connection = self._idle.pop() if self._idle else None
        try:
            connection = connection or self._open()
            yield connection
        finally:
            with self._turn:
                self._under_way -= 1
                if connection is not None:
                    self._idle.append(connection)
                if self._closed:  # by another thread, in the meantime
                    self._close_idle()  # type: ignore[unreachable]
                self._turn.notify_all()

    def _is_free(self) -> bool:
        return not self._forking and not (self._shared and self._under_way)

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        # A text may be any bytes. What is no UTF-8 gets surrogates, which no id has that a saver stored.
        connection.text_factory = _text
        try:
            self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        # Switching to WAL does not wait for others by itself.
        end = monotonic() + BUSY_TIMEOUT
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or monotonic() > end:
                    raise
                sleep(0.01)
            else:
                break
        # Files of earlier versions have all tables but the last.
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'zerograph_redis_origins'").fetchone():
            connection.executescript(f"BEGIN IMMEDIATE; {TABLES} COMMIT")
            connection.execute(
                "INSERT INTO zerograph_redis_format SELECT ? WHERE NOT EXISTS (SELECT 1 FROM zerograph_redis_format)",
                (FORMAT,),
            )
        row = connection.execute("SELECT version FROM zerograph_redis_format").fetchone()
        if row is not None and row[0] != FORMAT:
            raise CorruptCheckpointError(
                f"the tables in {self._path} have format {row[0]}, and this version of zerograph_redis knows only {FORMAT}"
            )

    def before_fork(self) -> None:
        """Wait for the transactions under way: SQLite's own locks must be free in the child."""
        self._turn.acquire()
        self._forking = True
        self._turn.wait_for(lambda: not self._under_way)

    def after_fork(self, *, child: bool) -> None:
        """Go on. A database in memory is the child's own copy; a file's connection stays the parent's, even to close."""
        if child and not self._shared:
            self._abandoned += self._idle
            self._idle = []
        self._forking = False
        self._turn.notify_all()
        self._turn.release()


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")
