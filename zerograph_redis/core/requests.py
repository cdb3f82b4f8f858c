"""The requests of operations, which a backend answers: plain data. First checkpoints, then leases, then whole threads.

An operation asks with ``reply = yield from request``. Ids in requests are the users' own; each backend escapes them.
Times are integers: ``ttl`` in milliseconds, points in time and ``max_age`` in microseconds of the store's own clock.
Every request is atomic, and answering it twice leaves the store as answering it once. The ``cursor`` of a
page is where the next one begins, None on the last one. The requests of tools are in `examination`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.ids import escape
from zerograph_redis.state_log.log import BaseCheckpoint, KnownRange

NO_LOG = NO_ORDER = "0" * 16
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

Fence = int | None
"""The token of the lease to write under. Without one, a write is refused while anyone holds the thread."""


@dataclass(slots=True)
class Pause(Request[None]):
    """Wait for some seconds. The driver of the operation waits; no backend gets this request."""

    seconds: float


@dataclass(slots=True)
class StoredWrite:
    """The record of a pending write, None if it is missing, and its identity, opaque to backends: task and channel."""

    identity: str
    record: bytes | None


@dataclass(slots=True)
class StoredCheckpoint:
    """The record of a checkpoint, None if it is missing, and its pending writes."""

    checkpoint_id: str
    record: bytes | None
    writes: list[StoredWrite]
    order: str | None = None
    """Its order in the index, if the store read that."""


class Expected(NamedTuple):
    """A put is refused unless the newest checkpoint of its namespace is this one, or none if None, or its own id."""

    checkpoint_id: str | None


class Placed(NamedTuple):
    """Where a checkpoint was stored: its order, the generation of the log, the offset of the appended bytes."""

    order: str
    generation: str
    base: int


@dataclass(slots=True)
class PutCheckpoint(Request["Placed | None"]):
    """Store a record under the next order of its thread, or its old order if the id exists; then drop old checkpoints.

    A repeated request changes nothing: it finds the record with its own *attempt*.

    The reply is None, and nothing was stored, if the state must be sent whole: the segments use bytes that the store does
    not have, or it begins a new log. Or if the checkpoint does not follow *follows*, so that its record is wrong.
    """

    thread: str
    namespace: str
    checkpoint_id: str
    attempt: str
    """The random name of this put: 16 hex digits."""
    version: bytes
    """The format version of the record, one byte."""
    record: bytes
    """The record without its header."""
    appended: bytes
    """What to append to the log."""
    needed: int
    """How many bytes of the log the state takes."""
    base: BaseCheckpoint | None
    """The checkpoint of the namespace whose segments it uses."""
    ttl: int | None
    keep_last: int | None
    max_age: int | None
    fence: Fence
    expected: Expected | None
    follows: tuple[str, str] | None = None
    """The id and order of the parent that the record names."""


NO_WRITES = "-"
"""The version of a list of pending writes that is not stored."""


@dataclass(slots=True)
class WritesReply:
    """Whether a batch was stored, and the stored version of the list; with its writes if the batch was not."""

    stored: bool
    version: str
    writes: Sequence[StoredWrite] = ()


@dataclass(slots=True)
class PutWrites(Request["WritesReply | None"]):
    """Store writes beside a checkpoint, which may be stored later. Every batch gives the list a new version."""

    thread: str
    namespace: str
    checkpoint_id: str
    writes: Sequence[StoredWrite]
    replace: bool
    """Whether a write takes the place of the stored one with its identity, or leaves that."""
    ttl: int | None
    fence: Fence
    extends: str | None = None
    """Store nothing unless the list still has this version. If None, the reply is None."""


class PlacedBatch(NamedTuple):
    """Where a batch was stored: generation of the log, offset of the appended bytes, order of each checkpoint."""

    generation: str
    base: int
    orders: list[str]


@dataclass(slots=True)
class WriteBatch(Request["PlacedBatch | None"]):
    """Writes to one thread, in this order: all of them, or none. None of them has a condition.

    What the puts append is appended in their order, so the segments of a put may use what those before it append. A put
    names a base checkpoint only if that is not in the batch. The reply is None, and nothing was stored, where that of a
    put would be.
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
    """Checkpoints, and the bytes of the log that their states need and the reader does not know."""

    checkpoints: list[StoredCheckpoint]
    ranges: list[LogRange]


@dataclass(slots=True)
class GetCheckpoint(Request[Fetched]):
    """Read one checkpoint with its writes: the named one, or the newest of the namespace; none if it is not stored."""

    thread: str
    namespace: str
    checkpoint_id: str | None
    refresh: bool
    known: Sequence[KnownRange]
    base: BaseCheckpoint | None = None
    """A checkpoint that the reader knows: if it is found unchanged, no bytes of the log are needed."""


@dataclass(slots=True)
class GetWrites(Request[list[StoredWrite]]):
    """Read the pending writes of a checkpoint, in the order stored."""

    thread: str
    namespace: str
    checkpoint_id: str
    refresh: bool


@dataclass(slots=True)
class ListCheckpoints(Request[Fetched]):
    """Read checkpoints of a namespace, newest first: before a checkpoint (none if unknown), or before an order."""

    thread: str
    namespace: str
    before: str | None
    before_order: str | None
    limit: int
    refresh: bool
    known: Sequence[KnownRange]


@dataclass(slots=True)
class Found(Generic[T]):
    """What was found on one page."""

    found: T
    cursor: str | None


@dataclass(slots=True)
class FindNamespace(Request["Found[str | None]"]):
    """Search some of a thread's namespaces for a checkpoint id. Finds the namespace; None if none of these has it."""

    thread: str
    checkpoint_id: str
    cursor: str | None


class FoundCheckpoint(NamedTuple):
    """A checkpoint by its names and its order."""

    namespace: str
    checkpoint_id: str
    order: str


@dataclass(slots=True)
class FindCheckpoints(Request[Found[list[FoundCheckpoint]]]):
    """Search some of a thread's checkpoints for those whose ids begin with *prefix*."""

    thread: str
    prefix: str
    cursor: str | None


class NamespaceFacts(NamedTuple):
    """A namespace, how many checkpoints it has, and the order of its newest."""

    namespace: str
    checkpoints: int
    newest: str


@dataclass(slots=True)
class ListNamespaces(Request[Found[list[NamespaceFacts]]]):
    """List some of the namespaces of a thread, by name."""

    thread: str
    cursor: str | None


@dataclass(slots=True)
class PruneThread(Request[Found[int]]):
    """Drop all but the newest *keep* checkpoints of every namespace, a bounded number at a time. Counts them."""

    thread: str
    keep: int
    max_age: int | None
    """Drop only those that are older than this."""
    call: str
    """The name of this slice: a retry has the same."""
    cursor: str | None
    fence: Fence


@dataclass(slots=True)
class Leased:
    """The lease of a thread.

    If nobody holds the thread, *attempt* and *owner* are those of the last holder; of a broken lease, *attempt* is that of
    the break.
    """

    token: int
    attempt: str
    owner: str
    left: int
    """For how many ms it is held; 0 if nobody holds it."""


@dataclass(slots=True)
class LeaseThread(Request[Leased]):
    """Take, renew, give back, break or read the lease of a thread. The reply is the lease after that.

    A token is larger than every earlier one of its thread. *attempt* is the same in a retry; it is enough to give back a
    lease whose token is unknown.
    """

    thread: str
    action: Literal["take", "renew", "release", "break", "read"]
    token: Fence
    attempt: str
    owner: str
    ttl: int


@dataclass(slots=True)
class IndexedThread:
    """An entry of the thread index: when the thread was last written, and its id."""

    updated: int
    thread: str


class IndexCursor(NamedTuple):
    """Where the next page of the thread index begins: after an entry."""

    updated: Any
    """What the store sorts by, as the store has it."""
    name: Any
    """The escaped id, likewise."""
    ties: int = 0
    """How many more entries must be read, since so many have the same time."""

    @classmethod
    def behind(cls, entry: IndexedThread) -> IndexCursor:
        """Return the cursor after a thread."""
        return cls(entry.updated, escape(entry.thread))


@dataclass(slots=True)
class IndexPage:
    """Some threads by last write. A page may be empty, and not the last."""

    found: list[IndexedThread]
    cursor: IndexCursor | None
    odd: list[str] = field(default_factory=list)
    """Entries that are no thread ids, escaped to be visible."""


@dataclass(slots=True)
class ListThreads(Request[IndexPage]):
    """List threads by last write, newest first. Some may be deleted or expired."""

    cursor: IndexCursor | None
    limit: int


@dataclass(slots=True)
class ThreadFacts:
    """The stored facts of a thread."""

    created: int
    updated: int
    checkpoints: int
    namespaces: int
    bytes: int
    ttl: int | None
    """Its remaining TTL, None for never."""
    lifetime: int | None
    """The TTL of its last write."""
    order: str
    """The last order that was assigned, 16 hex digits."""
    origin: str | None
    """The token that it was published with, or the origin of its `Past`."""
    held: int
    """For how many ms *owner* holds its lease; 0 if nobody does."""
    owner: str


@dataclass(slots=True)
class DescribeThread(Request["ThreadFacts | None"]):
    """Read the facts of a thread, None if it is not stored."""

    thread: str


@dataclass(slots=True)
class DescribeThreads(Request[list[ThreadFacts | CorruptCheckpointError | None]]):
    """Read the facts of each thread: None for one that is not stored, an error for damaged facts."""

    threads: Sequence[str]


@dataclass(slots=True)
class ForgetThread(Request[None]):
    """Remove a thread that is not stored from the thread index."""

    thread: str


@dataclass(slots=True)
class DeleteThread(Request[bool]):
    """Remove all that belongs to a thread, except a lease that is held. The reply tells whether it was removed."""

    thread: str
    fence: Fence
    updated: int | None = None
    """Leave a thread whose last write was at another time than this."""


Cursor = tuple[str, str]
"""Where the next page of a thread begins: key or table, and the position in it."""


@dataclass(slots=True)
class Page:
    """Some of a thread's stored bytes: rows ``(namespace, checkpoint)``, or ranges of one log.

    A row without a record has only writes. A range may name its log by log id when a store replies; by its generation
    when it is staged.
    """

    rows: list[tuple[str, StoredCheckpoint]]
    ranges: list[LogRange]
    logs: str
    """The logs of the thread, opaque: pages belong together only while this stays the same."""
    current: str
    """The generation of the log that is written to now, zeros for none."""
    cursor: Cursor | None


@dataclass(slots=True)
class ScanThread(Request[Page]):
    """Read a page of a thread's records, writes and logs. What stays stored during a scan is read at least once."""

    thread: str
    cursor: Cursor | None


@dataclass(slots=True)
class StageThread(Request[bool]):
    """Keep a page of a staged copy, which nobody sees until it is published, and which expires if it never is.

    Pages are staged in their order. The reply is False if those before this one are not stored, or no longer.
    """

    thread: str
    token: str
    number: int
    """How many pages come before it."""
    page: Page


@dataclass(slots=True)
class Past:
    """The times and the origin that a thread keeps when it moves."""

    created: int
    updated: int
    left: int | None
    """Its remaining TTL."""
    origin: str
    """A name for the moved content. A thread that was published from the same origin is not published again."""


class Untouched(NamedTuple):
    """A thread as it was published: from this origin, last written then (µs), and neither written nor pruned since."""

    origin: str
    updated: int


@dataclass(slots=True)
class PublishThread(Request["bool | None"]):
    """Make the staged pages the thread. Replies whether all were stored, or None if the thread was not empty.

    Rows are staged before their logs; there are at most two logs. The counts are of what must be staged: they find a
    staged key that an evicting server removed.
    """

    thread: str
    token: str
    current: str
    """The generation of the log to go on with, zeros for none."""
    pages: int
    checkpoints: int
    checkpoints_with_writes: int
    """How many checkpoints have pending writes, including those that are not stored yet."""
    log_bytes: int
    ttl: int | None
    fence: Fence
    past: Past | None
    """What the thread was before, elsewhere; None for a new one."""
    instead: Untouched | None = None
    """The thread to replace, if it is still this one."""
