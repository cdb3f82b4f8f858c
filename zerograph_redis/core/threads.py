"""The operations over whole threads: list them, copy one, look in all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from zerograph.checkpoint import CheckpointTuple

from zerograph_redis.errors import BusyThreadError, ConfigError, CorruptCheckpointError
from zerograph_redis.threads import LeaseInfo, ThreadInfo

from .leasing import fence
from .operations import CheckpointOperations, check_limit
from .requests import (
    DescribeThreads,
    ForgetThread,
    ListThreads,
    Operation,
    PublishThread,
    ThreadFacts,
    ThreadRank,
)
from .resealing import Resealing, refuse_sealed
from .scanning import Staging, ThreadScan
from .settings import read_id
from .verification import Verification

__all__ = ("ThreadOperations", "info_of", "moment", "rank_of")

PAGE = 100
_TRIES = 5  # to copy a thread whose log is left for a new one meanwhile
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ThreadOperations(CheckpointOperations):
    """All operations of a saver."""

    def get_by_id(self, checkpoint_id: Any, thread: Any) -> Operation[CheckpointTuple | None]:
        """Read a checkpoint by its id alone: in one thread, or in all of them."""
        if thread is not None:
            return (yield from self.get_in_thread(thread, checkpoint_id))
        before = None
        while True:
            ranks = yield from ListThreads(before, PAGE)
            for rank in ranks:
                found = yield from self.get_in_thread(rank.thread, checkpoint_id)
                if found is not None:
                    return found
            if len(ranks) < PAGE:
                return None
            before = ranks[-1]

    def list_threads(self, limit: int | None, before: Any) -> Operation[list[ThreadInfo]]:
        """Describe threads, newest activity first, a page at a time."""
        check_limit(limit)
        rank = None
        if before is not None:
            rank = yield from rank_of(before)
            if rank is None:
                return []
        found: list[ThreadInfo] = []
        while limit is None or len(found) < limit:
            size = PAGE if limit is None else min(PAGE, limit - len(found))
            ranks = yield from ListThreads(rank, size)
            all_facts = yield from DescribeThreads([each.thread for each in ranks])
            page = []
            for each, facts in zip(ranks, all_facts, strict=True):
                if facts is None:
                    yield from ForgetThread(each.thread)
                else:
                    page.append(info_of(each.thread, facts))
            # On a cluster the list lags behind the threads a little.
            found += sorted(page, key=lambda info: info.updated, reverse=True)
            if len(ranks) < size:
                break
            rank = ranks[-1]
        return found

    def copy_thread(self, source: Any, target: Any) -> Operation[int]:
        """Copy a thread's stored bytes page by page out of sight, and make the whole visible at once."""
        source, target = read_id("source", source), read_id("target", target)
        if (yield from DescribeThreads([target])) != [None]:
            raise _occupied(target)
        for tries_left in reversed(range(_TRIES)):
            scan, copy = ThreadScan(source), Staging(target)
            try:
                if not (yield from self._stage(scan, copy)):
                    continue
            except CorruptCheckpointError:
                # The store may have returned to an earlier moment between two pages.
                if not tries_left:
                    raise
                continue
            if not scan.checkpoints and not scan.written:
                return 0
            published = yield from PublishThread(
                target,
                copy.token,
                scan.current,
                copy.pages,
                len(scan.checkpoints),
                len(scan.written),
                sum(scan.log_ends.values()),
                self.settings.ttl,
                fence(target, None, self.settings),
                None,
            )
            if published is None:
                raise _occupied(target)
            if published:
                return len(scan.checkpoints)
        raise BusyThreadError(f"thread {source!r} cannot be copied now: it changes faster than it is read")

    def _stage(self, scan: ThreadScan, copy: Staging) -> Operation[bool]:
        """Stage what a scan reads, and verify it. Returns False if it does not belong together."""
        resealing = self._resealing(scan.thread, copy.thread)
        verification = Verification(scan.thread, self.settings)
        while (page := (yield from scan.next_page())) is not None:
            if resealing is None:
                refuse_sealed(scan.thread, page)
            verification.add(page)
            if resealing is not None:
                page = resealing.page(page)
            if (page.rows or page.ranges) and not (yield from copy.stage(page)):
                return False
        if scan.changed:
            return False
        if resealing is not None:
            resealing.check_end()
        verification.check()
        return True

    def _resealing(self, source: str, target: str) -> Resealing | None:
        sealed, anew = self.settings.cipher(source), self.settings.cipher(target)
        return None if sealed is None or anew is None else Resealing(source, sealed, anew)


def _occupied(target: str) -> ConfigError:
    return ConfigError(f"thread {target!r} is not empty, and a copy would mix two threads: delete it or name another")


def rank_of(before: Any) -> Operation[ThreadRank | None]:
    """Find a thread's place in the list of threads; None if it is not stored."""
    if isinstance(before, ThreadInfo):
        return ThreadRank((before.updated - _EPOCH) // timedelta(microseconds=1), before.thread_id)
    thread = read_id("before", before)
    facts = (yield from DescribeThreads([thread]))[0]
    return None if facts is None else ThreadRank(facts.updated, thread)


def moment(microseconds: int) -> datetime:
    """Return the point in time that a store's clock calls *microseconds*."""
    return _EPOCH + timedelta(microseconds=microseconds)


def info_of(thread: str, facts: ThreadFacts) -> ThreadInfo:
    """Tell of a thread what its facts say."""
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
