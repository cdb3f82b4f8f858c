"""The requests, answered from SQLite tables. The worker's own clock is the store's clock."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from zerograph_redis.core.bounds import UNREADABLE, unreadable
from zerograph_redis.core.bundles import Bundle
from zerograph_redis.core.refusals import asked_for
from zerograph_redis.core.requests import LeaseThread, PublishThread, Request, ScanThread, StageThread
from zerograph_redis.errors import BackendUnavailableError, CheckpointError, CorruptCheckpointError

from . import checkpoints, examining, finding, thread_rows
from .connections import Connections
from .copying import publish_thread, scan_thread, stage_thread
from .leases import lease_thread

R = TypeVar("R")
T = TypeVar("T")

Answer = Callable[[sqlite3.Connection, Any, int], Any]

READS: Mapping[type[Request[Any]], Answer] = {
    **thread_rows.READS,
    **examining.READS,
    **finding.READS,
    ScanThread: scan_thread,
}
WRITES: Mapping[type[Request[Any]], Answer] = {
    **checkpoints.WRITES,
    **thread_rows.WRITES,
    StageThread: stage_thread,
    LeaseThread: lease_thread,
    PublishThread: publish_thread,
}

PAUSE = 1_000_000  # µs in which nobody looks for expired threads again, once none was left


class SqliteBackend:
    """Answers requests from a file or from memory (``:memory:``), for many OS threads and processes."""

    def __init__(self, path: str | Path) -> None:
        """Open the database, and make our tables beside whatever is in it."""
        self._path = str(path)
        self._next_sweep = 0
        try:
            self._connections = Connections(self._path)
        except sqlite3.Error as error:
            raise self._translate(error, "opening it") from error

    @property
    def path(self) -> str:
        """Where the database is; ``:memory:`` for one in memory."""
        return self._path

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *work* finds in the database itself, in one transaction."""
        try:
            return self._connections.run(lambda connection, _: work(connection), None, write=False)
        except sqlite3.Error as error:
            raise self._translate(error, "looking at it") from error

    def execute(self, request: Request[R]) -> R:
        """Answer *request*, blocking."""
        reply: R
        kind = type(request)
        try:
            if kind in WRITES:
                reply = self._connections.run(self._write, request, write=True)
            elif kind in checkpoints.READS:
                reply, late = self._connections.run(_read_checkpoints, request, write=False)
                if late:
                    self._connections.run(_refresh, request, write=True)
            elif isinstance(request, Bundle):
                reply = [self._settled(each) for each in request.requests]  # type: ignore[assignment]
            else:
                reply = self._connections.run(_read, request, write=False)
        except sqlite3.Error as error:
            raise self._translate(error, asked_for(request)) from error
        except UNREADABLE as error:
            raise unreadable(asked_for(request), error) from error
        return reply

    async def aexecute(self, request: Request[R]) -> R:
        """Answer *request* in a thread of the event loop's pool."""
        return await asyncio.to_thread(self.execute, request)

    def _write(self, connection: sqlite3.Connection, request: Request[R]) -> R:
        now = _now()  # only here: a writer may have waited for others
        if now >= self._next_sweep and not thread_rows.sweep(connection, now):
            self._next_sweep = now + PAUSE
        reply: R = WRITES[type(request)](connection, request, now)
        return reply

    def _settled(self, request: Request[Any]) -> Any:
        try:
            return self.execute(request)
        except CheckpointError as error:
            return error

    def close(self) -> None:
        """Close the database."""
        self._connections.close()

    def _translate(self, error: sqlite3.Error, asked: str) -> CheckpointError:
        text = f"{asked}: the SQLite database {self._path} did not do it: {error}"
        # Rows that contradict one another, or sums of their numbers that overflow, were never stored by a saver.
        if type(error) in {sqlite3.DatabaseError, sqlite3.IntegrityError} or "integer overflow" in str(error):
            return CorruptCheckpointError(text)
        return BackendUnavailableError(text)


def _read_checkpoints(connection: sqlite3.Connection, request: Request[R]) -> tuple[R, bool]:
    reply: tuple[R, bool] = checkpoints.READS[type(request)](connection, request, _now())
    return reply


def _read(connection: sqlite3.Connection, request: Request[R]) -> R:
    reply: R = READS[type(request)](connection, request, _now())
    return reply


def _refresh(connection: sqlite3.Connection, request: Any) -> None:
    thread_rows.refresh(connection, request, _now())


def _now() -> int:
    return time.time_ns() // 1000
