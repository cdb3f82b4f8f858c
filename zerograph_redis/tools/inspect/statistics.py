"""What a store holds, counted: threads, checkpoints, bytes, and what patches save."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import nlargest
from typing import NamedTuple

from zerograph_redis.core.bundles import together
from zerograph_redis.core.examination import OutlineThread, ReadClock
from zerograph_redis.core.paging import read_index, read_pages
from zerograph_redis.core.requests import DescribeThreads, Operation
from zerograph_redis.core.thread_operations import info_of
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.threads import ThreadInfo

DESCRIBED = 100  # threads in one round trip
EXACT = 100_000  # checkpoints whose sizes are read, all of them, before a sample of threads must do
SAMPLE = 1_000  # threads


class Savings(NamedTuple):
    """What it saves that a checkpoint is stored as what changed."""

    whole: int
    """What records and states would take if each checkpoint had its state whole."""
    stored: int
    """What they take."""
    threads: int
    """Of how many threads that was counted; of the others it is taken to be alike."""
    exact: bool
    """Whether these are all."""


_NONE = Savings(0, 0, 0, exact=True)


@dataclass(slots=True)
class Statistics:
    """A store in numbers."""

    taken: int
    """When, by the store's clock, in µs."""
    threads: int = 0
    checkpoints: int = 0
    bytes: int = 0
    expiring: int = 0
    """How many threads have a ttl."""
    held: int = 0
    """How many threads a worker holds."""
    damaged: int = 0
    """How many threads could not be counted among the savings, since parts of them are gone."""
    largest: list[ThreadInfo] = field(default_factory=list)
    savings: Savings = _NONE


class _Sample:
    """Some of the threads that come along, each with the same chance."""

    def __init__(self) -> None:
        self._seen = 0
        self.names: list[str] = []

    def add(self, name: str) -> None:
        self._seen += 1
        if len(self.names) < SAMPLE:
            self.names.append(name)
        elif (place := random.randrange(self._seen)) < SAMPLE:  # noqa: S311 - nothing depends on it being unpredictable
            self.names[place] = name


def count_store(largest: int, looked: Callable[[], None], *, exact: bool) -> Operation[Statistics]:
    """Count what a store holds.

    Args:
        largest: How many of the largest threads to tell of.
        looked: Called for each thread that was looked at.
        exact: Whether savings are counted over all threads, however many there are.
    """
    found = Statistics((yield from ReadClock()))
    names = [each.thread for page in (yield from read_index()) for each in page.found]
    sample = _Sample()
    sizes: dict[str, int] = {}
    unreadable = 0
    for first in range(0, len(names), DESCRIBED):
        page = names[first : first + DESCRIBED]
        for name, facts in zip(page, (yield from DescribeThreads(page)), strict=True):
            looked()
            if facts is None:
                continue
            if isinstance(facts, CorruptCheckpointError):
                unreadable += 1
                continue
            found.threads += 1
            found.checkpoints += facts.checkpoints
            found.bytes += facts.bytes
            found.expiring += facts.lifetime is not None
            found.held += facts.held > 0
            found.largest.append(info_of(name, facts))
            sample.add(name)
            sizes[name] = facts.bytes
        found.largest = nlargest(largest, found.largest, key=lambda info: info.bytes)
    found.damaged = unreadable
    is_all = exact or found.checkpoints <= EXACT or found.threads <= SAMPLE
    yield from _count_savings(found, list(sizes) if is_all else sample.names, sizes)
    return found


def _count_savings(found: Statistics, names: Iterable[str], sizes: dict[str, int]) -> Operation[None]:
    whole = stored = counted = threads = damaged = 0

    def take(savings: tuple[str, int, int] | None) -> None:
        nonlocal whole, stored, counted, threads, damaged
        if savings is None:
            damaged += 1
            return
        name, its_whole, its_stored = savings
        whole += its_whole
        stored += its_stored
        counted += sizes[name]
        threads += 1

    yield from together((_saved(name) for name in names), take)
    is_all = threads + damaged == found.threads
    found.damaged += damaged
    ratio = 1.0 if is_all or not counted else found.bytes / counted
    found.savings = Savings(round(whole * ratio), round(stored * ratio), threads, is_all)


def _saved(thread: str) -> Operation[tuple[str, int, int] | None]:
    try:
        pages = yield from read_pages(lambda cursor: OutlineThread(thread, cursor))
    except CorruptCheckpointError:
        return None
    records = sum(each.record for page in pages for each in page.outlines)
    states = sum(each.state for page in pages for each in page.outlines)
    return thread, records + states, records + sum(pages[-1].logs.values())
