"""Reading a thread out of a store, and storing one: whole, or not at all."""

from __future__ import annotations

from zerograph_redis.core.leasing import fence
from zerograph_redis.core.listing import describe
from zerograph_redis.core.paging import read_pages
from zerograph_redis.core.requests import DescribeThreads, ListThreads, Operation, Past, PublishThread, Untouched
from zerograph_redis.core.scanning import Staging, ThreadScan
from zerograph_redis.core.settings import Settings
from zerograph_redis.errors import BusyThreadError

from .image import ThreadImage, ThreadTimes, merge_logs

PAGE = 1000
_DESCRIBED = 100
_TRIES = 5
_PASSES = 10
_MOST_LOGS = 2  # that every store can keep of a thread


def list_ids(prefix: str) -> Operation[list[str]]:
    """Name the threads whose ids begin with *prefix*, each once, also while workers write to them."""
    found: dict[str, None] = {}
    since = 0
    for _ in range(_PASSES):
        known = len(found)
        pages = yield from read_pages(
            lambda cursor: ListThreads(cursor, PAGE),
            enough=lambda page, since=since: bool(page.found) and page.found[-1].updated < since,  # type: ignore[misc]
        )
        found |= dict.fromkeys(entry.thread for page in pages for entry in page.found)
        latest = pages[0].found[0].updated if pages[0].found else since
        # A thread that was written meanwhile went to the front, perhaps from behind the pages that were read.
        if len(found) == known or latest == since:
            break
        since = latest
    names = [name for name in found if name.startswith(prefix)]
    stored: list[str] = []
    for first in range(0, len(names), _DESCRIBED):
        some = names[first : first + _DESCRIBED]
        facts = yield from DescribeThreads(some)
        stored += [name for name, each in zip(some, facts, strict=True) if each is not None]
    return stored


def read_thread(thread: str) -> Operation[ThreadImage | None]:
    """Read a thread whole, as it was at one moment; None if it is not stored.

    Of a thread that is written all the time, the result is what was stored before the reading began.

    Raises:
        BusyThreadError: Checkpoints were removed or replaced each time that it was read.
        CorruptCheckpointError: Something in it is missing or damaged.
    """
    for tries_left in reversed(range(_TRIES)):
        facts = yield from describe(thread)
        if facts is None:
            return None
        times = ThreadTimes(facts.created, facts.updated, facts.lifetime, facts.ttl, facts.origin)
        image = ThreadImage(thread, times)
        try:
            scan = ThreadScan(thread, facts.order)
            while (page := (yield from scan.next_page())) is not None:
                image.add(page)
            after = yield from describe(thread)
        except BaseException:
            image.close()
            raise
        unchanged = after is not None and (after.updated, after.order) == (facts.updated, facts.order)
        if not scan.changed and (unchanged or (after is not None and not tries_left)):
            image.leave_out(scan.left_out)
            return image
        image.close()
    raise BusyThreadError(f"thread {thread!r} cannot be read whole now: it changes faster than it is read")


def place_thread(
    image: ThreadImage, origin: str, settings: Settings, instead: Untouched | None = None
) -> Operation[bool]:
    """Store a thread: stage it page by page, and publish it at once. False if the store has one of its id already.

    Args:
        image: The thread.
        origin: A name for this content. If the thread was published from the same origin, by a call that was cut short
            after that, it counts as stored now.
        settings: Those of the store.
        instead: The thread of this id that is to be replaced.

    Raises:
        LeaseHeldError: A worker holds the thread.
        SerializationError: It has more logs than a store can keep, and is encrypted, and *settings* have no keys.
    """
    if len(image.log_ends) > _MOST_LOGS:
        with merge_logs(image, settings) as merged:
            return (yield from place_thread(merged, origin, settings, instead))
    times = image.times
    for _ in range(_TRIES):
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
            image.checkpoints_with_writes,
            sum(image.log_ends.values()),
            times.ttl,
            fence(image.thread, None, settings),
            Past(times.created, times.updated, times.left, origin),
            instead,
        )
        if published is not False:
            return bool(published)
    raise BusyThreadError(
        f"thread {image.thread!r} cannot be stored: the store drops staged pages before it is complete"
    )
