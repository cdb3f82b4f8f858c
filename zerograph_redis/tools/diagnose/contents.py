"""The deep check of one thread: reads and verifies all that it holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zerograph_redis.core.examination import OutlineThread
from zerograph_redis.core.paging import read_pages
from zerograph_redis.core.records import name_of
from zerograph_redis.core.requests import Operation
from zerograph_redis.core.scanning import ThreadScan
from zerograph_redis.core.settings import Settings
from zerograph_redis.core.verification import Lineage, Verification
from zerograph_redis.errors import CorruptCheckpointError, SerializationError

_TRIES = 5  # to read a thread that changes meanwhile


@dataclass(slots=True)
class ThreadContents:
    """What reading a whole thread found."""

    damage: str = ""
    """What is missing or damaged; empty if nothing is."""
    undecodable: str = ""
    """Why it cannot be decoded here, though it may be whole; empty if it can."""
    busy: bool = False
    """Whether it changed faster than it could be read."""
    reversed: int = 0
    """How many checkpoints are stored before their parents."""
    waiting: int = 0
    """How many checkpoints have pending writes, and are not stored."""
    logs: int = 0
    """The bytes of its logs."""
    unused: int = 0
    """How many of these no checkpoint refers to."""


def read_contents(thread: str, settings: Settings) -> Operation[ThreadContents]:
    """Read every record, state and pending write of a thread, and compare their checksums."""
    try:
        yield from _compare_index(thread)
        for _ in range(_TRIES):
            scan, verification = ThreadScan(thread), Verification(thread, settings)
            while (page := (yield from scan.next_page())) is not None:
                verification.add(page)
            if not scan.changed:
                verification.check()
                return _count(scan, verification)
    except CorruptCheckpointError as error:
        return ThreadContents(damage=str(error))
    except SerializationError as error:
        return ThreadContents(undecodable=str(error).rpartition("cannot be read: ")[2].partition(";")[0])
    return ThreadContents(busy=True)


def _compare_index(thread: str) -> Operation[None]:
    """Refuse records that are missing where the index has them: a scan goes by the records, and would not notice."""
    for page in (yield from read_pages(lambda cursor: OutlineThread(thread, cursor))):
        for each in page.outlines:
            if each.damage:
                raise CorruptCheckpointError(f"{name_of(thread, each.namespace, each.checkpoint_id)}: {each.damage}")


def _count(scan: ThreadScan, verification: Verification) -> ThreadContents:
    used: dict[str, set[tuple[int, int]]] = {}
    lineages: dict[str, Lineage] = {}
    for namespace, checkpoint_id, record in verification.records:
        lineages.setdefault(namespace, Lineage(scan.thread, namespace)).add(checkpoint_id, record)
        used.setdefault(record.generation, set()).update(
            (segment.offset, segment.offset + (segment.stored or segment.length))
            for _, segments in record.placed()
            for segment in segments
        )
    ends = scan.log_ends
    return ThreadContents(
        reversed=sum(1 for lineage in lineages.values() for _ in lineage.reversed()),
        waiting=len(scan.checkpoints_with_writes - scan.checkpoints),
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
