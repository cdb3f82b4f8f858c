"""Connections to one database, for many OS threads and for forked processes.

A signal handler may raise an exception where a function begins and after every call, so also between a BEGIN and the
``try`` that follows it. But Python runs no handler between the steps of a ``with`` whose context manager is written in C,
as locks and connections are: leaving the block releases the lock, and commits or rolls back, whatever was raised and
where. So everything that must be undone is undone by such a block, and nothing here is counted.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from zerograph_redis.errors import BackendUnavailableError, CheckpointError, CorruptCheckpointError
from zerograph_redis.fork_hooks import register_at_fork

from .schema import FORMAT, TABLES

A = TypeVar("A")
R = TypeVar("R")

Answer = Callable[[sqlite3.Connection, A, int], R]
"""Answers a request in a transaction, given the time in µs."""

BUSY_TIMEOUT = 60.0  # seconds that a writer waits for other writers


def _now() -> int:
    return time.time_ns() // 1000


class _Entry:
    """The connection of an OS thread, and the lock that its user holds."""

    def __init__(self) -> None:
        # Reentrant, since a signal handler may fork or close in the middle of a transaction.
        self.lock = threading.RLock()
        self.connection: sqlite3.Connection | None = None


class Connections:
    """Runs transactions: on a file with a connection for each OS thread, in memory with one that all threads share."""

    def __init__(self, path: str) -> None:
        """Open *path*, ``:memory:`` for a database in memory, and create the tables."""
        self._path = path
        self._shared = path == ":memory:"
        self._entries_lock = threading.RLock()
        self._entries: dict[int, _Entry] = {}
        self._abandoned: list[sqlite3.Connection | None] = []
        self._closed = False
        register_at_fork(self)
        self._entry().connection = self._open(self._make_tables)

    def close(self) -> None:
        """Refuse further transactions, wait for those in progress, and close every connection."""
        self._closed = True
        with self._entries_lock:
            for entry in self._entries.values():
                with entry.lock:
                    connection, entry.connection = entry.connection, None
                    if connection is not None:
                        connection.close()

    def run(self, answer: Answer[A, R], request: A, *, write: bool) -> R:
        """Return the *answer* to *request*, in one transaction: if it raises, nothing was stored."""
        entry = self._entries.get(0 if self._shared else threading.get_ident()) or self._entry()
        begin = "BEGIN IMMEDIATE" if write else "BEGIN"
        with entry.lock:
            if self._closed:
                raise BackendUnavailableError(f"the SQLite database {self._path} was closed; open a new saver")
            if self._shared:
                return self._run_alone(entry.connection, answer, request, write=write)
            # It goes back into its entry only if it is known to be clean: a cursor may outlive what was interrupted.
            connection, entry.connection = entry.connection or self._open(), None
            clean = False
            try:
                with connection:
                    connection.execute(begin)
                    result = answer(connection, request, _now())  # only now: a writer may have waited for others
                clean = True
            except CheckpointError:
                clean = True
                raise
            finally:
                if clean and entry.connection is None and not self._closed:
                    entry.connection = connection
                else:
                    connection.close()
            return result

    def _run_alone(self, connection: sqlite3.Connection | None, answer: Answer[A, R], request: A, *, write: bool) -> R:
        """Run a transaction on the only connection, which holds the database in memory."""
        if connection is None or connection.in_transaction:
            raise _disturbed()
        if write:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                return answer(connection, request, _now())
        # Only a signal handler can use the connection at the same time.
        changes = connection.total_changes
        result = answer(connection, request, _now())
        if connection.total_changes != changes:
            raise _disturbed()
        return result

    def _entry(self) -> _Entry:
        key = 0 if self._shared else threading.get_ident()
        entry = self._entries.get(key)
        if entry is None:
            threading.current_thread()  # registers a thread that `threading` did not start, for `_close_ended`
            with self._entries_lock:
                if not self._shared:
                    self._close_ended()
                entry = self._entries.setdefault(key, _Entry())
        return entry

    def _close_ended(self) -> None:
        """Close the connections of OS threads that have ended."""
        running = {thread.ident for thread in threading.enumerate()}
        for key in [key for key in self._entries if key not in running]:
            connection = self._entries.pop(key).connection
            if connection is not None:
                connection.close()

    def _open(self, *steps: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        # A text may be any bytes. Bytes that are not UTF-8 become surrogates, which no id has that a saver stored.
        connection.text_factory = _text
        try:
            for step in (self._set_up, *steps):
                step(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        # Switching to WAL does not wait for others by itself.
        end = time.monotonic() + BUSY_TIMEOUT
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.01)
            else:
                break
        # An acknowledged write is on the disk, whatever SQLite's build has as its default.
        connection.execute("PRAGMA synchronous = FULL")

    def _make_tables(self, connection: sqlite3.Connection) -> None:
        # Only once: tables that are dropped later are an error, not an empty store.
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'zerograph_redis_format'").fetchone():
            known = "SELECT 1 FROM zerograph_redis_format"
            insert = f"INSERT INTO zerograph_redis_format SELECT {FORMAT} WHERE NOT EXISTS ({known});"
            connection.executescript(f"BEGIN IMMEDIATE; {TABLES} {insert} COMMIT")
        row = connection.execute("SELECT version FROM zerograph_redis_format").fetchone()
        if row is not None and row[0] != FORMAT:
            raise CorruptCheckpointError(
                f"cannot read {self._path}: its tables have format {row[0]}, and this version of zerograph_redis reads only "
                f"format {FORMAT}; use the version that wrote it"
            )

    def before_fork(self) -> None:
        """Wait for transactions in progress: SQLite's own locks must be free in the child."""
        self._entries_lock.acquire()
        for entry in self._entries.values():
            entry.lock.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Release the locks. A child has its own copy of a database in memory, but must not close a file's connections."""
        entries = list(self._entries.values())
        if child and not self._shared:
            self._abandoned += [entry.connection for entry in entries]
            self._entries = {}
        for lock in (*(entry.lock for entry in entries), self._entries_lock):
            with suppress(RuntimeError):  # not acquired: an exception of a signal handler ended `before_fork`
                lock.release()


def _disturbed() -> BackendUnavailableError:
    return BackendUnavailableError(
        "a signal handler used a store in memory during another operation on it; let the handler set a flag, and use the "
        "store later"
    )


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")
