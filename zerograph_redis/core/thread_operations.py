"""The operations of a saver on whole threads: list them, search them, copy one."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from zerograph.checkpoint import CheckpointTuple

from zerograph_redis.display import about, quoted
from zerograph_redis.errors import BusyThreadError, ConfigError, CorruptCheckpointError
from zerograph_redis.threads import LeaseInfo, ThreadInfo

from .checkpoint_operations import CheckpointOperations, check_limit
from .configs import read_id
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
from .verification import Verification

_log = logging.getLogger(__name__)

PAGE = 100
_TRIES = 5  # to copy a thread that begins a new log meanwhile
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
            page = yield from ListThreads(cursor, PAGE)
            _log_odd(page)
            for entry in page.found:
                try:
                    found = yield from self.get_in_thread(entry.thread, checkpoint_id)
                except CorruptCheckpointError as error:
                    _log_skipped(entry.thread, error)
                    damage = damage or error
                    continue
                if found is not None:
                    return found
            cursor = page.cursor
            if cursor is None:
                break
        # A damaged thread may have it.
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
        was_empty = False
        while limit is None or len(found) < limit:
            # After a page without a thread the next one is large: many entries may be no thread's.
            size = PAGE if limit is None or was_empty else min(PAGE, limit - len(found))
            page = yield from ListThreads(cursor, size)
            _log_odd(page)
            all_facts = yield from DescribeThreads([each.thread for each in page.found])
            described = []
            for each, facts in zip(page.found, all_facts, strict=True):
                if facts is None:
                    yield from ForgetThread(each.thread)
                elif isinstance(facts, CorruptCheckpointError):
                    _log_skipped(each.thread, facts)
                else:
                    described.append(info_of(each.thread, facts))
            # On a cluster the thread index lags behind the threads a little.
            found += sorted(described, key=lambda info: info.updated, reverse=True)
            was_empty = not described
            cursor = page.cursor
            if cursor is None:
                break
        return found[:limit]

    def copy_thread(self, source: Any, target: Any) -> Operation[int]:
        """Stage a copy of a thread's stored bytes page by page, and publish it at once."""
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
            if not scan.checkpoints and not scan.checkpoints_with_writes:
                return 0
            published = yield from PublishThread(
                target,
                copy.token,
                scan.current,
                copy.pages,
                len(scan.checkpoints),
                len(scan.checkpoints_with_writes),
                sum(scan.log_ends.values()),
                self.settings.ttl,
                fence(target, None, self.settings),
                None,
            )
            if published is None:
                raise _occupied(target)
            if published:
                return len(scan.checkpoints)
        raise BusyThreadError(
            f"thread {source!r} cannot be copied now: it changes faster than it is read; try again later"
        )

    def _stage(self, scan: ThreadScan, copy: Staging) -> Operation[bool]:
        """Stage and verify the pages of a scan. Returns False if they are not of one state of the thread."""
        old, new = self.settings.cipher(scan.thread), self.settings.cipher(copy.thread)
        reencryption = None if old is None or new is None else Reencryption(scan.thread, old, new)
        verification = Verification(scan.thread, self.settings)
        while (page := (yield from scan.next_page())) is not None:
            if reencryption is None:
                refuse_encrypted(scan.thread, page)
            verification.add(page)
            if reencryption is not None:
                page = reencryption.page(page)
            if (page.rows or page.ranges) and not (yield from copy.stage(page)):
                return False
        if scan.changed:
            return False
        if reencryption is not None:
            reencryption.check_end()
        verification.check()
        return True


def _occupied(target: str) -> ConfigError:
    return ConfigError(f"thread {target!r} is not empty, and a copy would mix two threads: delete it or name another")


def cursor_behind(before: Any) -> Operation[IndexCursor | None]:
    """Find where the thread index goes on behind a thread; None if that is not stored."""
    if isinstance(before, ThreadInfo):
        updated = (before.updated - _EPOCH) // timedelta(microseconds=1)
        return IndexCursor.behind(IndexedThread(updated, before.thread_id))
    thread = read_id("before", before)
    facts = yield from describe(thread)
    return None if facts is None else IndexCursor.behind(IndexedThread(facts.updated, thread))


def describe(thread: str) -> Operation[ThreadFacts | None]:
    """Read the facts of a thread; None if it is not stored."""
    (facts,) = yield from DescribeThreads([thread])
    if isinstance(facts, CorruptCheckpointError):
        raise facts
    return facts


def _log_skipped(thread: str, error: CorruptCheckpointError) -> None:
    _log.warning("a damaged thread is skipped: %s", error, extra=about(thread))


def _log_odd(page: IndexPage) -> None:
    for name in page.odd:
        _log.warning("the thread index has an entry that is no thread id: %s", quoted(name), extra=about(None))


def moment(microseconds: int) -> datetime:
    """Return the point in time of a store's clock."""
    return _EPOCH + timedelta(microseconds=microseconds)


def info_of(thread: str, facts: ThreadFacts) -> ThreadInfo:
    """Return the public description of a thread."""
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
