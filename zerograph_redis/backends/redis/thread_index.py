"""The list of threads on a cluster: sharded, written beside the scripts of the threads, repaired by its readers.

On a single server a thread's own scripts keep the list. On a cluster it lies in other slots, so a worker notes a thread
there *before* it writes it, and again every `FRESH` seconds in which it writes it. A note outlives that time twice before
a reader may take it for a left-over, so a thread that is stored is always listed, whoever dies when; a thread that is
listed is looked at before it is shown. No shard gets more than its share of the notes.
"""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from time import monotonic
from typing import Any, TypeVar

from zerograph_redis.core.bundles import Bundle, side_by_side
from zerograph_redis.core.drive import arun, run
from zerograph_redis.core.examination import IndexThread, MendThread, SampleThreads, UnindexThread
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
from zerograph_redis.forks import settle

from .backend import AsyncRedisBackend, RedisBackend
from .keys import FRESH, Keyspace
from .wires import Wire

R = TypeVar("R")

_REMEMBERED = 100_000  # threads
_SWEEP = 16  # of so many notes, one looks at as many threads, for left-overs


class _Notes:
    """What this worker noted lately."""

    def __init__(self) -> None:
        self._noted: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()
        settle(self)

    def before_fork(self) -> None:
        pass

    def after_fork(self, *, child: bool) -> None:
        if child:
            self._lock = threading.Lock()

    def is_due(self, thread: str) -> bool:
        """Tell whether a thread is to be noted now."""
        with self._lock:
            return monotonic() - self._noted.get(thread, -FRESH) >= FRESH

    def add(self, thread: str, moment: float) -> None:
        """Remember that a thread was noted at a moment, or later."""
        with self._lock:
            self._noted[thread] = moment
            self._noted.move_to_end(thread)
            if len(self._noted) > _REMEMBERED:
                self._noted.popitem(last=False)


def _ranked(request: Request[R], notes: _Notes) -> Operation[R]:
    if isinstance(request, Bundle):
        replies: Any = yield from side_by_side([_ranked(each, notes) for each in request.requests])
        return replies  # type: ignore[no-any-return]
    if isinstance(request, PutCheckpoint | PutWrites | WriteBatch | PublishThread):
        yield from _note(request.thread, notes)
        reply: R = yield request
        # No-op, unless the write took so long that its note may have been taken for a left-over.
        yield from _note(request.thread, notes)
        return reply
    if isinstance(request, MendThread):
        yield from IndexThread(request.thread)
    if isinstance(request, ForgetThread):
        yield from UnindexThread(request.thread)
    reply = yield request
    return reply


def _note(thread: str, notes: _Notes) -> Operation[None]:
    if not notes.is_due(thread):
        return
    begun = monotonic()
    yield from IndexThread(thread)
    # Not before: what is interrupted was not noted.
    notes.add(thread, begun)
    if random.randrange(_SWEEP) == 0:  # noqa: S311 - nothing depends on it being unpredictable
        some = yield from SampleThreads(thread, _SWEEP)
        for each, facts in zip(some, (yield from DescribeThreads(some)), strict=True):
            if facts is None:
                yield from UnindexThread(each)


class ThreadIndexBackend:
    """Answers requests as *inner* does, and keeps the list of threads."""

    def __init__(self, inner: RedisBackend) -> None:
        """Keep the list beside the threads of *inner*."""
        self.inner = inner
        self._notes = _Notes()

    @property
    def wire(self) -> Wire:
        """The way to the servers."""
        return self.inner.wire

    @property
    def keyspace(self) -> Keyspace:
        """The names of keys."""
        return self.inner.keyspace

    def execute(self, request: Request[R]) -> R:
        """Answer *request*, blocking."""
        return run(_ranked(request, self._notes), self.inner)


class AsyncThreadIndexBackend(ThreadIndexBackend):
    """The same, for a backend that answers both ways."""

    def __init__(self, inner: AsyncRedisBackend) -> None:
        """Keep the list beside the threads of *inner*."""
        super().__init__(inner)
        self._async_inner: Any = inner

    async def aexecute(self, request: Request[R]) -> R:
        """Answer *request* without blocking the event loop."""
        return await arun(_ranked(request, self._notes), self._async_inner)
