"""Finds threads by id, by prefix, and by how long they are idle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from zerograph_redis.core.bundles import together
from zerograph_redis.core.examination import Condition, ExamineThread, ReadClock
from zerograph_redis.core.paging import read_index
from zerograph_redis.core.requests import IndexCursor, IndexedThread, Operation
from zerograph_redis.errors import CorruptCheckpointError

_LAG = 60_000_000  # µs that a cluster's thread index may be behind its threads, and some more


class Target(NamedTuple):
    """A selected thread."""

    thread: str
    condition: Condition
    idle: int
    """For how long nobody wrote it, in µs."""


def find_targets(
    threads: Sequence[str], match: str, idle: int | None, advance: Callable[[], None]
) -> Operation[tuple[list[Target], list[str]]]:
    """Find the threads that match every option.

    Args:
        threads: Ids; empty for any.
        match: A prefix of ids.
        idle: For how long nobody wrote the thread, in µs; None for any time.
        advance: Called for each thread that is examined.

    Returns:
        The threads, the longest idle first, and those of *threads* that are not stored.
    """
    now = yield from ReadClock()
    names = threads
    if not names:
        cursor = None
        if idle is not None:  # threads that were written later need not be read
            cursor = IndexCursor.behind(IndexedThread(now - idle + _LAG, ""))
        names = [each.thread for page in (yield from read_index(cursor)) for each in page.found]
    found: list[Target] = []
    missing: list[str] = []

    def add(examined: tuple[str, Condition]) -> None:
        thread, condition = examined
        rested = max(now - condition.updated, 0)
        if not condition.stored:
            missing.append(thread)
        elif idle is None or (condition.updated and rested >= idle):
            found.append(Target(thread, condition, rested))
        advance()

    matching = (name for name in dict.fromkeys(names) if name.startswith(match))
    yield from together((_examine(name) for name in matching), add)
    found.sort(key=lambda each: each.condition.updated)
    return found, missing if threads else []


def _examine(thread: str) -> Operation[tuple[str, Condition]]:
    try:
        return thread, (yield from ExamineThread(thread))
    except CorruptCheckpointError as error:
        return thread, Condition.unknown(str(error))
