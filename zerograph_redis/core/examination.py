"""What is asked of a backend to look a store over, and to mend what surrounds its threads: requests beside a saver's own.

None of these reads or changes what a thread says; units are those of `requests`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.ids import read_name

from .records import read_segments
from .requests import Request


@dataclass(slots=True)
class ReadClock(Request[int]):
    """The store's own time, in µs. On a cluster, that of one of its nodes."""


@dataclass(slots=True)
class IndexThread(Request[None]):
    """On a cluster: enter a thread in the thread index, before it is written."""

    thread: str


@dataclass(slots=True)
class UnindexThread(Request[None]):
    """On a cluster: remove a thread from the thread index, unless it was entered just now."""

    thread: str


@dataclass(slots=True)
class LookUpThread(Request["float | None"]):
    """On a cluster: when a thread was entered in the thread index last, in µs; None if it is not there."""

    thread: str


@dataclass(slots=True)
class SampleThreads(Request[list[str]]):
    """On a cluster: some of the threads in the same shard of the thread index."""

    thread: str
    count: int


class IndexState(StrEnum):
    """How the list of threads tells of a thread."""

    RIGHT = "right"
    """As it should; or not at all, of a thread that is not there."""
    MISSING = "missing"
    """Not at all, though the thread is there."""
    WRONG = "wrong"
    """With another time or deadline than its own."""
    STALE = "stale"
    """As a thread that is not there, nor expired."""
    EXPIRED = "expired"
    """As a thread that expired, which some later write or listing takes out."""
    ELSEWHERE = "elsewhere"
    """Not to be seen from the thread's own keys, as on a cluster."""


@dataclass(slots=True)
class Condition:
    """How a thread is, and whether its parts fit together. One that is not there has nothing but its entry."""

    there: bool
    damage: str
    """What is missing of it; empty if nothing is."""
    entry: IndexState
    astray: int
    """How many of its keys have another deadline than the thread should have, or none."""
    updated: int
    checkpoints: int
    bytes: int
    ttl: int | None
    owner: str
    """Who holds its lease; empty if nobody does."""
    held: int
    """For how long, in ms."""

    @classmethod
    def unknown(cls, damage: str) -> Condition:
        """A thread that is there, and of which nothing can be told but that something is wrong."""
        return cls(True, damage, IndexState.RIGHT, 0, 0, 0, 0, None, "", 0)


@dataclass(slots=True)
class ExamineThread(Request[Condition]):
    """Look at a thread's keys and counts, without reading what it holds."""

    thread: str


class Outline(NamedTuple):
    """A checkpoint by its sizes."""

    namespace: str
    checkpoint_id: str
    order: int
    """Its place by the index: when it was stored first, in µs, unless others came in the same one."""
    damage: str
    """What is wrong with its record; empty if nothing can be seen."""
    record: int
    """The bytes of its record."""
    writes: int
    """How many pending writes it has."""
    written: int
    """The bytes of these."""
    log: str
    """The log that its state is made of; empty if the record has all of it."""
    state: int
    """The bytes of its state that are in the log, if they stood there for this checkpoint alone."""

    @property
    def bytes(self) -> int:
        """What goes with it at once, as `ThreadFacts` counts."""
        return self.record + self.written


@dataclass(slots=True)
class OutlinePage:
    """Some checkpoints of a thread, by namespace and order; ``cursor`` is None on the last page."""

    outlines: Sequence[Outline]
    logs: Mapping[str, int]
    """How long each log of the thread is."""
    now: int
    """The store's time."""
    cursor: str | None


@dataclass(slots=True)
class OutlineThread(Request[OutlinePage]):
    """The sizes of a thread's checkpoints, a page at a time."""

    thread: str
    cursor: str | None


@dataclass(slots=True)
class MendThread(Request[bool]):
    """List a thread as it is, and give all of its keys its deadline. The reply says whether it is there, and whole."""

    thread: str


@dataclass(slots=True)
class DiscardStaged(Request[bool]):
    """Find what an unfinished copy left that does not go by itself. The reply says whether there was anything."""

    thread: str
    token: str
    remove: bool


def outline_of(
    place: tuple[str, str, int], size: int | None, header: bytes, log: str | None, writes: int, written: int
) -> Outline:
    """Take apart what a store says of a checkpoint.

    Args:
        place: Namespace and id, escaped, and order by the index.
        size: The length of the record; None if it is gone.
        header: The record up to its first US.
        log: What the store calls the log; None takes the slot that the header names.
        writes: How many pending writes it has.
        written: The bytes of these.
    """
    namespace, checkpoint_id, order = read_name(place[0]), read_name(place[1]), place[2]
    if size is None:
        return Outline(namespace, checkpoint_id, order, "its record is gone", 0, writes, written, "", 0)
    damage, state, slot = "", 0, ""
    try:
        known, segments, _ = read_segments("a record", header)
    except CorruptCheckpointError:
        damage = "the header of its record is damaged"
    else:
        state, slot = sum(segment.length for segment in segments), known.slot.replace("-", "")
        if int(known.order, 16) != order:
            damage = "its order is not that of its index"
    log = slot if log is None else log
    return Outline(namespace, checkpoint_id, order, damage, size, writes, written, log if state else "", state)
