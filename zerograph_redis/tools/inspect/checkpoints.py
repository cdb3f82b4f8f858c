"""The checkpoints of a thread: find them, read them, and compare each with the one that it was made from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from zerograph.constants import INTERRUPT

from zerograph_redis.core.bounds import UNREADABLE
from zerograph_redis.core.checkpoint_operations import find_namespace, unpack_map, unpack_named
from zerograph_redis.core.configs import Address
from zerograph_redis.core.listing import moment
from zerograph_redis.core.paging import read_pages
from zerograph_redis.core.records import CheckpointRecord, name_of, read_header, unpack_checkpoint
from zerograph_redis.core.requests import (
    FindCheckpoints,
    GetCheckpoint,
    ListCheckpoints,
    ListNamespaces,
    NamespaceFacts,
    Operation,
    StoredCheckpoint,
)
from zerograph_redis.core.settings import Settings
from zerograph_redis.core.states import Read, ReadCheckpoint, States
from zerograph_redis.core.writes import decode_writes
from zerograph_redis.display import quoted
from zerograph_redis.errors import CheckpointError
from zerograph_redis.serde.packing import msgpack
from zerograph_redis.state_log.cut import Cut

from .changes import ChannelChange, compare_channels, split_map

PAGE = 25  # checkpoints that one request reads, so that none holds a server for long
_WAITING = 50  # states that are kept until the one they are compared with is read
_FROM_NEWEST = re.compile(r"@(\d{1,9})")

R = TypeVar("R")

Channels = Mapping[str, bytes]
"""The packed values of a state's channels."""


@dataclass(slots=True)
class Entry:
    """A checkpoint."""

    namespace: str
    checkpoint_id: str
    parent: str | None
    order: str
    """16 hex digits, by which the store sorts the checkpoints of a thread."""
    stored: datetime
    """When it was first stored, by the store's clock."""
    metadata: Mapping[str, Any]
    step: int | None
    next: list[str]
    """The nodes that come next."""
    bytes: int
    """The size of its record, of what it appended to the state log, and of its pending writes."""
    writes: list[tuple[str, str, Any]]
    """Task, channel and value of each pending write, interrupts among them."""
    channels: Mapping[str, Any] = field(default_factory=dict)
    """The values of its state. Empty in a list of checkpoints."""
    parent_namespace: str | None = None
    """The outer namespace for the first checkpoint of a subgraph's run. None if the parent is not stored."""
    compared_with: str | None = None
    """The parent; for a checkpoint that starts a run, the one stored before it in its namespace."""
    changes: list[ChannelChange] | None = None
    """What changed since that one; None if it is not stored, or one of both states cannot be read."""

    @property
    def source(self) -> Any:
        """What made it, by its metadata, such as ``input`` or ``loop``."""
        return self.metadata.get("source")

    @property
    def interrupts(self) -> list[Any]:
        """The values that wait, or waited, for an answer."""
        return [getattr(value, "value", value) for _, channel, value in self.writes if channel == INTERRUPT]

    @property
    def starts(self) -> bool:
        """Whether it starts a run: it has no parent, or one in another namespace."""
        return self.parent is None or self.parent_namespace not in {None, self.namespace}


def list_namespaces(thread: str) -> Operation[list[NamespaceFacts]]:
    """List all namespaces of a thread, by name."""
    pages = yield from read_pages(lambda cursor: ListNamespaces(thread, cursor))
    return [each for page in pages for each in page.found]


def default_namespace(thread: str) -> Operation[str | None]:
    """Return the root namespace, or the one with the newest checkpoint if the root has none; None for no such thread."""
    spaces = yield from list_namespaces(thread)
    if not spaces or spaces[0].namespace == "":
        return "" if spaces else None
    return max(spaces, key=lambda each: each.newest).namespace


def find_checkpoints(thread: str, text: str, namespace: str | None) -> Operation[list[tuple[str, str]]]:
    """Find the checkpoints that *text* may mean, as namespace and id.

    Args:
        thread: The thread. An unknown one has none.
        text: An id, or else the beginning of one, or else ``@2`` for two before the newest.
        namespace: The only namespace to search, None for all.
    """
    if namespace is None and (exact := (yield from find_namespace(thread, text))) is not None:
        return [(exact, text)]
    number = _FROM_NEWEST.fullmatch(text)
    pages = yield from read_pages(lambda cursor: FindCheckpoints(thread, "" if number else text, cursor))
    stored = [each for page in pages for each in page.found if namespace in {None, each.namespace}]
    found = [(each.namespace, each.checkpoint_id) for each in stored if each.checkpoint_id.startswith(text)]
    if number and not found:
        space = namespace if namespace is not None else (yield from default_namespace(thread))
        newest = sorted((each for each in stored if each.namespace == space), key=lambda each: each.order, reverse=True)
        return [(each.namespace, each.checkpoint_id) for each in newest[int(number[1]) :][:1]]
    return [each for each in found if each[1] == text] or found


class CheckpointReader:
    """Reads the checkpoints of one thread.

    *states* caches state logs: a reader that shares it with an earlier one downloads only new bytes.
    """

    def __init__(self, settings: Settings, thread: str, states: States | None = None) -> None:
        """Read checkpoints of *thread*, and decode them as *settings* say."""
        self._settings = settings
        self._thread = thread
        self._states = states or States(settings)
        self._waiting: dict[str, tuple[Entry, Channels]] = {}

    def get(self, namespace: str, checkpoint_id: str | None) -> Operation[Entry | None]:
        """Read a checkpoint with its state; the newest of the namespace if *checkpoint_id* is None.

        Raises:
            CorruptCheckpointError: Its stored bytes are missing or damaged.
        """
        request = GetCheckpoint(self._thread, namespace, checkpoint_id, refresh=False, known=())
        return (yield from self._first(request, partial(self._with_state, namespace)))

    def get_before(self, namespace: str, checkpoint_id: str) -> Operation[Entry | None]:
        """Read, with its state, the checkpoint that was stored before another one of its namespace."""
        request = ListCheckpoints(self._thread, namespace, checkpoint_id, None, 1, refresh=False, known=())
        return (yield from self._first(request, partial(self._with_state, namespace)))

    def read_newest(
        self,
        namespace: str,
        limit: int | None,
        oldest: str = "",
        progress: Callable[[int], None] = lambda _: None,
        page: int = PAGE,
    ) -> Operation[list[Entry]]:
        """Read the newest checkpoints of a namespace, and what changed in each. Their states are not kept.

        Args:
            namespace: The namespace.
            limit: How many at the most, None for all.
            oldest: The lowest order to return.
            progress: Called with the number of checkpoints that each request read.
            page: How many one request reads.
        """
        found: list[Entry] = []
        self._waiting = {}
        # One more than is returned: the last is compared with it.
        wanted = None if limit is None else limit + 1
        before = None
        while wanted is None or len(found) < wanted:
            size = page if wanted is None else min(page, wanted - len(found))
            read = yield from self._read_page(namespace, before, size)
            found += read
            progress(len(read))
            if len(read) < size or read[-1].order < oldest:
                break
            before = read[-1].order
        listed = [each for each in found[:limit] if each.order >= oldest]
        for place, entry in enumerate(listed):
            if entry.compared_with is None:
                yield from self._compare(entry, found[place + 1].checkpoint_id if place + 1 < len(found) else None)
        return listed

    def _read(self, request: Read, take: Callable[[ReadCheckpoint], R]) -> Operation[list[R]]:
        return (yield from self._states.read(Address(self._thread, request.namespace, None, None), request, take))

    def _first(self, request: Read, take: Callable[[ReadCheckpoint], R]) -> Operation[R | None]:
        found = yield from self._read(request, take)
        return found[0] if found else None

    def _read_page(self, namespace: str, before: str | None, size: int) -> Operation[list[Entry]]:
        request = ListCheckpoints(self._thread, namespace, None, before, size, refresh=False, known=())
        take = partial(self._take, namespace)
        try:
            return (yield from self._read(request, take))
        except CheckpointError:
            pass
        # A state is damaged: only the changes of that checkpoint stay unknown.
        found: list[Entry] = []
        request.known = ()
        for stored in (yield from request).checkpoints:
            one = GetCheckpoint(self._thread, namespace, stored.checkpoint_id, refresh=False, known=())
            try:
                found += yield from self._read(one, take)
            except CheckpointError:
                cipher = self._settings.cipher(self._thread)
                of = (self._thread, namespace, stored.checkpoint_id)
                found.append(take((stored, unpack_checkpoint(of, stored.record, cipher), None)))
        return found

    def _take(self, namespace: str, read: tuple[StoredCheckpoint, CheckpointRecord, Cut | None]) -> Entry:
        """Make an entry, and compare with it the newer ones that wait for it."""
        stored, record, state = read
        fields, channels = _split(state)
        entry = self._entry(namespace, stored, record, fields)
        for waiting, its_channels in list(self._waiting.values()):
            if waiting.parent in {None, entry.checkpoint_id}:
                del self._waiting[waiting.checkpoint_id]
                waiting.parent_namespace = waiting.parent and namespace
                waiting.compared_with = entry.checkpoint_id
                waiting.changes = None if channels is None else compare_channels(channels, its_channels)
        if channels is not None:
            self._waiting[entry.checkpoint_id] = entry, channels
            if len(self._waiting) > _WAITING:
                del self._waiting[next(iter(self._waiting))]
        return entry

    def _with_state(self, namespace: str, read: ReadCheckpoint) -> Entry:
        stored, record, state = read
        entry = self._entry(namespace, stored, record, _split(state)[0])
        of = (self._thread, namespace, stored.checkpoint_id)
        values = unpack_map(self._settings.serializer, state.packed, "the state of", of).get("channel_values")
        entry.channels = values if isinstance(values, Mapping) else {}
        return entry

    def _entry(
        self, namespace: str, stored: StoredCheckpoint, record: CheckpointRecord, fields: dict[str, bytes]
    ) -> Entry:
        serializer = self._settings.serializer
        of = (self._thread, namespace, stored.checkpoint_id)
        metadata = unpack_map(serializer, record.metadata, "the metadata of", of)
        step, following = (
            unpack_named(serializer, fields[name], "the state of", of) if name in fields else None
            for name in ("_step", "_next_nodes")
        )
        if not isinstance(step, int):
            step = metadata.get("step")
        header = read_header(name_of(*of), stored.record or b"")
        return Entry(
            namespace,
            stored.checkpoint_id,
            record.parent,
            record.order,
            moment(int(record.order, 16)),
            metadata,
            step if isinstance(step, int) else None,
            [each if isinstance(each, str) else quoted(each) for each in following]
            if isinstance(following, list | tuple)
            else [],
            len(stored.record or b"") + header.appended + sum(len(write.record or b"") for write in stored.writes),
            [
                (task, channel, unpack_named(serializer, packed, "a pending write of", of))
                for task, channel, packed in decode_writes(of, stored.writes, self._settings.cipher(self._thread))
            ],
        )

    def _compare(self, entry: Entry, before: str | None) -> Operation[None]:
        """Compare an entry whose parent is not in the list: *before* was stored before it."""
        namespace = entry.namespace
        _, channels = self._waiting.get(entry.checkpoint_id, (entry, None))
        base: Channels | None = None
        if entry.parent is not None:
            base = yield from self._read_channels(namespace, entry.parent)
            entry.parent_namespace = (
                namespace if base is not None else (yield from find_namespace(self._thread, entry.parent))
            )
        entry.compared_with = before if entry.starts else entry.parent
        if entry.starts:
            base = {} if before is None else (yield from self._read_channels(namespace, before))
        if base is not None and channels is None:
            channels = yield from self._read_channels(namespace, entry.checkpoint_id)
        if base is not None and channels is not None:
            entry.changes = compare_channels(base, channels)

    def _read_channels(self, namespace: str, checkpoint_id: str) -> Operation[Channels | None]:
        request = GetCheckpoint(self._thread, namespace, checkpoint_id, refresh=False, known=())
        try:
            return (yield from self._first(request, lambda read: _split(read[2])[1]))
        except CheckpointError:
            return None


def _split(state: Cut | None) -> tuple[dict[str, bytes], Channels | None]:
    """Split a state into its packed fields, and its channels; None if another serializer than msgpack's packed them."""
    fields: dict[str, bytes] = {}
    try:
        if state is not None:
            fields = split_map(state.packed)
            return fields, split_map(fields["channel_values"]) if "channel_values" in fields else {}
    except (*UNREADABLE, msgpack.UnpackException):
        pass
    return fields, None
