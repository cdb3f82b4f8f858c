"""Which threads there are."""

from __future__ import annotations

from typing import Any

from zerograph_redis.core.requests import DescribeThreads, ListThreads, Operation
from zerograph_redis.core.threads import info_of, rank_of
from zerograph_redis.threads import ThreadInfo

__all__ = ("find_threads",)

PAGE = 1000  # ids alone are read quickly
DESCRIBED = 100


def find_threads(prefix: str, limit: int | None, before: Any) -> Operation[list[ThreadInfo]]:
    """Describe the threads whose ids begin with *prefix*, newest activity first, behind *before*."""
    rank = None
    if before is not None:
        rank = yield from rank_of(before)
        if rank is None:
            return []
    found: list[ThreadInfo] = []
    while limit is None or len(found) < limit:
        size = PAGE if prefix or limit is None else min(PAGE, limit - len(found))
        ranks = yield from ListThreads(rank, size)
        names = [each.thread for each in ranks if each.thread.startswith(prefix)]
        for first in range(0, len(names), DESCRIBED):
            if limit is not None and len(found) >= limit:
                break
            slice_ = names[first : first + DESCRIBED]
            facts = yield from DescribeThreads(slice_)
            page = [info_of(name, each) for name, each in zip(slice_, facts, strict=True) if each is not None]
            # On a cluster the list lags behind the threads a little.
            found += sorted(page, key=lambda info: info.updated, reverse=True)
        if len(ranks) < size:
            break
        rank = ranks[-1]
    return found[:limit]
