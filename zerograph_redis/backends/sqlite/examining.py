"""The requests of an examination. Rows fit together by themselves here, so there is less to find than in Redis."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from zerograph_redis.core import bounds
from zerograph_redis.core.examination import (
    Condition,
    DiscardStaged,
    ExamineThread,
    IndexState,
    MendThread,
    Outline,
    OutlinePage,
    OutlineThread,
    ReadClock,
    outline_of,
)
from zerograph_redis.core.records import read_header
from zerograph_redis.core.requests import DescribeThread, Request
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.ids import SEPARATOR, escape

from . import leases
from .thread_rows import describe_thread, number_of

ROWS = 100


def read_clock(connection: sqlite3.Connection, request: ReadClock, now: int) -> int:
    """Tell the time that writes are given."""
    return now


def examine_thread(connection: sqlite3.Connection, request: ExamineThread, now: int) -> Condition:
    """Find what a thread counts, and who holds it."""
    thread = escape(request.thread)
    facts = describe_thread(connection, DescribeThread(request.thread), now)
    held, owner = leases.remaining(connection, thread, now)
    lease = (owner, held)
    row = connection.execute("SELECT ttl FROM zerograph_redis_threads WHERE thread = ?", (thread,)).fetchone()
    if facts is not None:
        return Condition(True, "", IndexState.RIGHT, 0, facts.updated, facts.checkpoints, facts.bytes, row[0], *lease)
    return Condition(False, "", IndexState.RIGHT if row is None else IndexState.EXPIRED, 0, 0, 0, 0, None, *lease)


_WRITES = (
    "FROM zerograph_redis_writes AS writes WHERE writes.thread = checkpoints.thread "
    "AND writes.namespace = checkpoints.namespace AND writes.id = checkpoints.id"
)


def outline_thread(connection: sqlite3.Connection, request: OutlineThread, now: int) -> OutlinePage:
    """Read the sizes of checkpoints, by namespace and order."""
    thread = number_of(connection, escape(request.thread), now)
    if not thread:
        return OutlinePage([], {}, now, None)
    namespace, _, position = (request.cursor or SEPARATOR).partition(SEPARATOR)
    rows = connection.execute(
        f"SELECT namespace, id, position, record, (SELECT COUNT(*) {_WRITES}), "  # noqa: S608 - our own words
        f"(SELECT COALESCE(SUM(LENGTH(record)), 0) {_WRITES}) FROM zerograph_redis_checkpoints AS checkpoints "
        "WHERE thread = ?1 AND (namespace, position) > (?2, ?3) ORDER BY namespace, position LIMIT ?4",
        (thread, namespace, int(position or -1), ROWS),
    ).fetchall()
    logs = connection.execute(
        "SELECT generation, SUM(stop - start) FROM zerograph_redis_logs WHERE thread = ? GROUP BY generation", (thread,)
    )
    return OutlinePage(
        [_outlined(*row) for row in rows],
        {_log(generation): length for generation, length in logs},
        now,
        f"{rows[-1][0]}{SEPARATOR}{rows[-1][2]}" if len(rows) == ROWS else None,
    )


def mend_thread(connection: sqlite3.Connection, request: MendThread, now: int) -> bool:
    """Tell whether a thread is there: its row is its entry in the list, and has its only deadline."""
    return number_of(connection, escape(request.thread), now) > 0


def discard_staged(connection: sqlite3.Connection, request: DiscardStaged, now: int) -> bool:
    """Tell that no copy lost its deadline: it stands in the row that has its name."""
    return False


def _outlined(namespace: str, name: str, position: int, record: bytes, *writes: int) -> Outline:
    header = bounds.blob(record).partition(SEPARATOR.encode())[0]
    try:
        log = read_header("a checkpoint", record).generation
    except CorruptCheckpointError:
        log = ""  # the outline says that the header is damaged
    return outline_of(
        (namespace, name, bounds.whole(position, bounds.END_OF_ORDERS)), len(record), header, log, *writes
    )


def _log(generation: int) -> str:
    return f"{bounds.whole(generation, bounds.END_OF_LOGS):016x}"


Answer = Callable[[sqlite3.Connection, Any, int], Any]

READS: Mapping[type[Request[Any]], Answer] = {
    ReadClock: read_clock,
    ExamineThread: examine_thread,
    OutlineThread: outline_thread,
    MendThread: mend_thread,
    DiscardStaged: discard_staged,
}
