"""The thread index of a cluster: sharded, written beside the scripts of the threads, repaired by its readers.

On a single server, a thread's own scripts keep the index. On a cluster it is in other slots. So a worker enters a thread
there *before* it writes it, and again every `FRESH` seconds in which it writes it. A reader takes an entry for stale only
after twice that time. So a stored thread is always listed, whichever worker dies at whichever moment, and a listed thread is
checked before it is shown. No shard gets more than its share of the entries.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from time import monotonic
from typing import Any, TypeVar

from zerograph_redis.core.bundles import Bundle, side_by_side
from zerograph_redis.core.drive import arun, run
from zerograph_redis.core.examination import IndexThread, RepairThread, SampleThreads, UnindexThread
from zerograph_redis.core.requests import (
    DescribeThreads,
    ForgetThread,
    Operation,
    PublishThread,
    PutCheckpoint,
    PutWrites,
    Request,
    WriteBatch,
)

from .backend import AsyncRedisBackend, RedisBackend
from .thread_bindings import FRESH

R = TypeVar("R")

_REMEMBERED = 100_000  # threads
_SWEEP = 16  # one of so many entries checks as many threads for stale entries


class _Entered:
    """The threads that this worker entered lately. It needs no lock: each step is one call that runs no bytecode."""

    def __init__(self) -> None:
        self._entered: OrderedDict[str, float] = OrderedDict()

    def is_due(self, thread: str) -> bool:
        """Whether a thread must be entered now."""
        return monotonic() - self._entered.get(thread, -FRESH) >= FRESH

    def add(self, thread: str, moment: float) -> None:
        """Note that a thread was entered at a moment, or later."""
        self._entered.pop(thread, None)
        self._entered[thread] = moment
        if len(self._entered) > _REMEMBERED:
            self._entered.popitem(last=False)


def _indexed(request: Request[R], entered: _Entered) -> Operation[R]:
    if isinstance(request, Bundle):
        replies: Any = yield from side_by_side([_indexed(each, entered) for each in request.requests])
        return replies  # type: ignore[no-any-return]
    if isinstance(request, PutCheckpoint | PutWrites | WriteBatch | PublishThread):
        yield from _enter(request.thread, entered)
        reply: R = yield request
        # Does nothing, unless the write took so long that its entry may have been taken for stale.
        yield from _enter(request.thread, entered)
        return reply
    if isinstance(request, RepairThread):
        yield from IndexThread(request.thread)
    if isinstance(request, ForgetThread):
        yield from UnindexThread(request.thread)
    reply = yield request
    return reply


def _enter(thread: str, entered: _Entered) -> Operation[None]:
    if not entered.is_due(thread):
        return
    begun = monotonic()
    yield from IndexThread(thread)
    # Not before: an interrupted request entered nothing.
    entered.add(thread, begun)
    if random.randrange(_SWEEP) == 0:  # noqa: S311 - nothing depends on it being unpredictable
        some = yield from SampleThreads(thread, _SWEEP)
        for each, facts in zip(some, (yield from DescribeThreads(some)), strict=True):
            if facts is None:
                yield from UnindexThread(each)


class ThreadIndexBackend:
    """Answers requests as *inner* does, and keeps the thread index."""

    def __init__(self, inner: RedisBackend) -> None:
        """Keep the index for the threads of *inner*."""
        self.inner = inner
        self.transport = inner.transport
        self.keyspace = inner.keyspace
        self._entered = _Entered()

    def execute(self, request: Request[R]) -> R:
        """Answer *request*, blocking."""
        return run(_indexed(request, self._entered), self.inner)


class AsyncThreadIndexBackend(ThreadIndexBackend):
    """The same, for a backend that also answers awaited requests."""

    def __init__(self, inner: AsyncRedisBackend) -> None:
        """Keep the index for the threads of *inner*."""
        super().__init__(inner)
        self._async_inner: Any = inner

    async def aexecute(self, request: Request[R]) -> R:
        """Answer *request* without blocking the event loop."""
        return await arun(_indexed(request, self._entered), self._async_inner)
