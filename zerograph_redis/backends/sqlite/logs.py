"""The logs of a thread: puts append to them, reads fetch ranges, and each is deleted with its last checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from sqlite3 import Connection

from zerograph_redis.core import bounds
from zerograph_redis.core.records import log_name, read_appended, read_ranges
from zerograph_redis.core.requests import NO_LOG, LogRange
from zerograph_redis.state_log.log import KnownRange

from .thread_rows import Facts

LOG_ROW = "INTO zerograph_redis_logs (thread, generation, start, stop, data) VALUES (?, ?, ?, ?, ?)"
LONGEST = 1 << 40  # bytes of a log: the header of a record has 10 hex digits for an offset


def generation_of(record: bytes) -> tuple[int, int]:
    """The generation of a record's log, and how many bytes its put appended; ValueError for damage."""
    generation, _, appended = read_appended(bounds.blob(record))
    return bounds.whole(int(generation, 16), bounds.END_OF_LOGS), appended


def is_due(dropped: int, needed: int) -> bool:
    """Return whether so much of a log is garbage that a new one begins: as put_checkpoint.lua does."""
    return dropped > 4096 and dropped > 2 * needed


def _begin(connection: Connection, facts: Facts, generation: int) -> None:
    """Begin a log. The previous one is kept while a checkpoint needs it."""
    if facts.live:
        connection.execute(
            "INSERT INTO zerograph_redis_older_logs VALUES (?, ?, ?)", (facts.number, facts.generation, facts.live)
        )
    facts.generation, facts.length, facts.dropped, facts.live = generation, 0, 0, 0


def append(
    connection: Connection, facts: Facts, data: bytes, attempt: str, now: int, needed: int, users: int = 1
) -> tuple[int, int]:
    """Append what a put, or several in a batch, add to the log; begin a new log if there is none, or it is due.

    Args:
        connection: In a transaction.
        facts: Those of the thread. They count the *users* at once, so that retention cannot delete the log between puts.
        data: What to append.
        attempt: The random name of the put, or of the first one.
        now: The time in µs.
        needed: How many bytes of the log the state is made of; of several states, the most.
        users: How many checkpoints need the log.

    Returns:
        The generation, and the offset of the bytes.
    """
    if not facts.generation or is_due(facts.dropped, needed):
        _begin(connection, facts, log_name(attempt, max(now, facts.last_order + 1)))
    facts.live += users
    start = bounds.whole(facts.length, LONGEST)
    if data:
        facts.length += len(data)
        connection.execute(f"INSERT {LOG_ROW}", (facts.number, facts.generation, start, facts.length, data))
    return facts.generation, start


def release(connection: Connection, facts: Facts, records: Iterable[bytes]) -> None:
    """Count as garbage what removed checkpoints appended, and delete the logs that no checkpoint needs any more."""
    released: Counter[int] = Counter()
    for record in records:
        facts.removed += 1  # a copy in progress sees by this that it may have missed one
        try:
            generation, appended = generation_of(record)
        except ValueError:
            continue  # a damaged record names no log, and must not prevent that its thread is pruned
        released[generation] += 1
        if generation == facts.generation:
            facts.dropped += appended
    for generation, count in released.items():
        if not generation:
            continue
        if generation == facts.generation:
            facts.live = left = max(facts.live - count, 0)
        else:
            left = _release_older(connection, facts.number, generation, count)
        if left:
            continue
        connection.execute(
            "DELETE FROM zerograph_redis_logs WHERE thread = ? AND generation = ?", (facts.number, generation)
        )
        if generation == facts.generation:
            facts.generation = facts.length = facts.dropped = 0


def _release_older(connection: Connection, thread: int, generation: int, count: int) -> int:
    key = (thread, generation)
    row = connection.execute(
        "SELECT live FROM zerograph_redis_older_logs WHERE thread = ? AND generation = ?", key
    ).fetchone()
    left = 0 if row is None else max(bounds.whole(row[0]) - count, 0)
    if left:
        connection.execute(
            "UPDATE zerograph_redis_older_logs SET live = ? WHERE thread = ? AND generation = ?", (left, *key)
        )
    else:
        connection.execute("DELETE FROM zerograph_redis_older_logs WHERE thread = ? AND generation = ?", key)
    return left


def fetch(connection: Connection, thread: int, records: Iterable[bytes], known: Sequence[KnownRange]) -> list[LogRange]:
    """Read the ranges of the logs that the records need and the reader lacks, each once."""
    wanted: dict[str, list[tuple[int, int]]] = {}
    reached = {name: last for name, first, last in known if first == 0}
    for record in records:
        try:
            generation, base, appended = read_appended(record)
            # A state refers only to bytes that the log had when it was put.
            if generation == NO_LOG or base + appended <= reached.get(generation, 0):
                continue
            bounds.whole(int(generation, 16), bounds.END_OF_LOGS)
            ranges = read_ranges(record)
        except ValueError:
            continue  # the reader of the record will find the damage, and name the checkpoint
        spans = [span[1:] for span in known if span[0] == generation]
        for each in ranges:
            start, stop = each
            for first, last in spans:
                if first <= start < last:
                    start = min(last, stop)
                if first < stop <= last:
                    stop = max(first, start)
            if start < stop:
                wanted.setdefault(generation, []).append((start, stop))
    if not wanted:
        return []
    return [
        LogRange(generation, bounds.whole(start), bounds.blob(data))
        for generation, ranges in wanted.items()
        for first, last in _merged(ranges)
        for start, data in _read_rows(connection, thread, int(generation, 16), first, last)
    ]


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def _read_rows(connection: Connection, thread: int, generation: int, first: int, last: int) -> list[tuple[int, bytes]]:
    rows = connection.execute(
        "SELECT start, data FROM zerograph_redis_logs WHERE thread = ? AND generation = ? AND stop > ? AND start < ? "
        "ORDER BY stop",
        (thread, generation, first, last),
    ).fetchall()
    if not rows:
        return []
    rows = [(bounds.whole(start), bounds.blob(data)) for start, data in rows]
    # Join rows without a gap between them: a reader then takes them in at once.
    if all(row[0] + len(row[1]) == following[0] for row, following in pairwise(rows)):
        return [(rows[0][0], b"".join(data for _, data in rows))]
    return rows
