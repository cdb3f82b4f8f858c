"""What the core asks of a backend, as plain data.

An operation asks with ``reply = yield from request``. Ids in requests are the users' own; each backend escapes them.
Times are integers: ``ttl`` in milliseconds, points in time and ``max_age`` in microseconds of the store's own clock.
Every request is atomic, and answering it twice leaves the store as answering it once.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.ids import escape
from zerograph_redis.state_log.base import BaseCheckpoint
from zerograph_redis.state_log.log import KnownRange

ZERO = "0" * 16
"""The generation of no log, and the order before the first."""

T = TypeVar("T")
R = TypeVar("R")


class Request(Generic[T]):
    """Ask with ``reply = yield from request``; the reply is a ``T``."""

    __slots__ = ()

    def __iter__(self) -> Generator[Request[T], T, T]:
        """Yield the request itself, and return the backend's reply."""
        reply: T = yield self
        return reply


Operation = Generator[Request[Any], Any, R]
"""An operation that ends with an ``R``."""


@dataclass(slots=True)
class Pause(Request[None]):
    """Go on after some seconds. Answered by whatever runs the operation: no backend sees it."""

    seconds: float


@dataclass(slots=True)
class StoredWrite:
    """A pending write as stored: who wrote what, opaque to backends, and its record."""

    identity: str
    record: bytes | None


@dataclass(slots=True)
class StoredCheckpoint:
    """A checkpoint as stored; ``record`` is None if its bytes are gone although the thread names it.

    ``order`` is what the index says, if it was looked at.
    """

    checkpoint_id: str
    record: bytes | None
    writes: list[StoredWrite]
    order: str | None = None


Fence = int | None
"""The token of the lease that a write is made under. Without one it is refused while anyone holds the thread."""


class Expected(NamedTuple):
    """A put is refused unless the newest checkpoint of its namespace is this one, or none if None, or its own id."""

    checkpoint_id: str | None


class Placed(NamedTuple):
    """Where a checkpoint came to stand: its order, the generation of the log, where the appended bytes begin."""

    order: str
    generation: str
    base: int


@dataclass(slots=True)
class PutCheckpoint(Request["Placed | None"]):
    """Store a record under the next order of its thread, or under its old order if the id is known; then retain.

    A request that was done already is not done again: the record with the same *attempt* is there.

    The reply is None, and nothing was stored, if the segments refer to what the store does not have, or no longer wants
    to build on: then the state must be sent whole. Or if the checkpoint does not follow *follows*: then it must not say so.
    """

    thread: str
    namespace: str
    checkpoint_id: str
    attempt: str
    """A random name for this put, which no other has: 16 hex digits."""
    version: bytes
    """The format version of the record, one byte."""
    record: bytes
    """What stands behind the header."""
    appended: bytes
    """What to append to the log."""
    needed: int
    """How many bytes of the log the state is made of."""
    base: BaseCheckpoint | None
    """The checkpoint of the namespace that the segments were taken from."""
    ttl: int | None
    keep_last: int | None
    max_age: int | None
    fence: Fence
    expected: Expected | None
    follows: tuple[str, str] | None = None
    """The id and the order of the parent that the record says it follows."""


NO_WRITES = "-"
"""The version of a list of pending writes that is not there."""


@dataclass(slots=True)
class WritesReply:
    """Whether a batch was stored, and the version of the list that is there now, with its writes if it was not."""

    stored: bool
    version: str
    writes: Sequence[StoredWrite] = ()


@dataclass(slots=True)
class PutWrites(Request["WritesReply | None"]):
    """Store writes beside a checkpoint, which may come later.

    A write whose identity is known takes the place of the earlier one, or leaves it if *replace* is false. With *extends*,
    nothing is stored unless the list of writes still has that version; without it the reply is None. Every batch gives
    a list another version.
    """

    thread: str
    namespace: str
    checkpoint_id: str
    writes: Sequence[StoredWrite]
    replace: bool
    ttl: int | None
    fence: Fence
    extends: str | None = None


class PlacedBatch(NamedTuple):
    """Where a batch came to stand: generation of the log, where the appended bytes begin, order of each checkpoint."""

    generation: str
    base: int
    orders: list[str]


@dataclass(slots=True)
class WriteBatch(Request["PlacedBatch | None"]):
    """Writes to one thread, in this order: all of them, or none.

    What the puts append lands at once, one behind the other: so the segments of a put may go back to what those before it
    append. It names a base checkpoint only if that is not one of the batch.
    None of the writes has a condition. The reply is None, and nothing was stored, where that of a put would be.
    """

    thread: str
    writes: Sequence[PutCheckpoint | PutWrites]
    ttl: int | None
    fence: Fence


@dataclass(slots=True)
class LogRange:
    """Bytes of a log."""

    generation: str
    start: int
    data: bytes


@dataclass(slots=True)
class Fetched:
    """Checkpoints, and of the log what their states need beyond what the reader has."""

    checkpoints: list[StoredCheckpoint]
    ranges: list[LogRange]


@dataclass(slots=True)
class GetCheckpoint(Request[Fetched]):
    """One checkpoint with its writes: the named one, or the newest of the namespace; none if there is none.

    With *base*, nothing of the log need be fetched if the record that is found is that of this very put.
    """

    thread: str
    namespace: str
    checkpoint_id: str | None
    refresh: bool
    known: Sequence[KnownRange]
    base: BaseCheckpoint | None = None
    """What the reader has of the namespace."""


@dataclass(slots=True)
class GetWrites(Request[list[StoredWrite]]):
    """The pending writes of a checkpoint, in the order stored."""

    thread: str
    namespace: str
    checkpoint_id: str
    refresh: bool


@dataclass(slots=True)
class ListCheckpoints(Request[Fetched]):
    """Checkpoints of a namespace, newest first: before a checkpoint (none if unknown), or before an order."""

    thread: str
    namespace: str
    before: str | None
    before_order: str | None
    limit: int
    refresh: bool
    known: Sequence[KnownRange]
    longest: int | None = None
    """Leave out what takes more bytes than this at a stretch: for a reader that looks at records, not at states."""


@dataclass(slots=True)
class FoundNamespace:
    """Where the id is, if ``namespace`` is not None; else where to look on, if ``cursor`` is not None."""

    namespace: str | None
    cursor: str | None


@dataclass(slots=True)
class FindNamespace(Request[FoundNamespace]):
    """Look for a checkpoint id in some of the thread's namespaces, from *cursor* on."""

    thread: str
    checkpoint_id: str
    cursor: str | None


class FoundCheckpoint(NamedTuple):
    """Where a checkpoint is, and its order."""

    namespace: str
    checkpoint_id: str
    order: str


@dataclass(slots=True)
class FoundCheckpoints:
    """Some checkpoints; ``cursor`` is None after the last."""

    found: list[FoundCheckpoint]
    cursor: str | None


@dataclass(slots=True)
class FindCheckpoints(Request[FoundCheckpoints]):
    """Look among some of a thread's checkpoints, from *cursor* on, for those whose ids begin with *prefix*."""

    thread: str
    prefix: str
    cursor: str | None


class NamespaceFacts(NamedTuple):
    """A namespace, how many checkpoints it has, and the order of its newest."""

    namespace: str
    checkpoints: int
    newest: str


@dataclass(slots=True)
class Namespaces:
    """Some namespaces, by name; ``cursor`` is None after the last."""

    found: list[NamespaceFacts]
    cursor: str | None


@dataclass(slots=True)
class ListNamespaces(Request[Namespaces]):
    """Which namespaces a thread has: some of them, from *cursor* on."""

    thread: str
    cursor: str | None


@dataclass(slots=True)
class Pruned:
    """How many checkpoints one slice removed; ``cursor`` is None after the last slice."""

    removed: int
    cursor: str | None


@dataclass(slots=True)
class PruneThread(Request[Pruned]):
    """Drop all but the newest *keep* of every namespace, a bounded number; *call* tells a retry from a new slice.

    With *max_age*, of these only what is older.
    """

    thread: str
    keep: int
    max_age: int | None
    call: str
    cursor: str | None
    fence: Fence


@dataclass(slots=True)
class DeleteThread(Request[bool]):
    """Remove all that belongs to a thread, but for a lease that is held. The reply says whether it is gone.

    With *updated*, it stays if its last write was at another time than this.
    """

    thread: str
    fence: Fence
    updated: int | None = None


@dataclass(slots=True)
class Leased:
    """Who holds a thread after a `LeaseThread`: token, owner, and how long in ms. ``left`` is 0 if nobody does.

    Then ``attempt`` and ``owner`` are of whoever held it last, but for a broken lease: its ``attempt`` is what broke it.
    """

    token: int
    attempt: str
    owner: str
    left: int


@dataclass(slots=True)
class LeaseThread(Request[Leased]):
    """Take, renew, give back, break or merely look at the lease of a thread. The reply says who holds it then.

    A token is larger than every earlier one of its thread. *attempt* tells a retry from another worker's attempt; it is
    also enough to give back what was taken, whose token may be unknown.
    """

    thread: str
    action: Literal["take", "renew", "release", "break", "look"]
    token: Fence
    attempt: str
    owner: str
    ttl: int


@dataclass(slots=True)
class IndexedThread:
    """A thread's place in the list of threads: when it was last written, and its id."""

    updated: int
    thread: str


class IndexCursor(NamedTuple):
    """Where to look on in the list of threads: behind an entry."""

    updated: Any
    """What the store sorts by, as the store has it."""
    name: Any
    """The spelled id, likewise."""
    ties: int = 0
    """How many more must be read, since so many have the same moment."""

    @classmethod
    def behind(cls, rank: IndexedThread) -> IndexCursor:
        """Look on behind a thread."""
        return cls(rank.updated, escape(rank.thread))


@dataclass(slots=True)
class IndexPage:
    """Some threads by last write; ``cursor`` is None after the last. There may be none, and more to come."""

    found: list[IndexedThread]
    cursor: IndexCursor | None
    odd: list[str] = field(default_factory=list)
    """Entries that are no thread's id, fit to be shown."""


@dataclass(slots=True)
class ListThreads(Request[IndexPage]):
    """Threads by last write, newest first, from *cursor* on. May name threads that are gone."""

    cursor: IndexCursor | None
    limit: int


@dataclass(slots=True)
class ThreadFacts:
    """What a store knows of a thread. ``created`` and ``updated`` in µs, ``ttl`` the milliseconds left or None.

    ``held`` is for how many milliseconds *owner* holds its lease, 0 if nobody does.
    """

    created: int
    updated: int
    checkpoints: int
    namespaces: int
    bytes: int
    ttl: int | None
    lifetime: int | None
    """The ttl that its last write asked for, in ms."""
    order: str
    """The order that was given out last, 16 hex digits."""
    origin: str | None
    """What it was published from: the token, or the origin of its `Past`."""
    held: int
    owner: str


@dataclass(slots=True)
class DescribeThread(Request["ThreadFacts | None"]):
    """The facts of a thread, None if it is gone."""

    thread: str


@dataclass(slots=True)
class DescribeThreads(Request[list[ThreadFacts | CorruptCheckpointError | None]]):
    """The facts of each thread, None for one that is gone, an error for one whose facts are damaged."""

    threads: Sequence[str]


@dataclass(slots=True)
class ForgetThread(Request[None]):
    """Take a thread that is gone out of the list of threads."""

    thread: str


Cursor = tuple[str, str]
"""What is being scanned, and where."""


@dataclass(slots=True)
class Page:
    """Some of a thread's stored bytes, to be staged elsewhere; ``cursor`` is None on the last page.

    A page has rows ``(namespace, checkpoint)`` or ranges of one log. A row without a record carries writes alone. As a
    store replies, a log may be named by its slot; as it is staged, it is named by its generation. ``logs`` tells which
    logs there are: pages belong together only while it stays the same. ``current`` is the generation of the log that
    is written to now, zeros for none.
    """

    rows: list[tuple[str, StoredCheckpoint]]
    ranges: list[LogRange]
    logs: str
    current: str
    cursor: Cursor | None


@dataclass(slots=True)
class ScanThread(Request[Page]):
    """Read a page of a thread's records, writes and logs. What stays stored during a scan is read at least once."""

    thread: str
    cursor: Cursor | None


@dataclass(slots=True)
class StageThread(Request[bool]):
    """Keep a page for a thread to be published later; nobody sees it. It goes by itself if that never comes.

    Pages are staged one after the other. The reply is False if those before this one are not there (any more).
    """

    thread: str
    token: str
    number: int
    """How many pages come before it."""
    page: Page


@dataclass(slots=True)
class Past:
    """What a thread keeps when it moves: ``created`` and ``updated`` in µs, ``left`` of its ttl in ms."""

    created: int
    updated: int
    left: int | None
    origin: str
    """A name for what is moved. A thread that was published from the same origin is published already."""


class Untouched(NamedTuple):
    """A thread as it was published: from this origin, last written then (µs), and neither written nor pruned since."""

    origin: str
    updated: int


@dataclass(slots=True)
class PublishThread(Request["bool | None"]):
    """Make staged rows the thread. Replies whether all of them were there, or None if the thread was not empty.

    Rows are staged before the logs that they are made of. At most two logs can be staged.
    """

    thread: str
    token: str
    current: str
    """The generation of the log to go on with, zeros for none."""
    pages: int
    """How many pages must have been staged. The counts below find a staged key that an evicting server removed since."""
    checkpoints: int
    """How many must have been staged."""
    written: int
    """How many checkpoints with pending writes, stored or still to come, must have been staged."""
    log_bytes: int
    """How many bytes of logs must have been staged."""
    ttl: int | None
    fence: Fence
    past: Past | None
    """What the thread was before, elsewhere; None for a new one."""
    instead: Untouched | None = None
    """What may be there: it goes then."""
