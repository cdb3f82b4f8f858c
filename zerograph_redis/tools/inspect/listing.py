"""Which threads a store has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from zerograph_redis.core.requests import DescribeThreads, ListThreads, Operation
from zerograph_redis.core.thread_operations import cursor_behind, info_of
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.threads import ThreadInfo

PAGE = 1000  # ids alone are read quickly
DESCRIBED = 100  # threads in one round trip


class Listing(NamedTuple):
    """Threads that were read, and the names of those that cannot be."""

    threads: list[ThreadInfo]
    damaged: list[str]


def find_threads(prefix: str, limit: int, after: Any = None) -> Operation[Listing]:
    """Describe the threads whose ids begin with *prefix*, newest activity first, those after *after*.

    Unlike `list_threads` of a saver, it changes nothing: stale entries of the thread index stay.
    """
    found = Listing([], [])
    cursor = None
    if after is not None:
        cursor = yield from cursor_behind(after)
        if cursor is None:
            return found
    # Where few ids match, many are read at a time.
    few_match = bool(prefix)
    while len(found.threads) < limit:
        page = yield from ListThreads(cursor, PAGE if few_match else min(PAGE, limit - len(found.threads)))
        found.damaged.extend(page.odd)
        names = [each.thread for each in page.found if each.thread.startswith(prefix)]
        for first in range(0, len(names), DESCRIBED):
            if len(found.threads) >= limit:
                break
            described = yield from describe_threads(names[first : first + DESCRIBED])
            # On a cluster the thread index lags behind the threads a little.
            found.threads.extend(sorted(described.threads, key=lambda info: info.updated, reverse=True))
            found.damaged.extend(described.damaged)
        few_match = few_match or not names
        cursor = page.cursor
        if cursor is None:
            break
    return Listing(found.threads[:limit], found.damaged)


def describe_threads(names: Sequence[str]) -> Operation[Listing]:
    """Describe threads in one round trip. Those that expired since they were named are left out."""
    described = Listing([], [])
    for name, facts in zip(names, (yield from DescribeThreads(names)), strict=True):
        if isinstance(facts, CorruptCheckpointError):
            described.damaged.append(name)
        elif facts is not None:
            described.threads.append(info_of(name, facts))
    return described
