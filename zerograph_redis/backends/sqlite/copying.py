"""Copying a whole thread: it is read page by page, staged under a name that nobody asks for, and then given its own."""

from __future__ import annotations

import sqlite3

from zerograph_redis.core.requests import (
    Cursor,
    LogRange,
    Page,
    PublishThread,
    ScanThread,
    StageThread,
    StoredCheckpoint,
)
from zerograph_redis.ids import SEPARATOR, escape, unescape

from .checkpoints import read_writes
from .logs import header_of, length_of
from .threads import CONTENT, delete_rows, is_alive, touch

__all__ = ("publish_thread", "scan_thread", "stage_thread")

ROWS = 50
STAGED_FOR = 600_000_000  # µs that an unfinished copy is kept


def scan_thread(connection: sqlite3.Connection, request: ScanThread, now: int) -> Page:
    """Read a page: all writes first, then the checkpoints, then the logs."""
    thread = escape(request.thread)
    if not is_alive(connection, thread, now):
        return Page([], [], "", None)
    generation, gone, others = connection.execute(
        "SELECT generation, gone, (SELECT GROUP_CONCAT(generation) FROM (SELECT DISTINCT generation "
        "FROM zerograph_redis_logs WHERE thread = ?1 ORDER BY generation)) FROM zerograph_redis_threads WHERE thread = ?1",
        (thread,),
    ).fetchone()
    logs = f"{generation} {gone} {others}"
    kind, position = request.cursor or ("writes", SEPARATOR)
    if kind == "writes":
        return _writes(connection, thread, position, logs)
    if kind == "checkpoints":
        return _checkpoints(connection, thread, int(position), logs)
    return _log(connection, thread, position, logs)


def _writes(connection: sqlite3.Connection, thread: str, position: str, logs: str) -> Page:
    rows = connection.execute(
        "SELECT DISTINCT namespace, id FROM zerograph_redis_writes WHERE thread = ? AND (namespace, id) > (?, ?) "
        "ORDER BY namespace, id LIMIT ?",
        (thread, *position.split(SEPARATOR), ROWS),
    ).fetchall()
    found = [
        (unescape(namespace), StoredCheckpoint(unescape(name), None, read_writes(connection, thread, namespace, name)))
        for namespace, name in rows
    ]
    following: Cursor = ("writes", SEPARATOR.join(rows[-1])) if len(rows) == ROWS else ("checkpoints", "0")
    return Page(found, [], logs, following)


def _checkpoints(connection: sqlite3.Connection, thread: str, position: int, logs: str) -> Page:
    rows = connection.execute(
        "SELECT number, namespace, id, record FROM zerograph_redis_checkpoints WHERE thread = ? AND number > ? "
        "ORDER BY number LIMIT ?",
        (thread, position, ROWS),
    ).fetchall()
    found = [(unescape(namespace), StoredCheckpoint(unescape(name), record, [])) for _, namespace, name, record in rows]
    following = ("checkpoints", str(rows[-1][0])) if len(rows) == ROWS else ("logs", SEPARATOR.join("00"))
    return Page(found, [], logs, following)


def _log(connection: sqlite3.Connection, thread: str, position: str, logs: str) -> Page:
    generation, stop = map(int, position.split(SEPARATOR))
    rows = connection.execute(
        "SELECT generation, start, stop, data FROM zerograph_redis_logs WHERE thread = ? AND (generation, stop) > (?, ?) "
        "ORDER BY generation, stop LIMIT ?",
        (thread, generation, stop, ROWS),
    ).fetchall()
    ranges = [LogRange(f"{name:016x}", start, data) for name, start, _, data in rows]
    following = ("logs", f"{rows[-1][0]}{SEPARATOR}{rows[-1][2]}") if len(rows) == ROWS else None
    return Page([], ranges, logs, following)


def stage_thread(connection: sqlite3.Connection, request: StageThread, now: int) -> None:
    """Store a page under a name that no reader asks for."""
    thread = _staged(request.thread, request.token)
    connection.execute(
        "INSERT INTO zerograph_redis_threads (thread, last_order, created, updated, ttl, deadline) "
        "VALUES (?1, 0, ?2, ?2, ?3, ?2 + ?3) ON CONFLICT (thread) DO UPDATE SET deadline = excluded.deadline",
        (thread, now, STAGED_FOR),
    )
    for namespace, stored in request.page.rows:
        place = (thread, escape(namespace), escape(stored.checkpoint_id))
        if stored.record is not None:
            connection.execute(
                "INSERT OR REPLACE INTO zerograph_redis_checkpoints (thread, namespace, id, position, generation, record) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (*place, int(stored.record[1:17], 16), header_of(stored.record)[0], stored.record),
            )
        connection.executemany(
            "INSERT OR REPLACE INTO zerograph_redis_writes (thread, namespace, id, identity, record) "
            "VALUES (?, ?, ?, ?, ?)",
            [(*place, write.identity, write.record) for write in stored.writes],
        )
    connection.executemany(
        "INSERT OR REPLACE INTO zerograph_redis_logs VALUES (?, ?, ?, ?, ?)",
        [
            (thread, int(each.generation, 16), each.start, each.start + len(each.data), each.data)
            for each in request.page.ranges
        ],
    )


def publish_thread(connection: sqlite3.Connection, request: PublishThread, now: int) -> bool | None:
    """Give staged rows the name of their thread, if it has none of its own."""
    thread, staged = escape(request.thread), _staged(request.thread, request.token)
    if is_alive(connection, thread, now):
        return None
    staged_now = connection.execute(
        "SELECT (SELECT COUNT(*) FROM zerograph_redis_checkpoints WHERE thread = ?1), "
        "(SELECT COALESCE(SUM(stop - start), 0) FROM zerograph_redis_logs WHERE thread = ?1)",
        (staged,),
    ).fetchone()
    if staged_now != (request.checkpoints, request.log_bytes):
        return False
    touch(connection, thread, request.ttl, now)
    for table in CONTENT:
        connection.execute(
            f"UPDATE {table} SET thread = ? WHERE thread = ?",  # noqa: S608 - our own table names
            (thread, staged),
        )
    delete_rows(connection, staged)
    (last_order,) = connection.execute(
        "SELECT COALESCE(MAX(position), 0) FROM zerograph_redis_checkpoints WHERE thread = ?", (thread,)
    ).fetchone()
    generation = int(request.logs.partition(" ")[0])
    records = connection.execute(
        "SELECT record FROM zerograph_redis_checkpoints WHERE thread = ? AND generation = ?", (thread, generation)
    )
    live = sum(header_of(record)[2] for (record,) in records)
    connection.execute(
        "UPDATE zerograph_redis_threads SET last_order = ?, generation = ?, dropped = ? WHERE thread = ?",
        (last_order, generation, max(length_of(connection, thread, generation) - live, 0), thread),
    )
    return True


def _staged(thread: str, token: str) -> str:
    return SEPARATOR + token + SEPARATOR + escape(thread)
