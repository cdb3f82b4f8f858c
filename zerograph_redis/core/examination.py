"""The requests of tools and of the thread index: they examine and repair keys, counts, deadlines and entries of the index.

None of them reads or changes the content of a thread. Units are those of `requests`.
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
    """Read the store's own time, in µs. On a cluster, that of one of its nodes."""


@dataclass(slots=True)
class IndexThread(Request[None]):
    """On a cluster: enter a thread in the thread index, before it is written."""

    thread: str


@dataclass(slots=True)
class UnindexThread(Request[None]):
    """On a cluster: remove a thread from the thread index, unless it was entered just now."""

    thread: str


@dataclass(slots=True)
class ReadIndexEntry(Request["float | None"]):
    """On a cluster: when a thread was last entered in the thread index, in µs; None if it is not in there."""

    thread: str


@dataclass(slots=True)
class SampleThreads(Request[list[str]]):
    """On a cluster: some of the threads in the same shard of the thread index."""

    thread: str
    count: int


class IndexState(StrEnum):
    """Whether the entry of a thread in the thread index is right."""

    RIGHT = "right"
    """It is right, or the thread is neither stored nor listed."""
    MISSING = "missing"
    """The thread is stored, and has no entry."""
    WRONG = "wrong"
    """The entry has another time or deadline than the thread."""
    STALE = "stale"
    """The entry is of a thread that is not stored, and did not expire."""
    EXPIRED = "expired"
    """The entry is of a thread that expired; a later write or listing removes it."""
    UNKNOWN = "unknown"
    """Unknown: on a cluster the thread index is in another slot."""


@dataclass(slots=True)
class Condition:
    """Whether the keys and counts of a thread fit together. Of a thread that is not stored, only *entry* is set."""

    stored: bool
    damage: str
    """Which of its keys are missing; empty if none is."""
    entry: IndexState
    wrong_deadlines: int
    """How many of its keys have another deadline than the thread, or none."""
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
        """Return the condition of a stored thread of which only the *damage* is known."""
        return cls(True, damage, IndexState.RIGHT, 0, 0, 0, 0, None, "", 0)


@dataclass(slots=True)
class ExamineThread(Request[Condition]):
    """Check a thread's keys and counts, without reading its content."""

    thread: str


class Outline(NamedTuple):
    """The sizes of a checkpoint."""

    namespace: str
    checkpoint_id: str
    order: int
    """Its order in the index."""
    damage: str
    """The damage of its record; empty if none is known."""
    record: int
    """The bytes of its record."""
    writes: int
    """How many pending writes it has."""
    written: int
    """The bytes of its pending writes."""
    log: str
    """The log that has the parts of its state; empty if the record has all of the state."""
    state: int
    """The bytes of its state in the log, counted as if no other checkpoint shared them."""

    @property
    def bytes(self) -> int:
        """The bytes that removing it frees immediately, as `ThreadFacts` counts them."""
        return self.record + self.written


@dataclass(slots=True)
class OutlinePage:
    """Some checkpoints of a thread, by namespace and order."""

    outlines: Sequence[Outline]
    logs: Mapping[str, int]
    """The length of each log of the thread."""
    now: int
    """The store's time."""
    cursor: str | None


@dataclass(slots=True)
class OutlineThread(Request[OutlinePage]):
    """Read the sizes of some of a thread's checkpoints."""

    thread: str
    cursor: str | None


@dataclass(slots=True)
class RepairThread(Request[bool]):
    """Correct a thread's entry in the index, and the deadlines of its keys. Replies whether it is stored, and whole."""

    thread: str


@dataclass(slots=True)
class DiscardStaged(Request[bool]):
    """Find, and perhaps remove, what an unfinished copy left that does not expire. Replies whether there was any."""

    thread: str
    token: str
    remove: bool


def outline_of(
    place: tuple[str, str, int], size: int | None, header: bytes, log: str | None, writes: int, written: int
) -> Outline:
    """Build the outline of a checkpoint from its stored sizes and header.

    Args:
        place: Namespace and id, escaped, and order in the index.
        size: The length of the record; None if it is missing.
        header: The record up to its first US.
        log: The store's name for the log; None for the log id in the header.
        writes: How many pending writes it has.
        written: The bytes of these.
    """
    namespace, checkpoint_id, order = read_name(place[0]), read_name(place[1]), place[2]
    if size is None:
        return Outline(namespace, checkpoint_id, order, "its record is missing", 0, writes, written, "", 0)
    damage, state, log_id = "", 0, ""
    try:
        known, segments, _ = read_segments("a record", header)
    except CorruptCheckpointError:
        damage = "the header of its record is damaged"
    else:
        state, log_id = sum(segment.length for segment in segments), known.log_id.replace("-", "")
        if int(known.order, 16) != order:
            damage = "its order is not that of its index"
    log = log_id if log is None else log
    return Outline(namespace, checkpoint_id, order, damage, size, writes, written, log if state else "", state)
