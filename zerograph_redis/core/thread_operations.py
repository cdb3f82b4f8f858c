"""The operations of a saver on whole threads: list them, search them, copy one."""

from __future__ import annotations

import logging
from typing import Any

from zerograph.checkpoint import CheckpointTuple

from zerograph_redis.display import about, quoted
from zerograph_redis.errors import BusyThreadError, ConfigError, CorruptCheckpointError
from zerograph_redis.threads import ThreadInfo

from .checkpoint_operations import CheckpointOperations, check_limit
from .configs import read_id
from .leasing import fence
from .listing import describe, find_threads
from .reencryption import Reencryption, refuse_encrypted
from .requests import ForgetThread, IndexCursor, ListThreads, Operation, PublishThread
from .scanning import Staging, ThreadScan
from .verification import Verification

_log = logging.getLogger(__name__)

PAGE = 100
_TRIES = 5  # to copy a thread that begins a new log meanwhile


class ThreadOperations(CheckpointOperations):
    """All operations of a saver."""

    def get_by_id(self, checkpoint_id: Any, thread: Any) -> Operation[CheckpointTuple | None]:
        """Read a checkpoint by its id alone: in one thread, or in all of them."""
        checkpoint_id = read_id("checkpoint_id", checkpoint_id)
        if thread is not None:
            return (yield from self.get_in_thread(read_id("thread_id", thread), checkpoint_id))
        cursor: IndexCursor | None = None
        damage: CorruptCheckpointError | None = None
        while True:
            page = yield from ListThreads(cursor, PAGE)
            for name in page.odd:
                _log_skipped(name, None)
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
        """Describe threads, newest activity first. Removes stale entries from the thread index."""
        check_limit(limit)
        found = yield from find_threads("", limit, before)
        for thread, error in found.damaged.items():
            _log_skipped(thread, error)
        for thread in found.stale:
            yield from ForgetThread(thread)
        return found.threads

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


def _log_skipped(thread: str, error: CorruptCheckpointError | None) -> None:
    if error is None:
        _log.warning("the thread index has an entry that is no thread id: %s", quoted(thread), extra=about(None))
    else:
        _log.warning("a damaged thread is skipped: %s", error, extra=about(thread))
