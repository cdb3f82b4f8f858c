"""The logs of a thread: appended to by puts, read in ranges, gone with their last checkpoint."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import pairwise

from zerograph_redis.core import bounds
from zerograph_redis.core.records import read_segments
from zerograph_redis.core.requests import LogRange
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.pieces import Segment
from zerograph_redis.pieces.log import Span

__all__ = ("append", "fetch", "header_of", "is_due", "length_of", "release")


_LARGEST = 2**63 - 1  # an integer of SQLite


def header_of(record: bytes) -> tuple[int, int, int, list[Segment]]:
    """Generation, base, how much was appended, and the segments of a record."""
    header, segments, _ = read_segments("a checkpoint", bounds.blob(record))
    return bounds.whole(int(header.generation, 16), bounds.END_OF_LOGS), header.base, header.appended, segments


def length_of(connection: sqlite3.Connection, thread: str, generation: int) -> int:
    """How long a log is."""
    row = connection.execute(
        "SELECT MAX(stop) FROM zerograph_redis_logs WHERE thread = ? AND generation = ?", (thread, generation)
    ).fetchone()
    return 0 if row[0] is None else bounds.whole(row[0], LONGEST)


LONGEST = 1 << 40  # bytes of a log: what a record's header can spell


def is_due(dropped: int, needed: int) -> bool:
    """Tell whether a log holds so much rubbish that a new one begins: as in put_checkpoint.lua."""
    return dropped > 4096 and dropped > 2 * needed


def append(connection: sqlite3.Connection, thread: str, generation: int, data: bytes) -> int:
    """Append to a log; returns where the bytes begin."""
    base = length_of(connection, thread, generation)
    if data:
        connection.execute(
            "INSERT INTO zerograph_redis_logs VALUES (?, ?, ?, ?, ?)",
            (thread, generation, base, base + len(data), data),
        )
    return base


def release(connection: sqlite3.Connection, thread: str, records: Iterable[bytes]) -> None:
    """Count what gone checkpoints appended as rubbish, and remove the logs that no checkpoint is left of."""
    generations = set()
    for record in records:
        # Tells a copy under way that it may have missed one.
        connection.execute("UPDATE zerograph_redis_threads SET gone = gone + 1 WHERE thread = ?", (thread,))
        try:
            generation, _, appended, _ = header_of(record)
        except (CorruptCheckpointError, ValueError):
            continue  # it holds nothing that could be found; it must not keep a thread from being pruned
        if generation:
            generations.add(generation)
            connection.execute(
                "UPDATE zerograph_redis_threads SET dropped = dropped + ? WHERE thread = ? AND generation = ?",
                (appended, thread, generation),
            )
    for generation in generations:
        live = connection.execute(
            "SELECT 1 FROM zerograph_redis_checkpoints WHERE thread = ? AND generation = ? LIMIT 1",
            (thread, generation),
        ).fetchone()
        if live is None:
            connection.execute(
                "DELETE FROM zerograph_redis_logs WHERE thread = ? AND generation = ?", (thread, generation)
            )
            connection.execute(
                "UPDATE zerograph_redis_threads SET generation = 0, dropped = 0 WHERE thread = ? AND generation = ?",
                (thread, generation),
            )


def fetch(
    connection: sqlite3.Connection,
    thread: str,
    records: Iterable[bytes],
    known: Sequence[Span],
    longest: int | None = None,
) -> list[LogRange]:
    """Read what the records need of the logs and the reader lacks, each stretch once, but for segments over *longest*."""
    wanted: dict[int, list[tuple[int, int]]] = {}
    for record in records:
        try:
            generation, _, _, segments = header_of(record)
        except CorruptCheckpointError:
            continue  # who reads the record finds out, and can say which it is
        for segment in segments:
            start = segment.offset
            stop = start + (segment.stored or segment.length)
            for name, first, last in known:
                if int(name, 16) == generation:
                    if first <= start < last:
                        start = min(last, stop)
                    if first < stop <= last:
                        stop = max(first, start)
            if start < stop and (longest is None or (segment.stored or segment.length) <= longest):
                wanted.setdefault(generation, []).append((start, stop))
    return [
        LogRange(f"{generation:016x}", bounds.whole(start), bounds.blob(data))
        for generation, ranges in wanted.items()
        for first, last in _merged(ranges)
        for start, data in _stretches(connection, thread, generation, first, last)
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
    connection: sqlite3.Connection, thread: str, generation: int, first: int, last: int
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
