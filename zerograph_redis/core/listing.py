"""Which threads a store has, page by page of its thread index."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.threads import LeaseInfo, ThreadInfo

from .configs import read_id
from .requests import DescribeThreads, IndexCursor, IndexedThread, ListThreads, Operation, ThreadFacts

PAGE = 1000  # ids alone are read quickly
DESCRIBED = 100  # threads in one round trip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Listing(NamedTuple):
    """Threads that were read, and what else the thread index names."""

    threads: list[ThreadInfo]
    damaged: dict[str, CorruptCheckpointError | None]
    """The threads that cannot be read; None for an entry that is no thread id."""
    stale: list[str]
    """The threads that are not stored."""


def find_threads(prefix: str, limit: int | None, before: Any = None) -> Operation[Listing]:
    """Describe the threads whose ids begin with *prefix*, newest activity first, those that follow *before*."""
    found = Listing([], {}, [])
    threads, damaged, stale = found
    cursor = None
    if before is not None:
        cursor = yield from _cursor_behind(before)
        if cursor is None:
            return found
    # Where few entries are of threads to describe, many are read at a time.
    few_match = bool(prefix)
    while limit is None or len(threads) < limit:
        size = PAGE if limit is None or few_match else min(PAGE, limit - len(threads))
        page = yield from ListThreads(cursor, size)
        damaged.update(dict.fromkeys(page.odd))
        names = [each.thread for each in page.found if each.thread.startswith(prefix)]
        known = len(threads)
        for first in range(0, len(names), DESCRIBED):
            if limit is not None and len(threads) >= limit:
                break
            described = yield from describe_threads(names[first : first + DESCRIBED])
            # On a cluster the thread index lags behind the threads a little.
            threads += sorted(described.threads, key=lambda info: info.updated, reverse=True)
            damaged.update(described.damaged)
            stale += described.stale
        few_match = bool(prefix) or len(threads) == known
        cursor = page.cursor
        if cursor is None:
            break
    return found._replace(threads=threads[:limit])


def describe_threads(names: Sequence[str]) -> Operation[Listing]:
    """Describe threads in one round trip."""
    described = Listing([], {}, [])
    for name, facts in zip(names, (yield from DescribeThreads(names)), strict=True):
        if facts is None:
            described.stale.append(name)
        elif isinstance(facts, CorruptCheckpointError):
            described.damaged[name] = facts
        else:
            described.threads.append(_info_of(name, facts))
    return described


def describe(thread: str) -> Operation[ThreadFacts | None]:
    """Read the facts of a thread; None if it is not stored."""
    (facts,) = yield from DescribeThreads([thread])
    if isinstance(facts, CorruptCheckpointError):
        raise facts
    return facts


def moment(microseconds: int) -> datetime:
    """Return the point in time of a store's clock."""
    return _EPOCH + timedelta(microseconds=microseconds)


def _cursor_behind(before: Any) -> Operation[IndexCursor | None]:
    """Find where the thread index goes on behind a thread; None if that is not stored."""
    if isinstance(before, ThreadInfo):
        updated = (before.updated - _EPOCH) // timedelta(microseconds=1)
        return IndexCursor.behind(IndexedThread(updated, before.thread_id))
    thread = read_id("before", before)
    facts = yield from describe(thread)
    return None if facts is None else IndexCursor.behind(IndexedThread(facts.updated, thread))


def _info_of(thread: str, facts: ThreadFacts) -> ThreadInfo:
    return ThreadInfo(
        thread,
        moment(facts.created),
        moment(facts.updated),
        facts.checkpoints,
        facts.namespaces,
        facts.bytes,
        None if facts.ttl is None else facts.ttl / 1000,
        LeaseInfo(facts.owner, facts.held / 1000) if facts.held else None,
    )
