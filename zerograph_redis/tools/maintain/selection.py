"""Which threads are meant: those named, those whose ids begin alike, those that nobody wrote for long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from zerograph_redis.core.bundles import together
from zerograph_redis.core.examination import Condition, ExamineThread, ReadClock
from zerograph_redis.core.paging import read_index
from zerograph_redis.core.requests import IndexCursor, IndexedThread, Operation
from zerograph_redis.errors import CorruptCheckpointError

_LAG = 60_000_000  # µs that the list of a cluster's threads may be behind the threads, and more


class Selection(NamedTuple):
    """What a thread must fulfil, all of it. Without anything, every thread is meant."""

    threads: Sequence[str] = ()
    """To be one of these; empty for any."""
    match: str = ""
    """To have an id that begins so."""
    idle: int | None = None
    """To have not been written for so long, in µs."""


class Target(NamedTuple):
    """A thread that is meant."""

    thread: str
    condition: Condition
    idle: int
    """For how long nobody wrote it, in µs."""


def find_targets(
    selection: Selection, looked: Callable[[], None] = lambda: None
) -> Operation[tuple[list[Target], list[str]]]:
    """Find the threads that *selection* means.

    Args:
        selection: What they must fulfil.
        looked: Called for each thread that was looked at.

    Returns:
        The threads, the longest idle first, and the ids that were named and are not there.
    """
    now = yield from ReadClock()
    if selection.threads:
        names = [each for each in dict.fromkeys(selection.threads) if each.startswith(selection.match)]
    elif selection.idle is None:
        names = yield from _named(selection.match)
    else:
        names = yield from _named(selection.match, IndexedThread(now - selection.idle + _LAG, ""))
    found: list[Target] = []
    missing: list[str] = []

    def take(examined: tuple[str, Condition]) -> None:
        thread, condition = examined
        idle = max(now - condition.updated, 0)
        if not condition.there:
            missing.append(thread)
        elif selection.idle is None or (condition.updated and idle >= selection.idle):
            found.append(Target(thread, condition, idle))
        looked()

    yield from together((_examined(name) for name in names), take)
    found.sort(key=lambda each: each.condition.updated)
    return found, missing if selection.threads else []


def _examined(thread: str) -> Operation[tuple[str, Condition]]:
    try:
        return thread, (yield from ExamineThread(thread))
    except CorruptCheckpointError as error:
        return thread, Condition.unknown(str(error))


def _named(match: str, before: IndexedThread | None = None) -> Operation[list[str]]:
    pages = yield from read_index(None if before is None else IndexCursor.behind(before))
    return [each.thread for page in pages for each in page.found if each.thread.startswith(match)]
