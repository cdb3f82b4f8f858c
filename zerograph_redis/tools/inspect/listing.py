"""Which threads there are."""

from __future__ import annotations

from typing import Any

from zerograph_redis.core.requests import DescribeThreads, ListThreads, Operation
from zerograph_redis.core.thread_operations import cursor_behind, info_of
from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.threads import ThreadInfo

PAGE = 1000  # ids alone are read quickly
DESCRIBED = 100


def find_threads(prefix: str, limit: int | None, before: Any) -> Operation[tuple[list[ThreadInfo], list[str]]]:
    """Describe the threads whose ids begin with *prefix*, newest activity first, behind *before*.

    Also returns the names of those that were come across and are damaged.
    """
    cursor = None
    found: list[ThreadInfo] = []
    damaged: list[str] = []
    if before is not None:
        cursor = yield from cursor_behind(before)
        if cursor is None:
            return found, damaged
    barren = False
    while limit is None or len(found) < limit:
        size = PAGE if prefix or limit is None or barren else min(PAGE, limit - len(found))
        ranks = yield from ListThreads(cursor, size)
        damaged += ranks.odd
        names = [each.thread for each in ranks.found if each.thread.startswith(prefix)]
        for first in range(0, len(names), DESCRIBED):
            if limit is not None and len(found) >= limit:
                break
            slice_ = names[first : first + DESCRIBED]
            facts = yield from DescribeThreads(slice_)
            page = []
            for name, each in zip(slice_, facts, strict=True):
                if isinstance(each, CorruptCheckpointError):
                    damaged.append(name)
                elif each is not None:
                    page.append(info_of(name, each))
            # On a cluster the list lags behind the threads a little.
            found += sorted(page, key=lambda info: info.updated, reverse=True)
        barren = not names
        cursor = ranks.cursor
        if cursor is None:
            break
    return found[:limit], damaged
