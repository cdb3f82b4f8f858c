"""The logs of a thread: appended to by puts, read in ranges, gone with their last checkpoint."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from zerograph_redis.core import bounds
from zerograph_redis.core.records import read_ranges, read_stretch
from zerograph_redis.core.requests import ZERO, LogRange
from zerograph_redis.state_log.log import KnownRange

from .thread_rows import Facts

LONGEST = 1 << 40  # bytes of a log: what a record's header can spell


def generation_of(record: bytes) -> tuple[int, int]:
    """The generation of a record's log, and how much its put appended to that; ValueError for damage."""
    generation, _, appended = read_stretch(bounds.blob(record))
    return bounds.whole(int(generation, 16), bounds.END_OF_LOGS), appended


def is_due(dropped: int, needed: int) -> bool:
    """Tell whether a log holds so much rubbish that a new one begins: as in put_checkpoint.lua."""
    return dropped > 4096 and dropped > 2 * needed


def begin(connection: sqlite3.Connection, facts: Facts, generation: int) -> None:
    """Begin a log. The one before stays for as long as a checkpoint needs it."""
    if facts.live:
        connection.execute(
            "INSERT INTO zerograph_redis_older_logs VALUES (?, ?, ?)", (facts.number, facts.generation, facts.live)
        )
    facts.generation, facts.length, facts.dropped, facts.live = generation, 0, 0, 0


def append(connection: sqlite3.Connection, facts: Facts, data: bytes) -> int:
    """Append to the log; returns where the bytes begin."""
    start = bounds.whole(facts.length, LONGEST)
    if data:
        facts.length += len(data)
        connection.execute(
            "INSERT INTO zerograph_redis_logs (thread, generation, start, stop, data) VALUES (?, ?, ?, ?, ?)",
            (facts.number, facts.generation, start, facts.length, data),
        )
    return start


def release(connection: sqlite3.Connection, facts: Facts, records: Iterable[bytes]) -> None:
    """Count what gone checkpoints appended as rubbish, and remove the logs that no checkpoint is left of."""
    released: Counter[int] = Counter()
    for record in records:
        facts.gone += 1  # tells a copy under way that it may have missed one
        try:
            generation, appended = generation_of(record)
        except ValueError:
            continue  # it holds nothing that could be found; it must not keep a thread from being pruned
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


def _release_older(connection: sqlite3.Connection, thread: int, generation: int, count: int) -> int:
    place = (thread, generation)
    row = connection.execute(
        "SELECT live FROM zerograph_redis_older_logs WHERE thread = ? AND generation = ?", place
    ).fetchone()
    left = 0 if row is None else max(bounds.whole(row[0]) - count, 0)
    if left:
        connection.execute(
            "UPDATE zerograph_redis_older_logs SET live = ? WHERE thread = ? AND generation = ?", (left, *place)
        )
    else:
        connection.execute("DELETE FROM zerograph_redis_older_logs WHERE thread = ? AND generation = ?", place)
    return left


def fetch(
    connection: sqlite3.Connection,
    thread: int,
    records: Iterable[bytes],
    known: Sequence[KnownRange],
    longest: int | None = None,
) -> list[LogRange]:
    """Read what the records need of the logs and the reader lacks, each stretch once, but for ranges over *longest*."""
    wanted: dict[str, list[tuple[int, int]]] = {}
    reached = {name: last for name, first, last in known if first == 0}
    for record in records:
        try:
            generation, base, appended = read_stretch(record)
            # A state is made of what the log had when it was put.
            if generation == ZERO or base + appended <= reached.get(generation, 0):
                continue
            bounds.whole(int(generation, 16), bounds.END_OF_LOGS)
            ranges = read_ranges(record)
        except ValueError:
            continue  # who reads the record finds out, and can say which it is
        spans = [span[1:] for span in known if span[0] == generation]
        for each in ranges:
            start, stop = each if longest is None or each[1] - each[0] <= longest else (0, 0)
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
        for start, data in _stretches(connection, thread, int(generation, 16), first, last)
    ]


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def _stretches(
    connection: sqlite3.Connection, thread: int, generation: int, first: int, last: int
) -> list[tuple[int, bytes]]:
    rows = connection.execute(
        "SELECT start, data FROM zerograph_redis_logs WHERE thread = ? AND generation = ? AND stop > ? AND start < ? "
        "ORDER BY stop",
        (thread, generation, first, last),
    ).fetchall()
    if not rows:
        return []
    rows = [(bounds.whole(start), bounds.blob(data)) for start, data in rows]
    # One stretch for those that follow one another: a reader takes it in at once.
    return [(rows[0][0], b"".join(data for _, data in rows))] if _gapless(rows) else rows


def _gapless(rows: Sequence[tuple[int, bytes]]) -> bool:
    return all(row[0] + len(row[1]) == following[0] for row, following in pairwise(rows))
