"""Finds the threads that options select: by id, by prefix, by how long they are idle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from zerograph_redis.core.bundles import together
from zerograph_redis.core.examination import Condition, ExamineThread, ReadClock
from zerograph_redis.core.paging import read_index
from zerograph_redis.core.requests import IndexCursor, IndexedThread, Operation
from zerograph_redis.errors import CorruptCheckpointError

_LAG = 60_000_000  # µs that a cluster's thread index may be behind its threads, and some more


class Selection(NamedTuple):
    """Which threads are meant: those that match every field. The defaults match every thread."""

    threads: Sequence[str] = ()
    """Ids; empty for any."""
    match: str = ""
    """A prefix of ids."""
    idle: int | None = None
    """For how long nobody wrote the thread, in µs."""


class Target(NamedTuple):
    """A selected thread."""

    thread: str
    condition: Condition
    idle: int
    """For how long nobody wrote it, in µs."""


def find_targets(selection: Selection, advance: Callable[[], None]) -> Operation[tuple[list[Target], list[str]]]:
    """Find the selected threads; *advance* is called for each thread that is examined.

    Returns:
        The threads, the longest idle first, and the ids in the selection that are not stored.
    """
    now = yield from ReadClock()
    names: Sequence[str] = selection.threads
    if not names:
        cursor = None
        if selection.idle is not None:  # threads that were written later need not be read
            cursor = IndexCursor.behind(IndexedThread(now - selection.idle + _LAG, ""))
        names = [each.thread for page in (yield from read_index(cursor)) for each in page.found]
    found: list[Target] = []
    missing: list[str] = []

    def add(examined: tuple[str, Condition]) -> None:
        thread, condition = examined
        idle = max(now - condition.updated, 0)
        if not condition.stored:
            missing.append(thread)
        elif selection.idle is None or (condition.updated and idle >= selection.idle):
            found.append(Target(thread, condition, idle))
        advance()

    matching = (name for name in dict.fromkeys(names) if name.startswith(selection.match))
    yield from together((_examine(name) for name in matching), add)
    found.sort(key=lambda each: each.condition.updated)
    return found, missing if selection.threads else []


def _examine(thread: str) -> Operation[tuple[str, Condition]]:
    try:
        return thread, (yield from ExamineThread(thread))
    except CorruptCheckpointError as error:
        return thread, Condition.unknown(str(error))
