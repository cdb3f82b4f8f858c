"""Copying a thread: read it page by page, stage the pages under a name that no reader asks for, then publish them."""

from __future__ import annotations

from collections import Counter
from sqlite3 import Connection
from typing import Any

from zerograph_redis.core import bounds, requests
from zerograph_redis.core.records import name_of, read_header
from zerograph_redis.core.requests import NO_LOG, Cursor, LogRange, Page, StoredCheckpoint
from zerograph_redis.ids import SEPARATOR, escape, read_name

from . import leases
from .checkpoints import CHECKPOINT_ROW, read_writes, store_writes
from .logs import LOG_ROW, LONGEST, generation_of
from .thread_rows import PERIOD, Facts, delete_thread_rows, live_row, number_of, save_write, start_thread

ROWS = 50
PAGE = 256 * 1024  # bytes of a log
STAGED_FOR = 600_000_000  # µs that an unfinished copy is kept


def scan_thread(connection: Connection, request: requests.ScanThread, now: int) -> Page:
    """Read a page: first the pending writes, then the checkpoints, then the logs."""
    thread = number_of(connection, escape(request.thread), now)
    if not thread:
        return Page([], [], "", NO_LOG, None)
    generation, removed, others = connection.execute(_LOGS, (thread,)).fetchone()
    bounds.whole(generation, bounds.END_OF_LOGS)
    kind, position = request.cursor or ("writes", SEPARATOR)
    rows, ranges, following = _SCANS[kind](connection, thread, position)
    return Page(rows, ranges, f"{generation} {removed} {others}", f"{generation:016x}", following)


_LOGS = """
SELECT generation, removed, (SELECT GROUP_CONCAT(generation) FROM zerograph_redis_older_logs WHERE thread = ?1)
FROM zerograph_redis_threads WHERE number = ?1
"""

Found = tuple[list[tuple[str, StoredCheckpoint]], list[LogRange], Cursor | None]


def _writes(connection: Connection, thread: int, position: str) -> Found:
    rows = _rows(connection, "DISTINCT namespace, id FROM zerograph_redis_writes", thread, position)
    stored = [
        (*key, StoredCheckpoint(read_name(key[1]), None, read_writes(connection, (thread, *key)))) for key in rows
    ]
    return _page(stored, "writes", ("checkpoints", SEPARATOR))


def _checkpoints(connection: Connection, thread: int, position: str) -> Found:
    rows = _rows(connection, "namespace, id, record FROM zerograph_redis_checkpoints", thread, position)
    stored = [(*row[:2], StoredCheckpoint(read_name(row[1]), bounds.blob(row[2]), [])) for row in rows]
    return _page(stored, "checkpoints", ("logs", SEPARATOR.join("00")))


def _rows(connection: Connection, what: str, thread: int, position: str) -> list[tuple[Any, ...]]:
    query = f"SELECT {what} WHERE thread = ? AND (namespace, id) > (?, ?) ORDER BY namespace, id LIMIT ?"
    return connection.execute(query, (thread, *position.split(SEPARATOR), ROWS)).fetchall()


def _page(stored: list[tuple[str, str, StoredCheckpoint]], kind: str, following: Cursor) -> Found:
    if len(stored) == ROWS:
        following = (kind, SEPARATOR.join(stored[-1][:2]))
    return [(read_name(namespace), each) for namespace, _, each in stored], [], following


def _log(connection: Connection, thread: int, position: str) -> Found:
    generation, stop = map(int, position.split(SEPARATOR))
    rows = connection.execute(
        "SELECT generation, start, stop, data FROM zerograph_redis_logs WHERE thread = ? AND (generation, stop) > (?, ?) "
        "ORDER BY generation, stop",
        (thread, generation, stop),
    )
    ranges: list[LogRange] = []
    size = 0
    for name, start, end, data in rows:
        log = f"{bounds.whole(name, bounds.END_OF_LOGS):016x}"
        ranges.append(LogRange(log, bounds.whole(start), bounds.blob(data)))
        size += len(data)
        if size >= PAGE:
            rows.close()
            return [], ranges, ("logs", f"{name}{SEPARATOR}{end}")
    return [], ranges, None


_SCANS = {"writes": _writes, "checkpoints": _checkpoints, "logs": _log}


def stage_thread(connection: Connection, request: requests.StageThread, now: int) -> bool:
    """Store a page under a name that no reader asks for. Until it is published, ``last_order`` counts its pages."""
    name = staged_name(request.thread, request.token)
    row = connection.execute(
        "SELECT number, last_order FROM zerograph_redis_threads WHERE thread = ?", (name,)
    ).fetchone()
    facts = Facts(*(row or ()))
    if request.number != facts.last_order:
        return request.number < facts.last_order
    start_thread(connection, name, facts, now)
    connection.execute(
        "UPDATE zerograph_redis_threads SET last_order = last_order + 1, deadline = ? WHERE number = ?",
        (now + STAGED_FOR, facts.number),
    )
    for namespace, stored in request.page.rows:
        key = (facts.number, escape(namespace), escape(stored.checkpoint_id))
        if stored.record is not None:
            header = read_header(name_of(request.thread, namespace, stored.checkpoint_id), stored.record)
            row = (*key, int(header.order, 16), stored.record)
            connection.execute(f"INSERT OR REPLACE {CHECKPOINT_ROW}", row)
        store_writes(connection, key, stored.writes, replace=True)
    for each in request.page.ranges:
        row = (facts.number, int(each.generation, 16), each.start, each.start + len(each.data), each.data)
        connection.execute(f"INSERT OR REPLACE {LOG_ROW}", row)
    return True


def publish_thread(connection: Connection, request: requests.PublishThread, now: int) -> bool | None:
    """Give staged rows the name of their thread, unless a thread with this name is stored."""
    held_until = leases.check_fence(connection, request, now)
    thread, staged = escape(request.thread), staged_name(request.thread, request.token)
    past = request.past
    origin = request.token if past is None else past.origin
    stored = live_row(connection, thread, now, "origin, updated, removed")
    if stored is not None:
        if stored[0] == origin:
            return True
        if request.instead is None or stored != (*request.instead, 0):
            return None
    number = number_of(connection, staged, now)
    staged_now = connection.execute(
        "SELECT (SELECT COUNT(*) FROM zerograph_redis_checkpoints WHERE thread = ?1), "
        "(SELECT COUNT(*) FROM (SELECT DISTINCT namespace, id FROM zerograph_redis_writes WHERE thread = ?1)), "
        "(SELECT COALESCE(SUM(stop - start), 0) FROM zerograph_redis_logs WHERE thread = ?1), "
        "(SELECT last_order FROM zerograph_redis_threads WHERE number = ?1)",
        (number,),
    ).fetchone()
    if staged_now != (request.checkpoints, request.checkpoints_with_writes, request.log_bytes, request.pages):
        return False
    delete_thread_rows(connection, thread)
    facts = _facts_of(connection, number, int(request.current, 16))
    facts.lease_deadline = held_until
    save_write(connection, facts, request.ttl, now)
    updated = now if past is None else min(past.updated, now)
    connection.execute(
        "UPDATE zerograph_redis_threads SET thread = ?, origin = ?, created = ?, updated = ?, period = ? WHERE number = ?",
        (thread, origin, now if past is None else min(past.created, updated), updated, updated // PERIOD, number),
    )
    if past is not None and past.left is not None:
        connection.execute(
            "UPDATE zerograph_redis_threads SET deadline = MAX(?2 + ?3 * 1000, ?4) "
            "WHERE number = ?1 AND deadline IS NOT NULL",
            (number, now, past.left, held_until),
        )
    return True


def _facts_of(connection: Connection, thread: int, current: int) -> Facts:
    """Work out the facts of a staged thread, and store how many checkpoints need each of its older logs."""
    facts = Facts(thread)
    live: Counter[int] = Counter()
    appended: Counter[int] = Counter()
    for position, record in connection.execute(
        "SELECT position, record FROM zerograph_redis_checkpoints WHERE thread = ?", (thread,)
    ):
        facts.last_order = max(facts.last_order, position)
        generation, size = generation_of(record)
        if generation:
            live[generation] += 1
            appended[generation] += size
    if live[current]:
        (length,) = connection.execute(
            "SELECT MAX(stop) FROM zerograph_redis_logs WHERE thread = ? AND generation = ?", (thread, current)
        ).fetchone()
        facts.generation, facts.length, facts.live = current, bounds.whole(length, LONGEST), live.pop(current)
        facts.dropped = max(facts.length - appended[current], 0)
    connection.executemany(
        "INSERT INTO zerograph_redis_older_logs VALUES (?, ?, ?)", [(thread, *each) for each in live.items() if each[1]]
    )
    return facts


def staged_name(thread: str, token: str) -> str:
    """The name of a copied thread until it is published."""
    return SEPARATOR + token + SEPARATOR + escape(thread)
