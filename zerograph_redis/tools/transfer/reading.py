"""Threads out of a store and into one: each whole, or not at all."""

from __future__ import annotations

from zerograph_redis.core.leasing import fence
from zerograph_redis.core.requests import (
    DescribeThreads,
    ListThreads,
    Operation,
    Past,
    PublishThread,
    Untouched,
)
from zerograph_redis.core.scanning import Staging, ThreadScan
from zerograph_redis.core.settings import Settings
from zerograph_redis.core.thread_operations import describe
from zerograph_redis.errors import BusyThreadError

from .image import Image, Life

PAGE = 1000
DESCRIBED = 100
TRIES = 5
_PASSES = 10


def list_ids(prefix: str) -> Operation[list[str]]:
    """Name the threads whose ids begin with *prefix*, none twice, also while others go on writing to them."""
    found: dict[str, None] = {}
    since = 0
    for _ in range(_PASSES):
        known, latest, cursor = len(found), since, None
        while True:
            page = yield from ListThreads(cursor, PAGE)
            ranks = page.found
            if cursor is None and ranks:
                latest = ranks[0].updated
            found |= dict.fromkeys(rank.thread for rank in ranks)
            cursor = page.cursor
            if cursor is None or (ranks and ranks[-1].updated < since):
                break
        # A thread that was written meanwhile went to the front, perhaps from behind what was read.
        if len(found) == known or latest == since:
            break
        since = latest
    names = [name for name in found if name.startswith(prefix)]
    stored: list[str] = []
    for first in range(0, len(names), DESCRIBED):
        some = names[first : first + DESCRIBED]
        facts = yield from DescribeThreads(some)
        stored += [name for name, each in zip(some, facts, strict=True) if each is not None]
    return stored


def read_thread(thread: str) -> Operation[Image | None]:
    """Read a thread whole, as it was at one moment; None if there is none.

    Of a thread that is written all the time, what was stored before the reading began.

    Raises:
        BusyThreadError: It let go of checkpoints, or replaced some, each time that it was read.
        CorruptCheckpointError: Something of it is missing or damaged.
    """
    for tries_left in reversed(range(TRIES)):
        facts = yield from describe(thread)
        if facts is None:
            return None
        image = Image(thread, Life.of(facts))
        try:
            scan = ThreadScan(thread, facts.order)
            while (page := (yield from scan.next_page())) is not None:
                image.add(page)
            after = yield from describe(thread)
        except BaseException:
            image.close()
            raise
        still = after is not None and (after.updated, after.order) == (facts.updated, facts.order)
        if not scan.changed and (still or (after is not None and not tries_left)):
            image.leave_out(scan.left_out)
            return image
        image.close()
    raise BusyThreadError(f"thread {thread!r} cannot be read whole now: it changes faster than it is read")


def place_thread(image: Image, origin: str, settings: Settings, instead: Untouched | None = None) -> Operation[bool]:
    """Store a thread: out of sight, page by page, and then at once. Returns False if there is one of its id already.

    Args:
        image: The thread.
        origin: A name for what is stored; a thread that was stored from the same origin, by a call that was cut short
            after it had done its work, counts as stored now.
        settings: Those of the store.
        instead: What may be there; it goes then.

    Raises:
        LeaseHeldError: A worker holds the thread.
    """
    life = image.life
    for _ in range(TRIES):
        staging = Staging(image.thread)
        for page in image.pages():
            if not (yield from staging.stage(page)):
                break
        published = yield from PublishThread(
            image.thread,
            staging.token,
            image.current,
            staging.pages,
            image.checkpoints,
            image.written,
            image.log_bytes,
            life.lifetime,
            fence(image.thread, None, settings),
            Past(life.created, life.updated, life.left, origin),
            instead,
        )
        if published is not False:
            return bool(published)
    raise BusyThreadError(f"thread {image.thread!r} cannot be stored: what was staged goes before all of it is there")
