"""The requests about the checkpoints of one thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zerograph_redis.core import bounds
from zerograph_redis.core.records import digest_of, log_name, pack_header, proof_of, read_header
from zerograph_redis.core.refusals import conflict
from zerograph_redis.core.requests import (
    NO_WRITES,
    Fetched,
    GetCheckpoint,
    GetWrites,
    ListCheckpoints,
    Placed,
    Pruned,
    PruneThread,
    PutCheckpoint,
    PutWrites,
    Request,
    StoredCheckpoint,
    StoredWrite,
    WritesReply,
)
from zerograph_redis.ids import escape, read_name

from . import logs
from .threads import delete_rows, is_alive, touch

__all__ = ("READS", "WRITES", "read_writes")

AT_ONCE = 16  # checkpoints that one put lets go of, at the most


def put_checkpoint(connection: sqlite3.Connection, request: PutCheckpoint, now: int) -> Placed | None:
    """Store a record under the next order, or in the place of the earlier one; then let go of what is too old."""
    thread, namespace = escape(request.thread), escape(request.namespace)
    _check_expected(connection, request, thread, namespace, now)
    place = (thread, namespace, escape(request.checkpoint_id))
    earlier = _earlier(connection, place, now)
    header = None if earlier is None else read_header(f"checkpoint {request.checkpoint_id!r}", earlier)
    # The same put may come again, since its reply was lost.
    done = header is not None and header.attempt == request.attempt
    if not done and not (
        _is_proven(connection, request, thread, namespace, now)
        and _is_behind(connection, request, thread, namespace, now)
    ):
        return None
    last_order, generation, dropped = touch(connection, thread, request.ttl, now)
    if header is not None and done:
        placed = Placed(header.order, header.generation, header.base)
    else:
        order = max(now, last_order + 1)
        placed = _store(connection, request, place, earlier, (order, generation, dropped))
    if request.keep_last is not None:
        _drop(connection, thread, namespace, request.keep_last, None, AT_ONCE)
    if request.max_age is not None:
        _drop(connection, thread, namespace, 1, now - request.max_age, AT_ONCE)
    return placed


def _earlier(connection: sqlite3.Connection, place: tuple[str, str, str], now: int) -> bytes | None:
    if not is_alive(connection, place[0], now):
        return None
    row = connection.execute(
        "SELECT record FROM zerograph_redis_checkpoints WHERE thread = ? AND namespace = ? AND id = ?", place
    ).fetchone()
    return None if row is None else row[0]


def _store(
    connection: sqlite3.Connection,
    request: PutCheckpoint,
    place: tuple[str, str, str],
    earlier: bytes | None,
    log: tuple[int, int, int],
) -> Placed:
    """Append to the log, and write the record: under a new order, or over *earlier* in its place."""
    thread, (order, generation, dropped) = place[0], log
    base = 0
    if request.needed == 0:
        generation = 0
    else:
        if generation == 0 or logs.is_due(dropped, request.needed):
            generation = log_name(request.attempt, order)
            connection.execute(
                "UPDATE zerograph_redis_threads SET generation = ?, dropped = 0 WHERE thread = ?", (generation, thread)
            )
        base = logs.append(connection, thread, generation, request.appended)
    if earlier is not None:
        order = int(earlier[1:17], 16)
    behind = (base, len(request.appended), request.attempt)
    record = pack_header(request.version, order, generation, *behind) + request.record
    if earlier is not None:
        connection.execute(
            "UPDATE zerograph_redis_checkpoints SET record = ?, generation = ? "
            "WHERE thread = ? AND namespace = ? AND id = ?",
            (record, generation, *place),
        )
        logs.release(connection, thread, [earlier])
    else:
        connection.execute(
            "INSERT INTO zerograph_redis_checkpoints (thread, namespace, id, position, generation, record) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (*place, order, generation, record),
        )
        connection.execute("UPDATE zerograph_redis_threads SET last_order = ? WHERE thread = ?", (order, thread))
    return Placed(f"{order:016x}", f"{generation:016x}", base)


def _check_expected(
    connection: sqlite3.Connection, request: PutCheckpoint, thread: str, namespace: str, now: int
) -> None:
    if request.expected is None:
        return
    names: list[str] = []
    if is_alive(connection, thread, now):
        rows = connection.execute(
            "SELECT id FROM zerograph_redis_checkpoints WHERE thread = ?1 AND namespace = ?2 "
            "AND (id = ?3 OR position = (SELECT MAX(position) FROM zerograph_redis_checkpoints "
            "WHERE thread = ?1 AND namespace = ?2)) ORDER BY position DESC",
            (thread, namespace, escape(request.checkpoint_id)),
        ).fetchall()
        names = [read_name(name) for (name,) in rows]
    newest = names[0] if names else None
    # The checkpoint being there itself means that this put was done already, and is tried again.
    if newest != request.expected.checkpoint_id and request.checkpoint_id not in names:
        raise conflict(request, newest or "")


def _is_proven(connection: sqlite3.Connection, request: PutCheckpoint, thread: str, namespace: str, now: int) -> bool:
    """Tell whether the log can be built on: it is the current one, and the base checkpoint's record has its proof."""
    base = request.base
    if base is None:
        return True
    row = connection.execute(
        "SELECT record, dropped FROM zerograph_redis_checkpoints JOIN zerograph_redis_threads AS threads USING (thread) "
        "WHERE thread = ? AND namespace = ? AND id = ? AND threads.generation = ? AND (deadline IS NULL OR deadline > ?)",
        (thread, namespace, escape(base.checkpoint_id), int(base.generation, 16), now),
    ).fetchone()
    if row is None or logs.is_due(bounds.whole(row[1]), request.needed):
        return False
    header = read_header(f"checkpoint {base.checkpoint_id!r}", bounds.blob(row[0]))
    return header.generation == base.generation and proof_of(*header[3:]) == base.proof


def _is_behind(connection: sqlite3.Connection, request: PutCheckpoint, thread: str, namespace: str, now: int) -> bool:
    """Tell whether the parent is where the record says, and the checkpoint has a later order, or will have one."""
    if request.follows is None:
        return True
    if not is_alive(connection, thread, now):
        return False
    orders: dict[str, int] = dict(
        connection.execute(
            "SELECT id, position FROM zerograph_redis_checkpoints WHERE thread = ? AND namespace = ? AND id IN (?, ?)",
            (thread, namespace, escape(request.follows[0]), escape(request.checkpoint_id)),
        )
    )
    order = int(request.follows[1], 16)
    return orders.get(escape(request.follows[0])) == order < orders.get(escape(request.checkpoint_id), _END)


_KEEP_WRITE = (
    "INSERT INTO zerograph_redis_writes (thread, namespace, id, identity, record) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (thread, namespace, id, identity) DO NOTHING"
)
_REPLACE_WRITE = _KEEP_WRITE.replace("NOTHING", "UPDATE SET record = excluded.record")


def put_writes(connection: sqlite3.Connection, request: PutWrites, now: int) -> WritesReply | None:
    """Store writes; one whose identity is known keeps its number, and so its place."""
    place = (escape(request.thread), escape(request.namespace), escape(request.checkpoint_id))
    if request.extends is not None:
        there = read_writes(connection, *place) if is_alive(connection, place[0], now) else []
        version = _version_of(there)
        if version != request.extends:
            return WritesReply(stored=False, version=version, writes=there)
    touch(connection, place[0], request.ttl, now)
    connection.executemany(
        _REPLACE_WRITE if request.replace else _KEEP_WRITE,
        [(*place, write.identity, write.record) for write in request.writes],
    )
    if request.extends is None:
        return None
    return WritesReply(stored=True, version=_version_of(read_writes(connection, *place)))


def _version_of(writes: Sequence[StoredWrite]) -> str:
    """Name a list of pending writes; records begin with digests, of which no two batches have the same."""
    if not writes:
        return NO_WRITES
    return digest_of(b"".join(each.identity.encode() + (each.record or b"")[:9] for each in writes)).hex()


def get_checkpoint(connection: sqlite3.Connection, request: GetCheckpoint, now: int) -> Fetched:
    """Read one checkpoint: the named one, or the newest."""
    thread, namespace = escape(request.thread), escape(request.namespace)
    if not is_alive(connection, thread, now):
        return Fetched([], [])
    if request.checkpoint_id is None:
        rows = connection.execute(
            "SELECT id, record, position FROM zerograph_redis_checkpoints WHERE thread = ? AND namespace = ? "
            "ORDER BY position DESC LIMIT 1",
            (thread, namespace),
        ).fetchall()
    else:
        rows = connection.execute(
            "SELECT id, record, position FROM zerograph_redis_checkpoints WHERE thread = ? AND namespace = ? AND id = ?",
            (thread, namespace, escape(request.checkpoint_id)),
        ).fetchall()
    return _fetched(connection, request, rows)


def get_writes(connection: sqlite3.Connection, request: GetWrites, now: int) -> list[StoredWrite]:
    """Read the pending writes of a checkpoint."""
    thread = escape(request.thread)
    if not is_alive(connection, thread, now):
        return []
    return read_writes(connection, thread, escape(request.namespace), escape(request.checkpoint_id))


def list_checkpoints(connection: sqlite3.Connection, request: ListCheckpoints, now: int) -> Fetched:
    """Read checkpoints of a namespace, newest first."""
    thread, namespace = escape(request.thread), escape(request.namespace)
    if not is_alive(connection, thread, now):
        return Fetched([], [])
    if request.before is not None:
        row = connection.execute(
            "SELECT position FROM zerograph_redis_checkpoints WHERE thread = ? AND namespace = ? AND id = ?",
            (thread, namespace, escape(request.before)),
        ).fetchone()
        if row is None:
            return Fetched([], [])
        bound = row[0]
    else:
        bound = _END if request.before_order is None else int(request.before_order, 16)
    rows = connection.execute(
        "SELECT id, record, position FROM zerograph_redis_checkpoints WHERE thread = ? AND namespace = ? AND position < ? "
        "ORDER BY position DESC LIMIT ?",
        (thread, namespace, bound, request.limit),
    ).fetchall()
    return _fetched(connection, request, rows, request.longest)


def prune_thread(connection: sqlite3.Connection, request: PruneThread, now: int) -> Pruned:
    """Drop all but the newest of every namespace. No server waits here, so one slice does it all."""
    thread = escape(request.thread)
    before = None if request.max_age is None else max(now - request.max_age, 0)
    if not is_alive(connection, thread, now):
        return Pruned(0, None)
    namespaces = connection.execute(
        "SELECT DISTINCT namespace FROM zerograph_redis_checkpoints WHERE thread = ?", (thread,)
    ).fetchall()
    removed = sum(_drop(connection, thread, namespace, request.keep, before, -1) for (namespace,) in namespaces)
    left = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM zerograph_redis_checkpoints WHERE thread = ?1) "
        "OR EXISTS (SELECT 1 FROM zerograph_redis_writes WHERE thread = ?1)",
        (thread,),
    ).fetchone()[0]
    if not left:
        delete_rows(connection, thread)
    return Pruned(removed, None)


def read_writes(connection: sqlite3.Connection, thread: str, namespace: str, checkpoint_id: str) -> list[StoredWrite]:
    """Read the writes at an escaped address, in the order stored."""
    rows = connection.execute(
        "SELECT identity, record FROM zerograph_redis_writes WHERE thread = ? AND namespace = ? AND id = ? ORDER BY number",
        (thread, namespace, checkpoint_id),
    )
    return [StoredWrite(bounds.text(identity), bounds.blob(record)) for identity, record in rows]


def _fetched(
    connection: sqlite3.Connection,
    request: GetCheckpoint | ListCheckpoints,
    rows: Sequence[tuple[str, bytes, int]],
    longest: int | None = None,
) -> Fetched:
    thread, namespace = escape(request.thread), escape(request.namespace)
    return Fetched(
        [
            StoredCheckpoint(
                read_name(name),
                bounds.blob(record),
                read_writes(connection, thread, namespace, name),
                f"{bounds.whole(position, bounds.END_OF_ORDERS):016x}",
            )
            for name, record, position in rows
        ],
        logs.fetch(connection, thread, [record for _, record, _ in rows], request.known, longest),
    )


def _drop(connection: sqlite3.Connection, thread: str, namespace: str, keep: int, before: int | None, most: int) -> int:
    """Drop the checkpoints behind the newest *keep*, those before the order *before* only; at most *most*, -1 for all."""
    rows = connection.execute(
        "SELECT number, id, record FROM zerograph_redis_checkpoints WHERE number IN (SELECT number FROM "
        "zerograph_redis_checkpoints WHERE thread = ? AND namespace = ? ORDER BY position DESC LIMIT -1 OFFSET ?) "
        "AND position < ? ORDER BY position LIMIT ?",
        (thread, namespace, keep, _END if before is None else before, most),
    ).fetchall()
    connection.executemany("DELETE FROM zerograph_redis_checkpoints WHERE number = ?", [row[:1] for row in rows])
    connection.executemany(
        "DELETE FROM zerograph_redis_writes WHERE thread = ? AND namespace = ? AND id = ?",
        [(thread, namespace, row[1]) for row in rows],
    )
    logs.release(connection, thread, [row[2] for row in rows])
    return len(rows)


_END = 2**62

Answer = Callable[[sqlite3.Connection, Any, int], Any]

READS: Mapping[type[Request[Any]], Answer] = {
    GetCheckpoint: get_checkpoint,
    GetWrites: get_writes,
    ListCheckpoints: list_checkpoints,
}
WRITES: Mapping[type[Request[Any]], Answer] = {
    PutCheckpoint: put_checkpoint,
    PutWrites: put_writes,
    PruneThread: prune_thread,
}
