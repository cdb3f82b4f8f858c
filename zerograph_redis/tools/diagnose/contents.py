"""Reading all that a thread holds, to see whether it is what was stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zerograph_redis.core.examination import OutlineThread
from zerograph_redis.core.links import Lineage
from zerograph_redis.core.paging import read_pages
from zerograph_redis.core.records import name_of
from zerograph_redis.core.requests import Operation
from zerograph_redis.core.scanning import ThreadScan
from zerograph_redis.core.settings import Settings
from zerograph_redis.core.verification import Verification
from zerograph_redis.errors import CorruptCheckpointError, SerializationError

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
    reversed: int = 0
    """How many checkpoints are stored before their parents."""
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
    for page in (yield from read_pages(lambda cursor: OutlineThread(thread, cursor))):
        for each in page.outlines:
            if each.damage:
                raise CorruptCheckpointError(f"{name_of(thread, each.namespace, each.checkpoint_id)}: {each.damage}")


class _Reading:
    """One attempt to read a thread whole."""

    def __init__(self, thread: str, settings: Settings) -> None:
        self._thread = thread
        self._scan = ThreadScan(thread)
        self._verification = Verification(thread, settings)

    def read(self) -> Operation[bool]:
        """Read all pages. Returns False if the thread changed meanwhile."""
        while (page := (yield from self._scan.next_page())) is not None:
            self._verification.add(page)
        return not self._scan.changed

    def judge(self) -> Contents:
        """Verify what was read, and count it."""
        self._verification.check()
        used: dict[str, set[tuple[int, int]]] = {}
        for _, _, record in self._verification.records:
            ranges = used.setdefault(record.generation, set())
            ranges.update(
                (segment.offset, segment.offset + (segment.stored or segment.length))
                for _, segments in record.placed()
                for segment in segments
            )
        records = self._verification.records
        lineages = {namespace: Lineage(self._thread, namespace) for namespace, _, _ in records}
        for namespace, checkpoint_id, record in records:
            lineages[namespace].add(checkpoint_id, record)
        ends = self._scan.log_ends
        return Contents(
            reversed=sum(1 for lineage in lineages.values() for _ in lineage.reversed()),
            waiting=len(self._scan.written - self._scan.checkpoints),
            logs=sum(ends.values()),
            unused=sum(end - _covered(used.get(log, ())) for log, end in ends.items()),
        )


def _covered(ranges: Iterable[tuple[int, int]]) -> int:
    """How many bytes lie in any of *ranges*."""
    covered = end = 0
    for start, stop in sorted(ranges):
        covered += max(stop - max(start, end), 0)
        end = max(end, stop)
    return covered
