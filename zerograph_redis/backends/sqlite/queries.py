"""Requests that only read: list threads, describe and examine them, search their checkpoints and namespaces.

A row holds a thread's entry in the list and its only deadline, so much that may go wrong in Redis cannot in SQLite.
"""

from __future__ import annotations

import sqlite3
from sqlite3 import Connection
from typing import Any

from zerograph_redis.core import bounds, examination, requests
from zerograph_redis.core.examination import Condition, IndexState, Outline, OutlinePage, outline_of
from zerograph_redis.core.records import read_header
from zerograph_redis.core.refusals import describe_request
from zerograph_redis.core.requests import DescribeThread, IndexCursor, ThreadFacts
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.ids import SEPARATOR, escape, read_name

from . import leases
from .thread_rows import PERIOD, live_row, number_of, order_text, printable_name

ROWS = 100  # checkpoints of an outline's page


def list_threads(connection: Connection, request: requests.ListThreads, now: int) -> requests.IndexPage:
    """List threads by last write."""
    cursor = request.cursor
    before, bound = "", ()
    if cursor is not None:
        # SQLite orders whatever type a column holds, so a damaged row cannot break the listing.
        updated = cursor.updated
        place = updated if isinstance(updated, tuple) else _place_of(connection, cursor.name, updated)
        bound = (*place, cursor.name)
        before = "period <= ?1 AND (period, updated, thread) < (?1, ?2, ?3) AND"
    rows = connection.execute(
        f"SELECT period, updated, thread FROM zerograph_redis_threads WHERE {before} thread >= ? "  # noqa: S608 - our own
        "AND (deadline IS NULL OR deadline > ?) ORDER BY period DESC, updated DESC, thread DESC LIMIT ?",
        (*bound, " ", now, request.limit),
    ).fetchall()
    found, odd = [], []
    for _, updated, thread in rows:
        try:
            found.append(requests.IndexedThread(updated if type(updated) is int else 0, read_name(thread)))
        except bounds.UNREADABLE:
            odd.append(printable_name(thread))
    last = IndexCursor(rows[-1][:2], rows[-1][2]) if len(rows) == request.limit else None
    return requests.IndexPage(found, last, odd)


def _place_of(connection: Connection, thread: Any, updated: int) -> tuple[Any, Any]:
    """Return where a thread stands in the list: as *updated* implies, or as its row has it if that contradicts itself."""
    row = connection.execute(
        "SELECT period, updated FROM zerograph_redis_threads WHERE thread = ? AND period IS NOT updated / ?",
        (thread, PERIOD),
    ).fetchone()
    return (updated // PERIOD, updated) if row is None else row


def describe_thread(connection: Connection, request: DescribeThread, now: int) -> ThreadFacts | None:
    """Count what a thread holds."""
    thread = escape(request.thread)
    row = live_row(connection, thread, now, "number, created, updated, deadline, ttl, last_order, origin")
    if row is None:
        return None
    number, created, updated, deadline, lifetime, order, origin = row
    checkpoints, namespaces, size = connection.execute(
        "SELECT COUNT(*), COUNT(DISTINCT namespace), COALESCE(SUM(LENGTH(record)), 0) "
        "FROM zerograph_redis_checkpoints WHERE thread = ?",
        (number,),
    ).fetchone()
    (beside,) = connection.execute(
        "SELECT (SELECT COALESCE(SUM(LENGTH(record)), 0) FROM zerograph_redis_writes WHERE thread = ?1) "
        "+ (SELECT COALESCE(SUM(stop - start), 0) FROM zerograph_redis_logs WHERE thread = ?1)",
        (number,),
    ).fetchone()
    return ThreadFacts(
        bounds.whole(created, bounds.END_OF_ORDERS),
        bounds.whole(updated, bounds.END_OF_ORDERS),
        checkpoints,
        namespaces,
        bounds.whole(size + beside),
        None if deadline is None else (bounds.whole(deadline) - now) // 1000,
        None if lifetime is None else bounds.whole(lifetime, bounds.END_OF_ORDERS),
        order_text(order),
        None if origin is None else bounds.text(origin),
        *leases.remaining(connection, thread, now),
    )


def describe_threads(
    connection: Connection, request: requests.DescribeThreads, now: int
) -> list[ThreadFacts | CorruptCheckpointError | None]:
    """Count what each thread holds; an error stands for a damaged one."""
    found: list[ThreadFacts | CorruptCheckpointError | None] = []
    for each in map(DescribeThread, request.threads):
        try:
            found.append(describe_thread(connection, each, now))
        except (*bounds.UNREADABLE, sqlite3.OperationalError) as error:
            if isinstance(error, sqlite3.OperationalError) and "integer overflow" not in str(error):
                raise
            found.append(bounds.unreadable(describe_request(each), error))
    return found


def list_namespaces(
    connection: Connection, request: requests.ListNamespaces, now: int
) -> requests.Found[list[requests.NamespaceFacts]]:
    """Count the checkpoints of each namespace of the thread."""
    rows: list[tuple[str, int, int]] = connection.execute(
        "SELECT namespace, COUNT(*), MAX(position) FROM zerograph_redis_checkpoints WHERE thread = ? "
        "GROUP BY namespace ORDER BY namespace",
        (number_of(connection, escape(request.thread), now),),
    ).fetchall()
    found = [requests.NamespaceFacts(read_name(name), count, order_text(newest)) for name, count, newest in rows]
    return requests.Found(found, None)


def find_namespace(connection: Connection, request: requests.FindNamespace, now: int) -> requests.Found[str | None]:
    """Search all namespaces of the thread for a checkpoint id."""
    row = connection.execute(
        "SELECT namespace FROM zerograph_redis_checkpoints WHERE thread = ? AND id = ? ORDER BY namespace LIMIT 1",
        (number_of(connection, escape(request.thread), now), escape(request.checkpoint_id)),
    ).fetchone()
    return requests.Found(None if row is None else read_name(row[0]), None)


def find_checkpoints(
    connection: Connection, request: requests.FindCheckpoints, now: int
) -> requests.Found[list[requests.FoundCheckpoint]]:
    """Search all namespaces of the thread for checkpoint ids with a prefix."""
    rows: list[tuple[str, str, int]] = connection.execute(
        "SELECT namespace, id, position FROM zerograph_redis_checkpoints "
        "WHERE thread = ?1 AND SUBSTR(id, 1, LENGTH(?2)) = ?2 ORDER BY namespace, position",
        (number_of(connection, escape(request.thread), now), escape(request.prefix)),
    ).fetchall()
    found = [requests.FoundCheckpoint(read_name(row[0]), read_name(row[1]), order_text(row[2])) for row in rows]
    return requests.Found(found, None)


def examine_thread(connection: Connection, request: examination.ExamineThread, now: int) -> Condition:
    """Read the counts and the lease of a thread."""
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


def outline_thread(connection: Connection, request: examination.OutlineThread, now: int) -> OutlinePage:
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
        {f"{bounds.whole(generation, bounds.END_OF_LOGS):016x}": length for generation, length in logs},
        now,
        f"{rows[-1][0]}{SEPARATOR}{rows[-1][2]}" if len(rows) == ROWS else None,
    )


def _outlined(namespace: str, name: str, position: int, record: bytes, *writes: int) -> Outline:
    header = bounds.blob(record).partition(SEPARATOR.encode())[0]
    try:
        log = read_header("a checkpoint", record).generation
    except CorruptCheckpointError:
        log = ""  # the outline reports the damaged header
    key = (namespace, name, bounds.whole(position, bounds.END_OF_ORDERS))
    return outline_of(key, len(record), header, log, *writes)


def repair_thread(connection: Connection, request: examination.RepairThread, now: int) -> bool:
    """Return whether a thread exists. Its row is its entry in the list and holds its deadline, so nothing needs repair."""
    return number_of(connection, escape(request.thread), now) > 0
