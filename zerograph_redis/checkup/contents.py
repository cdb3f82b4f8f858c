"""Reading all that a thread holds, to see whether it is what was stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zerograph_redis.core.examination import OutlineThread
from zerograph_redis.core.records import CheckpointRecord, unpack_checkpoint, unpack_write
from zerograph_redis.core.requests import Operation, StoredCheckpoint
from zerograph_redis.core.scanning import ThreadScan
from zerograph_redis.core.settings import Address, Settings
from zerograph_redis.core.states import read_state
from zerograph_redis.errors import CorruptCheckpointError, SerializationError
from zerograph_redis.pieces import ThreadLogs

__all__ = ("Contents", "read_contents")

_TRIES = 5  # to read a thread that changes meanwhile


@dataclass(slots=True)
class Contents:
    """What reading a thread showed."""

    damage: str = ""
    """What could not be read as it was stored; empty if all could."""
    closed: str = ""
    """Why it cannot be read here, though it may be whole; empty if it can."""
    busy: bool = False
    """Whether it changed faster than it could be read."""
    waiting: int = 0
    """How many checkpoints have pending writes, and never came."""
    logs: int = 0
    """The bytes of its logs."""
    unused: int = 0
    """How many of these no checkpoint refers to."""


def read_contents(thread: str, settings: Settings) -> Operation[Contents]:
    """Read every record, every state and every pending write of a thread, and compare their checksums."""
    try:
        yield from _compare_index(thread)
        for _ in range(_TRIES):
            reading = _Reading(thread, settings)
            if (yield from reading.read()):
                return reading.judge()
    except CorruptCheckpointError as error:
        return Contents(damage=str(error))
    except SerializationError as error:
        return Contents(closed=str(error).rpartition("cannot be read: ")[2].partition(";")[0])
    return Contents(busy=True)


def _compare_index(thread: str) -> Operation[None]:
    """Find records that are not where the index says: a scan, which goes by the records, would not."""
    cursor = None
    while True:
        page = yield from OutlineThread(thread, cursor)
        for each in page.outlines:
            if each.damage:
                raise CorruptCheckpointError(
                    f"checkpoint {each.checkpoint_id!r} of thread {thread!r}, namespace {each.namespace!r}: {each.damage}"
                )
        cursor = page.cursor
        if cursor is None:
            return


class _Reading:
    """One attempt to read a thread whole."""

    def __init__(self, thread: str, settings: Settings) -> None:
        self._thread = thread
        self._settings = settings
        self._cipher = settings.cipher(thread)
        self._scan = ThreadScan(thread)
        self._logs = ThreadLogs()
        self._records: list[tuple[str, str, CheckpointRecord]] = []

    def read(self) -> Operation[bool]:
        """Read all pages. Returns False if the thread changed meanwhile."""
        while (page := (yield from self._scan.next_page())) is not None:
            for namespace, row in page.rows:
                self._take(namespace, row)
            for each in page.ranges:
                self._logs.add(each.generation, each.start, each.data)
        return not self._scan.changed

    def judge(self) -> Contents:
        """Put every state together, which its checksum must fit."""
        used: dict[str, set[tuple[int, int]]] = {}
        for namespace, checkpoint_id, record in self._records:
            address = Address(self._thread, namespace, checkpoint_id, None)
            parts = record.placed()
            read_state(address, checkpoint_id, record, parts, self._logs, self._settings)
            ranges = used.setdefault(record.generation, set())
            ranges.update(
                (segment.offset, segment.offset + (segment.stored or segment.length))
                for _, segments in parts
                for segment in segments
            )
        ends = self._scan.log_ends
        return Contents(
            waiting=len(self._scan.written - self._scan.checkpoints),
            logs=sum(ends.values()),
            unused=sum(end - _covered(used.get(log, ())) for log, end in ends.items()),
        )

    def _take(self, namespace: str, row: StoredCheckpoint) -> None:
        for write in row.writes:
            unpack_write(self._thread, namespace, row.checkpoint_id, write.identity, write.record, self._cipher)
        if row.record is not None:
            record = unpack_checkpoint(self._thread, namespace, row.checkpoint_id, row.record, self._cipher)
            self._records.append((namespace, row.checkpoint_id, record))


def _covered(ranges: Iterable[tuple[int, int]]) -> int:
    """How many bytes lie in any of *ranges*."""
    covered = end = 0
    for start, stop in sorted(ranges):
        covered += max(stop - max(start, end), 0)
        end = max(end, stop)
    return covered
