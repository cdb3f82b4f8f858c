"""All threads of a store, one by one: what does not fit together, what is lost, what nobody needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from zerograph_redis.core.bundles import together
from zerograph_redis.core.examination import (
    Condition,
    DiscardStaged,
    ExamineThread,
    IndexState,
    LookUpThread,
    ReadClock,
)
from zerograph_redis.core.requests import Operation
from zerograph_redis.core.settings import Settings
from zerograph_redis.errors import CorruptCheckpointError

from .contents import Contents, read_contents

WAITED = 3_600_000_000  # µs after which nobody expects the checkpoint of a pending write any more
_READ = 8  # threads at a time: a page of a log keeps a server for half a millisecond
_AHEAD = 5_000_000  # µs that a thread may be written in the future: clocks of a cluster differ a little


@dataclass(slots=True)
class Names:
    """What a store has by its names alone."""

    listed: set[str] = field(default_factory=set)
    """The threads in the list of threads."""
    stored: set[str] = field(default_factory=set)
    """The threads that any key or row belongs to."""
    staged: set[tuple[str, str]] = field(default_factory=set)
    """The copies that are not published: thread and token."""
    strays: list[str] = field(default_factory=list)
    """Names that are none of ours."""
    odd: list[str] = field(default_factory=list)
    """Entries of the list of threads, or names in rows, that are no thread's id."""
    others: set[str] = field(default_factory=set)
    """Prefixes of other savers that begin with ours."""


@dataclass(slots=True)
class Tally:
    """What was found, as threads come by."""

    threads: int = 0
    checkpoints: int = 0
    bytes: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    """Threads that cannot be read, and why."""
    closed: dict[str, str] = field(default_factory=dict)
    """Threads that cannot be read here, though they may be whole, and why."""
    busy: list[str] = field(default_factory=list)
    """Threads that changed faster than they could be read."""
    stale: list[str] = field(default_factory=list)
    """Listed, and not there, for a reason that cannot be seen."""
    expired: list[str] = field(default_factory=list)
    """Listed, and expired or deleted; such entries go by themselves."""
    unlisted: list[str] = field(default_factory=list)
    """There, and not listed, or not as they are."""
    astray: list[str] = field(default_factory=list)
    """With keys whose deadline is another than the thread's."""
    ahead: list[str] = field(default_factory=list)
    """Written in the future, by the store's clock."""
    reversed: list[str] = field(default_factory=list)
    """With checkpoints that are stored before their parents."""
    waiting: list[str] = field(default_factory=list)
    """With pending writes of checkpoints that never came."""
    staged: list[tuple[str, str]] = field(default_factory=list)
    """Copies that were never published, and do not go by themselves."""
    logs: int = 0
    unused: int = 0
    """How much of the logs no checkpoint refers to."""


def examine_threads(names: Names, settings: Settings, looked: Callable[[], None], *, deep: bool) -> Operation[Tally]:
    """Look at every thread, and *deep* read all that it holds.

    Args:
        names: What there is.
        settings: How to read it.
        looked: Called for each thread that was looked at.
        deep: Whether to read contents.
    """
    tally = Tally()
    now = yield from ReadClock()

    def take(seen: tuple[str, Condition, Contents]) -> None:
        _count(tally, now, *seen)
        looked()

    threads = sorted(names.listed | names.stored)
    examined = (_examined(each, names.listed, settings, deep=deep) for each in threads)
    yield from together(examined, take, **({"width": _READ} if deep else {}))

    def note(left: tuple[str, str] | None) -> None:
        if left is not None:
            tally.staged.append(left)

    yield from together(_left_over(names.staged), note)
    return tally


def _examined(
    thread: str, listed: Collection[str], settings: Settings, *, deep: bool
) -> Operation[tuple[str, Condition, Contents]]:
    try:
        condition = yield from ExamineThread(thread)
        if condition.entry is IndexState.ELSEWHERE:
            condition.entry = yield from _entry_of(thread, condition, listed)
    except CorruptCheckpointError as error:
        return thread, Condition.unknown(str(error)), Contents()
    contents = Contents()
    if deep and condition.there and not condition.damage:
        contents = yield from read_contents(thread, settings)
    return thread, condition, contents


def _entry_of(thread: str, condition: Condition, listed: Collection[str]) -> Operation[IndexState]:
    """How the list of a cluster's threads tells of a thread: it is kept beside them, and tidied up later."""
    if not condition.there:
        return IndexState.EXPIRED if thread in listed else IndexState.RIGHT
    if thread in listed:
        return IndexState.RIGHT
    # It may have been on its way from one page of the list to another.
    rank = yield from LookUpThread(thread)
    return IndexState.MISSING if rank is None else IndexState.RIGHT


def _left_over(staged: Iterable[tuple[str, str]]) -> Iterable[Operation[tuple[str, str] | None]]:
    def look(thread: str, token: str) -> Operation[tuple[str, str] | None]:
        try:
            return (thread, token) if (yield from DiscardStaged(thread, token, remove=False)) else None
        except CorruptCheckpointError:  # it is not a copy's
            return None

    return (look(*each) for each in sorted(staged))


def _count(tally: Tally, now: int, thread: str, condition: Condition, contents: Contents) -> None:
    if condition.entry is IndexState.STALE:
        tally.stale.append(thread)
    elif condition.entry is IndexState.EXPIRED:
        tally.expired.append(thread)
    if not condition.there:
        return
    tally.threads += 1
    tally.checkpoints += condition.checkpoints
    tally.bytes += condition.bytes
    damage = condition.damage or contents.damage
    if damage:
        tally.broken[thread] = damage
        return
    if contents.closed:
        tally.closed[thread] = contents.closed
    if contents.busy:
        tally.busy.append(thread)
    if condition.entry in {IndexState.MISSING, IndexState.WRONG}:
        tally.unlisted.append(thread)
    if condition.astray:
        tally.astray.append(thread)
    if condition.updated > now + _AHEAD:
        tally.ahead.append(thread)
    if contents.reversed:
        tally.reversed.append(thread)
    if contents.waiting and condition.updated < now - WAITED:
        tally.waiting.append(thread)
    tally.logs += contents.logs
    tally.unused += contents.unused
