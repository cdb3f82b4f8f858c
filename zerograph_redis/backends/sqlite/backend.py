"""Which function answers which request, and what a failure is reported as."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from zerograph_redis.core import examination, requests
from zerograph_redis.core.bounds import UNREADABLE, unreadable
from zerograph_redis.core.bundles import Bundle
from zerograph_redis.core.refusals import describe_request
from zerograph_redis.core.requests import Request
from zerograph_redis.errors import BackendUnavailableError, CheckpointError, CorruptCheckpointError

from . import checkpoints, copying, leases, queries, thread_rows
from .connections import Connections

R = TypeVar("R")
T = TypeVar("T")

Answer = Callable[[sqlite3.Connection, Any, int], Any]
"""Answers a request in the transaction of a connection, at the time of the worker's clock in µs."""

WRITES: Mapping[type[Request[Any]], Answer] = {
    requests.PutCheckpoint: checkpoints.put_checkpoint,
    requests.PutWrites: checkpoints.put_writes,
    requests.WriteBatch: checkpoints.write_batch,
    requests.PruneThread: checkpoints.prune_thread,
    requests.DeleteThread: thread_rows.delete_thread,
    requests.ForgetThread: thread_rows.forget_thread,
    requests.LeaseThread: leases.lease_thread,
    requests.StageThread: copying.stage_thread,
    requests.PublishThread: copying.publish_thread,
}
RENEWING_READS: Mapping[type[Request[Any]], Answer] = {
    requests.GetCheckpoint: checkpoints.get_checkpoint,
    requests.GetWrites: checkpoints.get_writes,
    requests.ListCheckpoints: checkpoints.list_checkpoints,
}
"""These return the reply, and whether the thread's TTL must be renewed."""
READS: Mapping[type[Request[Any]], Answer] = {
    requests.ListThreads: queries.list_threads,
    requests.DescribeThread: queries.describe_thread,
    requests.DescribeThreads: queries.describe_threads,
    requests.ListNamespaces: queries.list_namespaces,
    requests.FindNamespace: queries.find_namespace,
    requests.FindCheckpoints: queries.find_checkpoints,
    requests.ScanThread: copying.scan_thread,
    examination.ReadClock: lambda *given: given[-1],  # the time
    examination.ExamineThread: queries.examine_thread,
    examination.OutlineThread: queries.outline_thread,
    examination.RepairThread: queries.repair_thread,
    # No staged copy is left without a deadline: the row that names it also holds its deadline.
    examination.DiscardStaged: lambda *_: False,
}

PAUSE = 1_000_000  # µs without another search for expired threads, after one that left none


class SqliteBackend:
    """Answers requests from a file or from memory (``:memory:``), for many OS threads and processes."""

    def __init__(self, path: str | Path) -> None:
        """Open the database, and create our tables beside whatever else it has."""
        self.path = str(path)
        """Where the database is; ``:memory:`` for one in memory."""
        self._next_sweep = 0
        try:
            self._connections = Connections(self.path)
        except sqlite3.Error as error:
            raise _translated(f"cannot open the SQLite database {self.path}", error) from error

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *work* reads from the database, in one transaction."""
        try:
            return self._connections.run(lambda connection, *_: work(connection), None, write=False)
        except sqlite3.Error as error:
            raise _translated(f"cannot read the SQLite database {self.path}", error) from error

    def execute(self, request: Request[R]) -> R:
        """Answer *request*, blocking."""
        reply: R
        kind = type(request)
        try:
            if kind in WRITES:
                reply = self._connections.run(self._write, request, write=True)
            elif kind in RENEWING_READS:
                reply, late = self._connections.run(RENEWING_READS[kind], request, write=False)
                if late:
                    self._connections.run(thread_rows.renew, request, write=True)
            elif isinstance(request, Bundle):
                reply = [self._reply_or_error(each) for each in request.requests]  # type: ignore[assignment]
            else:
                reply = self._connections.run(READS[kind], request, write=False)
        except sqlite3.Error as error:
            raise _translated(f"the SQLite database {self.path} failed ({describe_request(request)})", error) from error
        except UNREADABLE as error:
            raise unreadable(describe_request(request), error) from error
        return reply

    async def aexecute(self, request: Request[R]) -> R:
        """Answer *request* in a thread of the event loop's pool."""
        return await asyncio.to_thread(self.execute, request)

    def _write(self, connection: sqlite3.Connection, request: Request[Any], now: int) -> Any:
        if now >= self._next_sweep and not thread_rows.sweep(connection, now):
            self._next_sweep = now + PAUSE
        return WRITES[type(request)](connection, request, now)

    def _reply_or_error(self, request: Request[Any]) -> Any:
        try:
            return self.execute(request)
        except CheckpointError as error:
            return error

    def close(self) -> None:
        """Close the database."""
        self._connections.close()


def _translated(message: str, error: sqlite3.Error) -> CheckpointError:
    # No saver stores rows that contradict each other, or numbers whose sum overflows.
    is_damage = type(error) in {sqlite3.DatabaseError, sqlite3.IntegrityError} or "integer overflow" in str(error)
    return (CorruptCheckpointError if is_damage else BackendUnavailableError)(f"{message}: {error}")
