"""The checkpoints of a thread, without their states: what led to what, when, and what changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from zerograph.constants import INTERRUPT

from zerograph_redis.core.bounds import UNREADABLE
from zerograph_redis.core.checkpoint_operations import find_namespace, unpack_map, unpack_named
from zerograph_redis.core.paging import read_pages
from zerograph_redis.core.records import CheckpointRecord, read_header, unpack_checkpoint
from zerograph_redis.core.requests import (
    Fetched,
    GetCheckpoint,
    ListCheckpoints,
    ListNamespaces,
    NamespaceFacts,
    Operation,
    StoredCheckpoint,
)
from zerograph_redis.core.settings import Settings
from zerograph_redis.core.thread_operations import moment
from zerograph_redis.core.writes import decode_writes
from zerograph_redis.errors import CheckpointError
from zerograph_redis.state_log import ThreadLogs, read_parts

from .abridging import abridge
from .comparing import Change, compare
from .outline import NotAtHandError, Piece, StateOutline, outline_of

PAGE = 25  # records that one request reads, so that none holds a server for long
LONGEST = 4096  # bytes of a segment that is read beside the records: enough for what says how a state is made


@dataclass(slots=True)
class Entry:
    """A checkpoint without its state."""

    namespace: str
    checkpoint_id: str
    parent: str | None
    order: str
    """16 hex digits, by which the store sorts the checkpoints of a thread."""
    stored: datetime
    """When it was stored first, by the store's clock."""
    source: str | None
    step: int | None
    next: list[str]
    """The nodes that come next."""
    bytes: int
    """What its record, what it added to the log, and its pending writes take."""
    writes: list[tuple[str, str]]
    """Task and channel of each pending write, interrupts among them."""
    interrupts: list[Any]
    """The values that wait, or waited, for an answer."""
    parent_namespace: str | None = None
    """Where its parent is: the outer namespace, for the first checkpoint of a subgraph's run. None if it is not stored."""
    compared_with: str | None = None
    """Its parent; for one that begins anew, what was stored before it in its namespace."""
    changes: list[Change] | None = None
    """What changed since then; None if that is not stored any more."""

    @property
    def begins(self) -> bool:
        """Whether its parent, if it has one, is not of its namespace."""
        return self.parent is None or self.parent_namespace not in {None, self.namespace}


@dataclass(slots=True)
class NamespaceHistory:
    """The entries of a namespace, newest first, and how many there are in all."""

    namespace: str
    checkpoints: int
    entries: list[Entry] = field(default_factory=list)


def list_namespaces(thread: str) -> Operation[list[NamespaceFacts]]:
    """Find all namespaces of a thread, by name."""
    pages = yield from read_pages(lambda cursor: ListNamespaces(thread, cursor))
    return [each for page in pages for each in page.found]


def read_history(
    settings: Settings,
    thread: str,
    namespace: str | None = None,
    limit: int | None = None,
    noted: Callable[[int], None] = lambda _: None,
) -> Operation[list[NamespaceHistory]]:
    """Read the newest checkpoints of a thread, over all of its namespaces or of one.

    Args:
        settings: How to read what is stored.
        thread: The thread. An unknown one has no namespaces.
        namespace: The only one to read, None for all.
        limit: How many at the most, over all namespaces, None for all.
        noted: Told now and then how many were read since it was told last.

    Returns:
        The namespaces that have any of them, by name.
    """
    spaces = yield from list_namespaces(thread)
    spaces = [each for each in spaces if namespace in {None, each.namespace}]
    history = History(settings, thread)
    found = []
    # The newest of each first: what is older than the oldest that is wanted need not be read.
    orders: list[str] = []
    for space in sorted(spaces, key=lambda each: each.newest, reverse=True):
        oldest = "" if limit is None or len(orders) < limit else orders[limit - 1]
        if space.newest < oldest:
            break
        entries = yield from history.read(space.namespace, limit, oldest, noted, page=PAGE)
        orders = sorted([*orders, *(each.order for each in entries)], reverse=True)
        found.append(NamespaceHistory(space.namespace, space.checkpoints, entries))
    oldest = "" if limit is None or len(orders) <= limit else orders[limit - 1]
    for each in found:
        each.entries = [entry for entry in each.entries if entry.order >= oldest]
    return sorted((each for each in found if each.entries), key=lambda each: each.namespace)


class History:
    """Reads entries of one thread, and remembers of its log what it has read."""

    def __init__(self, settings: Settings, thread: str) -> None:
        """Read what is stored in *thread* as *settings* say."""
        self._settings = settings
        self._thread = thread
        self._logs = ThreadLogs()
        self._longest: int | None = LONGEST
        self._outlines: dict[tuple[str, str], StateOutline | None] = {}

    def read(
        self,
        namespace: str,
        limit: int | None,
        oldest: str = "",
        noted: Callable[[int], None] = lambda _: None,
        *,
        page: int = PAGE,
        compared: bool = True,
    ) -> Operation[list[Entry]]:
        """Read the newest entries of a namespace, those from the order *oldest* on, *page* at a time.

        Only if *compared*, they tell what changed.
        """
        found: list[Entry] = []
        # One more than is shown: the last is compared with it.
        wanted = None if limit is None else limit + 1
        before = None
        while wanted is None or len(found) < wanted:
            size = page if wanted is None else min(page, wanted - len(found))
            read = yield from self._page(namespace, before, size)
            found += read
            noted(len(read))
            if len(read) < size or read[-1].order < oldest:
                break
            before = read[-1].order
        shown = [each for each in found[:limit] if each.order >= oldest]
        if compared:
            yield from self._compare(shown, found)
        return shown

    def _page(self, namespace: str, before: str | None, size: int) -> Operation[list[Entry]]:
        request = ListCheckpoints(
            self._thread, namespace, None, before, size, refresh=False, known=self._logs.spans(), longest=self._longest
        )
        fetched = yield from request
        try:
            return self._entries(namespace, fetched)
        except NotAtHandError:
            # Short stretches are not enough to tell what this thread's states are made of.
            self._longest = request.longest = None
            request.known = self._logs.spans()
            return self._entries(namespace, (yield from request), complete=True)

    def _entries(self, namespace: str, fetched: Fetched, *, complete: bool = False) -> list[Entry]:
        for each in fetched.ranges:
            self._logs.add(each.generation, each.start, each.data)
        return [self._entry(namespace, stored, complete=complete) for stored in fetched.checkpoints]

    def _entry(self, namespace: str, stored: StoredCheckpoint, *, complete: bool) -> Entry:
        cipher = self._settings.cipher(self._thread)
        serializer = self._settings.serializer
        record = unpack_checkpoint(self._thread, namespace, stored.checkpoint_id, stored.record, cipher)
        outline = self._outline(record, complete=complete)
        self._outlines[namespace, stored.checkpoint_id] = outline
        of = (self._thread, namespace, stored.checkpoint_id)
        metadata = unpack_map(serializer, record.metadata, "the metadata of", of)
        writes = decode_writes(*of, stored.writes, cipher)
        interrupts = [
            unpack_named(serializer, value, "a pending write of", of)
            for _, channel, value in writes
            if channel == INTERRUPT
        ]
        header = read_header("a record", stored.record or b"")
        step, following = ((outline and self._plain(outline, name)) for name in ("_step", "_next_nodes"))
        if not isinstance(step, int):
            step = metadata.get("step")
        return Entry(
            namespace,
            stored.checkpoint_id,
            record.parent,
            record.order,
            moment(int(record.order, 16)),
            metadata.get("source"),
            step if isinstance(step, int) else None,
            [each if isinstance(each, str) else repr(abridge(each)) for each in following]
            if isinstance(following, list | tuple)
            else [],
            len(stored.record or b"") + header.appended + sum(len(write.record or b"") for write in stored.writes),
            [(task, channel) for task, channel, _ in writes],
            interrupts,
        )

    def _outline(self, record: CheckpointRecord, *, complete: bool) -> StateOutline | None:
        try:
            return outline_of(record, self._read_piece)
        except NotAtHandError:
            if complete:
                return None
            raise
        except ValueError:  # of a kind that is not known here
            return None

    def _plain(self, outline: StateOutline, name: str) -> Any:
        """The value of a field beside the channels, None if it is not there or large."""
        match outline.fields.get(name):
            case (bytes() as packed,):
                return self._settings.serializer.unpack(packed)
            case _:
                return None

    def _compare(self, shown: list[Entry], found: list[Entry]) -> Operation[None]:
        known = {each.checkpoint_id for each in found}
        for place, entry in enumerate(shown):
            if entry.parent is not None:
                entry.parent_namespace = (
                    entry.namespace if entry.parent in known else (yield from self._find(entry.namespace, entry.parent))
                )
            before = found[place + 1].checkpoint_id if place + 1 < len(found) else None
            entry.compared_with = before if entry.begins else entry.parent
            entry.changes = yield from self._changes(entry)

    def _find(self, namespace: str, checkpoint_id: str) -> Operation[str | None]:
        """Find out where a parent is that lies further back, or in another namespace."""
        if (namespace, checkpoint_id) in self._outlines:
            return namespace
        yield from self._load(namespace, checkpoint_id)
        if (namespace, checkpoint_id) in self._outlines:
            return namespace
        return (yield from find_namespace(self._thread, checkpoint_id))

    def _changes(self, entry: Entry) -> Operation[list[Change] | None]:
        base = entry.compared_with
        after = self._outlines[entry.namespace, entry.checkpoint_id]
        before = StateOutline() if base is None else self._outlines.get((entry.namespace, base))
        if before is None or after is None:
            return None
        try:
            return self._compared(before, after)
        except NotAtHandError:
            pass
        # Equal values that lie in different places: their bytes must be read.
        for checkpoint_id in (entry.checkpoint_id, base or entry.checkpoint_id):
            yield from self._load(entry.namespace, checkpoint_id)
        try:
            return self._compared(before, after)
        except NotAtHandError:
            return None

    def _compared(self, before: StateOutline, after: StateOutline) -> list[Change] | None:
        try:
            return compare(before, after, self._read_piece)
        except UNREADABLE:  # no put laid them out
            return None

    def _load(self, namespace: str, checkpoint_id: str) -> Operation[None]:
        """Read a checkpoint with all of its bytes."""
        request = GetCheckpoint(self._thread, namespace, checkpoint_id, refresh=False, known=self._logs.spans())
        self._entries(namespace, (yield from request), complete=True)

    def _read_piece(self, piece: Piece) -> bytes:
        coding = self._settings.coding(self._thread)
        try:
            most = self._settings.max_state_bytes
            found = read_parts([piece.segments], self._logs, piece.generation, coding, most)
        except (CheckpointError, ValueError) as error:
            raise NotAtHandError from error
        if found is None:
            raise NotAtHandError
        return bytes(found[0])
