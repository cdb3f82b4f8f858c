"""Checkpoints and pending writes of one thread: put, read, list, prune."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from sqlite3 import Connection
from typing import Any

from zerograph_redis.core import bounds
from zerograph_redis.core.records import Header, digest_of, name_of, pack_header, read_header, read_proof
from zerograph_redis.core.refusals import conflict
from zerograph_redis.core.requests import (
    NO_ORDER,
    NO_WRITES,
    Fetched,
    Found,
    GetCheckpoint,
    GetWrites,
    ListCheckpoints,
    Placed,
    PlacedBatch,
    PruneThread,
    PutCheckpoint,
    PutWrites,
    StoredCheckpoint,
    StoredWrite,
    WriteBatch,
    WritesReply,
)
from zerograph_redis.ids import escape, read_name
from zerograph_redis.state_log.log import BaseCheckpoint

from . import logs
from .thread_rows import (
    FACTS,
    Facts,
    delete_rows,
    is_late,
    live_row,
    load_facts,
    order_text,
    read_facts,
    save_log,
    save_write,
    start_thread,
)

AT_ONCE = 16  # checkpoints that one put drops, at most
WRITES_AT_ONCE = 8  # pending writes that one statement stores, at most

Key = tuple[int, str, str]
"""Of a checkpoint: the number of its thread, its namespace and its id, both escaped."""

CHECKPOINT_ROW = "INTO zerograph_redis_checkpoints (thread, namespace, id, position, record) VALUES (?, ?, ?, ?, ?)"

_END = 2**62

_PUT = (
    f"SELECT {FACTS}, earlier.record, base.record FROM zerograph_redis_threads AS threads "  # noqa: S608 - our own words
    "LEFT JOIN zerograph_redis_leases AS leases USING (thread) "
    "LEFT JOIN zerograph_redis_checkpoints AS earlier "
    "ON earlier.thread = threads.number AND earlier.namespace = ?2 AND earlier.id = ?3 "
    "LEFT JOIN zerograph_redis_checkpoints AS base "
    "ON base.thread = threads.number AND base.namespace = ?2 AND base.id = ?4 "
    "WHERE threads.thread = ?1"
)


def put_checkpoint(connection: Connection, request: PutCheckpoint, now: int) -> Placed | None:
    """Store a record under the next order, or under the order of the record it replaces; then drop what is too old."""
    thread, namespace, name = escape(request.thread), escape(request.namespace), escape(request.checkpoint_id)
    base = request.base
    row = connection.execute(
        _PUT, (thread, namespace, name, None if base is None else escape(base.checkpoint_id))
    ).fetchone()
    facts = read_facts(connection, request, row, now)
    key = (facts.number, namespace, name)
    earlier, built_on = row[-2:] if facts.number else (None, None)
    if request.expected is not None:
        _check_expected(connection, request, key)
    header = None if earlier is None else _read_header(request, bounds.blob(earlier))
    # A put is sent again when its reply was lost.
    done = header is not None and header.attempt == request.attempt
    if not done and not (
        (base is None or _is_proven(facts, built_on, base, request.needed))
        and (request.follows is None or _follows(connection, request.follows, key))
    ):
        return None
    start_thread(connection, thread, facts, now)
    key = (facts.number, namespace, name)
    if header is not None and done:
        placed = Placed(header.order, header.generation, header.base)
    else:
        log = (0, 0)
        if request.needed:
            log = logs.append(connection, facts, request.appended, request.attempt, now, request.needed)
        placed = _store(connection, request, key, facts, earlier, now, log)
    _retain(connection, request, key, facts, now)
    save_write(connection, facts, request.ttl, now)
    return placed


def write_batch(connection: Connection, request: WriteBatch, now: int) -> PlacedBatch | None:
    """Store writes in their order. The bytes that the puts add to the log are appended at once, in the order of the puts."""
    thread = escape(request.thread)
    facts = load_facts(connection, request, thread, now)
    puts = [each for each in request.writes if isinstance(each, PutCheckpoint)]
    done = _done(connection, facts, puts)
    if done is not None:
        return done
    needed, users = max((put.needed for put in puts), default=0), sum(put.needed > 0 for put in puts)
    for put in puts:
        base = put.base
        if base is not None:
            record = _record(connection, (facts.number, escape(put.namespace), escape(base.checkpoint_id)))
            if not _is_proven(facts, record, base, needed):
                return None
    start_thread(connection, thread, facts, now)
    generation = start = 0
    if users:
        appended = b"".join([put.appended for put in puts])
        generation, start = logs.append(connection, facts, appended, puts[0].attempt, now, needed, users)
    placed = PlacedBatch(f"{generation:016x}", start, [])
    for each in request.writes:
        key = (facts.number, escape(each.namespace), escape(each.checkpoint_id))
        if isinstance(each, PutCheckpoint):
            log = (generation, start) if each.needed else (0, 0)
            placed.orders.append(_store(connection, each, key, facts, _record(connection, key), now, log).order)
            start += len(each.appended)
            _retain(connection, each, key, facts, now)
        else:
            store_writes(connection, key, each.writes, replace=each.replace)
    save_write(connection, facts, request.ttl, now)
    return placed


def _done(connection: Connection, facts: Facts, puts: Sequence[PutCheckpoint]) -> PlacedBatch | None:
    """Return where the batch was stored if it was: it is sent again when its reply was lost."""
    found = [_record(connection, (facts.number, escape(put.namespace), escape(put.checkpoint_id))) for put in puts]
    headers = [None if record is None else _read_header(put, record) for put, record in zip(puts, found, strict=True)]
    # The last put that has bytes in the log appended the end of what the batch appended.
    last = max((number for number, put in enumerate(puts) if put.needed), default=len(puts) - 1)
    header = headers[last] if headers else None
    if header is None or header.attempt != puts[last].attempt:
        return None
    start = header.base - sum(len(put.appended) for put in puts[:last])
    return PlacedBatch(header.generation, start, [each.order if each else NO_ORDER for each in headers])


def _read_header(request: PutCheckpoint, record: bytes) -> Header:
    return read_header(name_of(request.thread, request.namespace, request.checkpoint_id), record)


def _record(connection: Connection, key: Key) -> bytes | None:
    row = connection.execute(
        "SELECT record FROM zerograph_redis_checkpoints WHERE thread = ? AND namespace = ? AND id = ?", key
    ).fetchone()
    return None if row is None else bounds.blob(row[0])


def _retain(connection: Connection, request: PutCheckpoint, key: Key, facts: Facts, now: int) -> None:
    if request.keep_last is not None:
        _drop(connection, facts, key[1], request.keep_last, None, AT_ONCE)
    if request.max_age is not None:
        _drop(connection, facts, key[1], 1, now - request.max_age, AT_ONCE)


def _store(
    connection: Connection,
    request: PutCheckpoint,
    key: Key,
    facts: Facts,
    earlier: bytes | None,
    now: int,
    log: tuple[int, int],
) -> Placed:
    """Store a record, under a new order or in place of *earlier*. *log* is where the put appended: generation, offset."""
    generation, base = log
    if earlier is None:
        facts.last_order = order = max(now, facts.last_order + 1)
    else:
        order = int(_read_header(request, earlier).order, 16)
    header = pack_header(request.version, order, generation, base, len(request.appended), request.attempt)
    record = header + request.record
    if earlier is None:
        connection.execute(f"INSERT {CHECKPOINT_ROW}", (*key, order, record))
    else:
        connection.execute(
            "UPDATE zerograph_redis_checkpoints SET record = ? WHERE thread = ? AND namespace = ? AND id = ?",
            (record, *key),
        )
        logs.release(connection, facts, [earlier])
    return Placed(f"{order:016x}", f"{generation:016x}", base)


def _check_expected(connection: Connection, request: PutCheckpoint, key: Key) -> None:
    rows = connection.execute(
        "SELECT id FROM zerograph_redis_checkpoints WHERE thread = ?1 AND namespace = ?2 "
        "AND (id = ?3 OR position = (SELECT MAX(position) FROM zerograph_redis_checkpoints "
        "WHERE thread = ?1 AND namespace = ?2)) ORDER BY position DESC",
        key,
    ).fetchall()
    names = [read_name(name) for (name,) in rows]
    newest = names[0] if names else None
    # If the checkpoint itself is stored, the put was done already and is sent again.
    if request.expected != (newest,) and request.checkpoint_id not in names:
        raise conflict(request, newest or "")


def _is_proven(facts: Facts, record: bytes | None, base: BaseCheckpoint, needed: int) -> bool:
    """Return whether a put may build on the log: it is the current one, and the base checkpoint's record has the proof."""
    if record is None or int(base.generation, 16) != facts.generation or logs.is_due(facts.dropped, needed):
        return False
    generation, proof = read_proof(bounds.blob(record))
    return generation == base.generation and proof == base.proof


def _follows(connection: Connection, follows: tuple[str, str], key: Key) -> bool:
    """Return whether the parent has the order that the record names, and the checkpoint has or will get a later one."""
    thread, namespace, checkpoint_id = key
    parent, order = escape(follows[0]), int(follows[1], 16)
    orders: dict[str, int] = dict(
        connection.execute(
            "SELECT id, position FROM zerograph_redis_checkpoints WHERE thread = ? AND namespace = ? AND id IN (?, ?)",
            (thread, namespace, parent, checkpoint_id),
        )
    )
    return orders.get(parent) == order < orders.get(checkpoint_id, _END)


def put_writes(connection: Connection, request: PutWrites, now: int) -> WritesReply | None:
    """Store pending writes. A write that is replaced keeps its number, and so its place in the list."""
    thread, namespace, name = escape(request.thread), escape(request.namespace), escape(request.checkpoint_id)
    facts = load_facts(connection, request, thread, now)
    if request.extends is not None:
        stored = read_writes(connection, (facts.number, namespace, name))
        version = _version_of(stored)
        if version != request.extends:
            return WritesReply(stored=False, version=version, writes=stored)
    start_thread(connection, thread, facts, now)
    key = (facts.number, namespace, name)
    store_writes(connection, key, request.writes, replace=request.replace)
    save_write(connection, facts, request.ttl, now)
    if request.extends is None:
        return None
    return WritesReply(stored=True, version=_version_of(read_writes(connection, key)))


def store_writes(connection: Connection, key: Key, writes: Sequence[StoredWrite], *, replace: bool) -> None:
    """Store pending writes of a checkpoint; *replace* those of the same identity, or keep them."""
    for first in range(0, len(writes), WRITES_AT_ONCE):
        batch = writes[first : first + WRITES_AT_ONCE]
        values: list[Any] = [*key]
        for write in batch:
            values += (write.identity, write.record)
        connection.execute(_insert_writes(len(batch), replace), values)


@lru_cache
def _insert_writes(count: int, replace: bool) -> str:  # noqa: FBT001 - by position, for the cache
    """Return the statement that stores *count* pending writes of one checkpoint."""
    rows = ", ".join(["(?1, ?2, ?3, ?, ?)"] * count)
    known = "UPDATE SET record = excluded.record" if replace else "NOTHING"
    return (
        f"INSERT INTO zerograph_redis_writes (thread, namespace, id, identity, record) VALUES {rows} "  # noqa: S608 - our own
        f"ON CONFLICT (thread, namespace, id, identity) DO {known}"
    )


def _version_of(writes: Sequence[StoredWrite]) -> str:
    """Return the version of a list of pending writes: from the digests of its records, which differ in every batch."""
    if not writes:
        return NO_WRITES
    return digest_of(b"".join(each.identity.encode() + (each.record or b"")[:9] for each in writes)).hex()


_READ = (
    "SELECT ttl, deadline, threads.number, id, record, position FROM zerograph_redis_threads AS threads "
    "LEFT JOIN zerograph_redis_checkpoints AS checkpoints ON checkpoints.thread = threads.number AND namespace = ?2 AND "
)
_BEFORE = _READ + "position < {} WHERE threads.thread = ?1 ORDER BY position DESC LIMIT ?4"
_BEFORE_ORDER = _BEFORE.format("?3")
# Nothing is less than NULL.
_BEFORE_ID = _BEFORE.format(
    "(SELECT position FROM zerograph_redis_checkpoints WHERE thread = threads.number AND namespace = ?2 AND id = ?3)"
)
_NAMED = _READ + "id = ?3 WHERE threads.thread = ?1"


def get_checkpoint(connection: Connection, request: GetCheckpoint, now: int) -> tuple[Fetched, bool]:
    """Read one checkpoint: by its id, or the newest."""
    thread, namespace = escape(request.thread), escape(request.namespace)
    if request.checkpoint_id is None:
        rows = connection.execute(_BEFORE_ORDER, (thread, namespace, _END, 1)).fetchall()
    else:
        rows = connection.execute(_NAMED, (thread, namespace, escape(request.checkpoint_id))).fetchall()
    return _fetched(connection, request, namespace, rows, now)


def get_writes(connection: Connection, request: GetWrites, now: int) -> tuple[list[StoredWrite], bool]:
    """Read the pending writes of a checkpoint."""
    row = live_row(connection, escape(request.thread), now, "number, ttl, deadline")
    if row is None:
        return [], False
    number, ttl, deadline = row
    found = read_writes(connection, (number, escape(request.namespace), escape(request.checkpoint_id)))
    return found, request.refresh and is_late(ttl, deadline, now)


def list_checkpoints(connection: Connection, request: ListCheckpoints, now: int) -> tuple[Fetched, bool]:
    """Read checkpoints of a namespace, newest first."""
    thread, namespace = escape(request.thread), escape(request.namespace)
    before: int | str = _END if request.before_order is None else int(request.before_order, 16)
    query = _BEFORE_ORDER
    if request.before is not None:
        query, before = _BEFORE_ID, escape(request.before)
    rows = connection.execute(query, (thread, namespace, before, request.limit)).fetchall()
    return _fetched(connection, request, namespace, rows, now)


def _fetched(
    connection: Connection,
    request: GetCheckpoint | ListCheckpoints,
    namespace: str,
    rows: Sequence[Any],
    now: int,
) -> tuple[Fetched, bool]:
    """Make a reply of rows of one thread. A thread without a matching checkpoint has one row, without an id."""
    if not rows:
        return Fetched([], []), False
    ttl, deadline, thread, name = rows[0][:4]
    late = False
    if deadline is not None:
        if bounds.whole(deadline) <= now:
            return Fetched([], []), False
        late = request.refresh and is_late(ttl, deadline, now)
    if name is None:
        return Fetched([], []), late
    if len(rows) == 1:
        writes = {name: read_writes(connection, (thread, namespace, name))}
    else:
        writes = _writes_of(connection, thread, namespace, rows)
    found, records = [], []
    base = request.base if isinstance(request, GetCheckpoint) else None
    for _, _, _, name, record, position in rows:
        stored = StoredCheckpoint(read_name(name), bounds.blob(record), writes.get(name, []), order_text(position))
        found.append(stored)
        if base is None or read_proof(record) != (base.generation, base.proof):
            records.append(record)
    return Fetched(found, logs.fetch(connection, thread, records, request.known)), late


def _writes_of(
    connection: Connection, thread: int, namespace: str, rows: Sequence[Any]
) -> dict[str, list[StoredWrite]]:
    """Read the pending writes of adjacent checkpoints, by checkpoint id."""
    found: dict[str, list[StoredWrite]] = {}
    for name, identity, record in connection.execute(
        "SELECT id, identity, writes.record FROM zerograph_redis_checkpoints AS checkpoints "
        "JOIN zerograph_redis_writes AS writes USING (thread, namespace, id) "
        "WHERE thread = ? AND namespace = ? AND position BETWEEN ? AND ? ORDER BY writes.number",
        (thread, namespace, rows[-1][5], rows[0][5]),
    ):
        found.setdefault(name, []).append(StoredWrite(bounds.text(identity), bounds.blob(record)))
    return found


def read_writes(connection: Connection, key: Key) -> list[StoredWrite]:
    """Read the pending writes of a checkpoint, in the order stored."""
    rows = connection.execute(
        "SELECT number, identity, record FROM zerograph_redis_writes WHERE thread = ? AND namespace = ? AND id = ?",
        key,
    ).fetchall()
    if not rows:
        return []
    rows.sort()  # for a few rows, faster than in SQLite
    return [StoredWrite(bounds.text(identity), bounds.blob(record)) for _, identity, record in rows]


def prune_thread(connection: Connection, request: PruneThread, now: int) -> Found[int]:
    """Drop all but the newest checkpoints of every namespace, in one slice: no other client waits for a server here."""
    before = None if request.max_age is None else max(now - request.max_age, 0)
    facts = load_facts(connection, request, escape(request.thread), now)
    if not facts.number:
        return Found(0, None)
    namespaces = connection.execute(
        "SELECT DISTINCT namespace FROM zerograph_redis_checkpoints WHERE thread = ?", (facts.number,)
    ).fetchall()
    removed = sum(_drop(connection, facts, each, request.keep, before, -1) for (each,) in namespaces)
    left = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM zerograph_redis_checkpoints WHERE thread = ?1) "
        "OR EXISTS (SELECT 1 FROM zerograph_redis_writes WHERE thread = ?1)",
        (facts.number,),
    ).fetchone()[0]
    if left:
        save_log(connection, facts)
    else:
        delete_rows(connection, facts.number)
    return Found(removed, None)


def _drop(connection: Connection, facts: Facts, namespace: str, keep: int, before: int | None, most: int) -> int:
    """Drop up to *most* checkpoints, -1 for all: those older than the newest *keep*, and only orders below *before*."""
    newest = connection.execute(
        "SELECT position FROM zerograph_redis_checkpoints WHERE thread = ? AND namespace = ? "
        "ORDER BY position DESC LIMIT 1 OFFSET ?",
        (facts.number, namespace, keep),
    ).fetchone()
    if newest is None:
        return 0
    rows = connection.execute(
        "SELECT number, id, record FROM zerograph_redis_checkpoints WHERE thread = ? AND namespace = ? "
        "AND position <= ? AND position < ? ORDER BY position LIMIT ?",
        (facts.number, namespace, *newest, _END if before is None else before, most),
    ).fetchall()
    connection.executemany("DELETE FROM zerograph_redis_checkpoints WHERE number = ?", [row[:1] for row in rows])
    connection.executemany(
        "DELETE FROM zerograph_redis_writes WHERE thread = ? AND namespace = ? AND id = ?",
        [(facts.number, namespace, row[1]) for row in rows],
    )
    logs.release(connection, facts, [row[2] for row in rows])
    return len(rows)
