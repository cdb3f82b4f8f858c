"""Counts threads, checkpoints and bytes of a store, and the bytes saved because a checkpoint stores only what changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from heapq import nlargest

from zerograph_redis.core.bundles import together
from zerograph_redis.core.examination import OutlineThread, ReadClock
from zerograph_redis.core.listing import DESCRIBED, describe_threads
from zerograph_redis.core.paging import read_index, read_pages
from zerograph_redis.core.requests import Operation
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.threads import ThreadInfo

EXACT = 100_000  # checkpoints whose sizes are all read; of more, only those of a sample of threads
SAMPLE = 1_000  # threads


@dataclass(frozen=True, slots=True)
class Savings:
    """How many bytes are saved because a checkpoint stores only what changed."""

    whole_bytes: int = 0
    """What records and states would take if each checkpoint had its state whole."""
    stored_bytes: int = 0
    """What they take in the store."""
    threads: int = 0
    """How many threads were counted. The savings of the others are extrapolated."""
    exact: bool = True
    """Whether that is every thread."""

    @property
    def saved_bytes(self) -> int:
        """The difference. It is negative where there is little to save."""
        return self.whole_bytes - self.stored_bytes


@dataclass(slots=True)
class Statistics:
    """The counts of a store."""

    taken: int
    """When, by the store's clock, in µs."""
    threads: int = 0
    checkpoints: int = 0
    bytes: int = 0
    threads_with_ttl: int = 0
    threads_held: int = 0
    """How many threads a worker holds."""
    threads_damaged: int = 0
    """How many threads lack parts, so that they are not among the savings."""
    largest: list[ThreadInfo] = field(default_factory=list)
    savings: Savings = field(default_factory=Savings)


def count_store(largest: int, count: Callable[[], None], *, exact: bool) -> Operation[Statistics]:
    """Count what a store holds.

    Args:
        largest: How many of the largest threads to describe.
        count: Called for each thread that was read.
        exact: Whether to count the savings over all threads, however many there are.
    """
    found = Statistics((yield from ReadClock()))
    names = [each.thread for page in (yield from read_index()) for each in page.found]
    sizes: dict[str, int] = {}
    for first in range(0, len(names), DESCRIBED):
        page = names[first : first + DESCRIBED]
        described = yield from describe_threads(page)
        found.threads_damaged += len(described.damaged)
        for info in described.threads:
            found.checkpoints += info.checkpoints
            found.threads_with_ttl += info.ttl is not None
            found.threads_held += info.lease is not None
            sizes[info.thread_id] = info.bytes
        found.largest = nlargest(largest, found.largest + described.threads, key=lambda info: info.bytes)
        for _ in page:
            count()
    found.threads, found.bytes = len(sizes), sum(sizes.values())
    sample = sizes
    if not exact and found.checkpoints > EXACT and found.threads > SAMPLE:
        sample = {name: sizes[name] for name in random.sample(list(sizes), SAMPLE)}
    found.savings, damaged = yield from _count_savings(sample, sizes)
    found.threads_damaged += damaged
    return found


def _count_savings(sample: Mapping[str, int], sizes: Mapping[str, int]) -> Operation[tuple[Savings, int]]:
    """Count the savings of a sample of threads, for all of them; also how many of the sample are damaged."""
    read: list[tuple[int, int, int] | None] = []
    yield from together((_read_sizes(name, size) for name, size in sample.items()), read.append)
    readable = [each for each in read if each is not None]
    counted, whole, stored = map(sum, zip((0, 0, 0), *readable, strict=True))
    exact = len(sample) == len(sizes)
    ratio = 1.0 if exact or not counted else sum(sizes.values()) / counted
    savings = Savings(round(whole * ratio), round(stored * ratio), len(readable), exact)
    return savings, len(read) - len(readable)


def _read_sizes(thread: str, size: int) -> Operation[tuple[int, int, int] | None]:
    """Return *size*, what the thread would take if states were stored whole, and what it takes; None if damaged."""
    try:
        pages = yield from read_pages(lambda cursor: OutlineThread(thread, cursor))
    except CorruptCheckpointError:
        return None
    records = sum(each.record for page in pages for each in page.outlines)
    states = sum(each.state for page in pages for each in page.outlines)
    return size, records + states, records + sum(pages[-1].logs.values())
