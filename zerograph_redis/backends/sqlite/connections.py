"""Connections to one database, for many OS threads, and for the processes that a fork makes of one.

A signal handler may raise an exception where a function begins and after every call, so also between a BEGIN and the
``try`` that follows it. Python runs no handler between the steps of a ``with`` whose context manager is written in C, as
locks and connections are: leaving the block releases the lock, and commits or rolls back, whatever was raised and where.
All that must be undone is undone in that way, and no count can be lost, since nothing is counted.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import TypeVar

from zerograph_redis.errors import BackendUnavailableError, CheckpointError, CorruptCheckpointError
from zerograph_redis.forks import settle

from .schema import FORMAT, TABLES

A = TypeVar("A")
R = TypeVar("R")

BUSY_TIMEOUT = 60.0  # seconds that a writer waits for the others


class _Seat:
    """A connection, and the lock that its user holds."""

    def __init__(self) -> None:
        # Reentrant, since a signal handler may fork or close in the middle of a transaction.
        self.lock = threading.RLock()
        self.connection: sqlite3.Connection | None = None


class Connections:
    """Runs transactions. A file has a connection for each OS thread; memory has one, which all take in turns."""

    def __init__(self, path: str) -> None:
        """Open *path*, ``:memory:`` for a database in memory, and make the tables."""
        self._path = path
        self._shared = path == ":memory:"
        self._seating = threading.RLock()
        self._seats: dict[int, _Seat] = {}
        self._abandoned: list[sqlite3.Connection | None] = []
        self._closed = False
        settle(self)
        self._seat().connection = self._open(self._make_tables)

    def close(self) -> None:
        """Refuse further transactions, wait for those under way, and close every connection."""
        self._closed = True
        with self._seating:
            for seat in self._seats.values():
                with seat.lock:
                    connection, seat.connection = seat.connection, None
                    if connection is not None:
                        connection.close()

    def run(self, work: Callable[[sqlite3.Connection, A], R], given: A, *, write: bool) -> R:
        """Return what *work* returns, run as one transaction: all of it happens, or, when it raises, nothing."""
        seat = self._seats.get(0 if self._shared else threading.get_ident()) or self._seat()
        begin = "BEGIN IMMEDIATE" if write else "BEGIN"
        with seat.lock:
            if self._closed:
                raise BackendUnavailableError(f"the SQLite database {self._path} was closed")
            if self._shared:
                return self._run_alone(seat.connection, work, given, write=write)
            # It goes back to its seat only when it is known to be clean: a cursor of what was interrupted may live on.
            connection, seat.connection = seat.connection or self._open(), None
            clean = False
            try:
                with connection:
                    connection.execute(begin)
                    result = work(connection, given)
                clean = True
            except CheckpointError:
                clean = True
                raise
            finally:
                if clean and seat.connection is None and not self._closed:
                    seat.connection = connection
                else:
                    connection.close()
            return result

    def _run_alone(
        self,
        connection: sqlite3.Connection | None,
        work: Callable[[sqlite3.Connection, A], R],
        given: A,
        *,
        write: bool,
    ) -> R:
        """Run a transaction on the only connection, in which the data of a database in memory live."""
        if connection is None or connection.in_transaction:
            raise _disturbed()
        if write:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                return work(connection, given)
        # The holder of the lock is the only reader, but for a signal handler.
        changes = connection.total_changes
        result = work(connection, given)
        if connection.total_changes != changes:
            raise _disturbed()
        return result

    def _seat(self) -> _Seat:
        place = 0 if self._shared else threading.get_ident()
        seat = self._seats.get(place)
        if seat is None:
            threading.current_thread()  # has `threading` know also a thread that it did not start
            with self._seating:
                if not self._shared:
                    self._clear_seats()
                seat = self._seats.setdefault(place, _Seat())
        return seat

    def _clear_seats(self) -> None:
        """Close the connections of OS threads that have ended."""
        running = {thread.ident for thread in threading.enumerate()}
        for place in [place for place in self._seats if place not in running]:
            connection = self._seats.pop(place).connection
            if connection is not None:
                connection.close()

    def _open(self, *steps: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        # A text may be any bytes. What is no UTF-8 gets surrogates, which no id has that a saver stored.
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
        # What is acknowledged is on the disk, however SQLite was built.
        connection.execute("PRAGMA synchronous = FULL")

    def _make_tables(self, connection: sqlite3.Connection) -> None:
        # Only once: tables that somebody drops later are an error, not an empty store.
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'zerograph_redis_format'").fetchone():
            known = "SELECT 1 FROM zerograph_redis_format"
            insert = f"INSERT INTO zerograph_redis_format SELECT {FORMAT} WHERE NOT EXISTS ({known});"
            connection.executescript(f"BEGIN IMMEDIATE; {TABLES} {insert} COMMIT")
        row = connection.execute("SELECT version FROM zerograph_redis_format").fetchone()
        if row is not None and row[0] != FORMAT:
            raise CorruptCheckpointError(
                f"the tables in {self._path} have format {row[0]}, and this version of zerograph_redis knows only {FORMAT}"
            )

    def before_fork(self) -> None:
        """Wait for the transactions under way: SQLite's own locks must be free in the child."""
        self._seating.acquire()
        for seat in self._seats.values():
            seat.lock.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Go on. A database in memory is the child's own copy; a file's connection stays the parent's, even to close."""
        seats = list(self._seats.values())
        if child and not self._shared:
            self._abandoned += [seat.connection for seat in seats]
            self._seats = {}
        for lock in (*(seat.lock for seat in seats), self._seating):
            with suppress(RuntimeError):  # not acquired: an exception of a signal handler ended `before_fork`
                lock.release()


def _disturbed() -> BackendUnavailableError:
    return BackendUnavailableError("a signal handler used a store in memory in the middle of an operation on it")


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")
