"""The operations over whole threads: list them, copy one, look in all of them."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from zerograph.checkpoint import CheckpointTuple

from zerograph_redis.display import about, quoted
from zerograph_redis.errors import BusyThreadError, ConfigError, CorruptCheckpointError
from zerograph_redis.threads import LeaseInfo, ThreadInfo

from .checkpoint_operations import CheckpointOperations, check_limit
from .leasing import fence
from .reencryption import Reencryption, refuse_encrypted
from .requests import (
    DescribeThreads,
    ForgetThread,
    IndexCursor,
    IndexedThread,
    IndexPage,
    ListThreads,
    Operation,
    PublishThread,
    ThreadFacts,
)
from .scanning import Staging, ThreadScan
from .settings import read_id
from .verification import Verification

_log = logging.getLogger(__name__)

PAGE = 100
_TRIES = 5  # to copy a thread whose log is left for a new one meanwhile
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ThreadOperations(CheckpointOperations):
    """All operations of a saver."""

    def get_by_id(self, checkpoint_id: Any, thread: Any) -> Operation[CheckpointTuple | None]:
        """Read a checkpoint by its id alone: in one thread, or in all of them."""
        if thread is not None:
            return (yield from self.get_in_thread(thread, checkpoint_id))
        cursor: IndexCursor | None = None
        damage: CorruptCheckpointError | None = None
        while True:
            ranks = yield from ListThreads(cursor, PAGE)
            _tell_odd(ranks)
            for rank in ranks.found:
                try:
                    found = yield from self.get_in_thread(rank.thread, checkpoint_id)
                except CorruptCheckpointError as error:
                    tell_left_out(rank.thread, error)
                    damage = damage or error
                    continue
                if found is not None:
                    return found
            cursor = ranks.cursor
            if cursor is None:
                break
        # None would say that no thread has it.
        if damage is not None:
            raise damage
        return None

    def list_threads(self, limit: int | None, before: Any) -> Operation[list[ThreadInfo]]:
        """Describe threads, newest activity first, a page at a time."""
        check_limit(limit)
        cursor = None
        if before is not None:
            cursor = yield from cursor_behind(before)
            if cursor is None:
                return []
        found: list[ThreadInfo] = []
        barren = False
        while limit is None or len(found) < limit:
            # Where nothing is found, more is looked through at a time: entries may be no thread's.
            size = PAGE if limit is None or barren else min(PAGE, limit - len(found))
            ranks = yield from ListThreads(cursor, size)
            _tell_odd(ranks)
            all_facts = yield from DescribeThreads([each.thread for each in ranks.found])
            page = []
            for each, facts in zip(ranks.found, all_facts, strict=True):
                if facts is None:
                    yield from ForgetThread(each.thread)
                elif isinstance(facts, CorruptCheckpointError):
                    tell_left_out(each.thread, facts)
                else:
                    page.append(info_of(each.thread, facts))
            # On a cluster the list lags behind the threads a little.
            found += sorted(page, key=lambda info: info.updated, reverse=True)
            barren = not page
            cursor = ranks.cursor
            if cursor is None:
                break
        return found[:limit]

    def copy_thread(self, source: Any, target: Any) -> Operation[int]:
        """Copy a thread's stored bytes page by page out of sight, and make the whole visible at once."""
        source, target = read_id("source", source), read_id("target", target)
        if (yield from describe(target)) is not None:
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
                refuse_encrypted(scan.thread, page)
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

    def _resealing(self, source: str, target: str) -> Reencryption | None:
        sealed, anew = self.settings.cipher(source), self.settings.cipher(target)
        return None if sealed is None or anew is None else Reencryption(source, sealed, anew)


def _occupied(target: str) -> ConfigError:
    return ConfigError(f"thread {target!r} is not empty, and a copy would mix two threads: delete it or name another")


def cursor_behind(before: Any) -> Operation[IndexCursor | None]:
    """Find where the list of threads goes on behind a thread; None if that is not stored."""
    if isinstance(before, ThreadInfo):
        rank = IndexedThread((before.updated - _EPOCH) // timedelta(microseconds=1), before.thread_id)
        return IndexCursor.behind(rank)
    thread = read_id("before", before)
    facts = yield from describe(thread)
    return None if facts is None else IndexCursor.behind(IndexedThread(facts.updated, thread))


def describe(thread: str) -> Operation[ThreadFacts | None]:
    """Read the facts of a thread; None if it is not stored."""
    (facts,) = yield from DescribeThreads([thread])
    if isinstance(facts, CorruptCheckpointError):
        raise facts
    return facts


def tell_left_out(thread: str, error: CorruptCheckpointError) -> None:
    """Log that a thread was left out of something that is about many."""
    _log.warning("a damaged thread is left out: %s", error, extra=about(thread))


def _tell_odd(ranks: IndexPage) -> None:
    for name in ranks.odd:
        _log.warning("the list of threads has an entry that is no thread's: %s", quoted(name), extra=about(None))


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
