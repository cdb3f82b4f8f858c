"""Writing and reading states: what a put sends of a state, and the state of a stored checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from zerograph_redis.display import about, quoted
from zerograph_redis.errors import CheckpointError, CorruptCheckpointError, SerializationError
from zerograph_redis.ids import random_name
from zerograph_redis.serde import MsgpackSerializer, Serializer
from zerograph_redis.serde.packing import NotPlainError
from zerograph_redis.serde.stdlib import PATTERNS
from zerograph_redis.state_log.codec import Cipher
from zerograph_redis.state_log.cut import Cut, Part, cut, cut_plain
from zerograph_redis.state_log.draft import draft, read_parts
from zerograph_redis.state_log.log import BaseCheckpoint, Content, KnownLogs, Logs, ThreadLogs
from zerograph_redis.state_log.segments import Segments

from .configs import Address
from .leasing import fence
from .records import (
    HEADER_SIZE,
    CheckpointKey,
    CheckpointRecord,
    Link,
    changed,
    digest_of,
    is_record,
    missing,
    name_of,
    new_link,
    pack_checkpoint,
    proof_of,
    unpack_checkpoint,
    version_of,
)
from .requests import (
    Fence,
    Fetched,
    GetCheckpoint,
    ListCheckpoints,
    Operation,
    Placed,
    PutCheckpoint,
    StoredCheckpoint,
)
from .settings import Settings

_log = logging.getLogger(__name__)

KNOWN_BYTES = 64 * 1024 * 1024  # of logs that a saver remembers

ReadCheckpoint = tuple[StoredCheckpoint, CheckpointRecord, Cut]
"""A checkpoint as stored, its record, and its state."""

Read = TypeVar("Read", GetCheckpoint, ListCheckpoints)
R = TypeVar("R")


class PreparedPut(NamedTuple):
    """A checkpoint that is packed, and not stored yet."""

    address: Address
    checkpoint_id: str
    state: Cut
    metadata: bytes
    fence: Fence

    @property
    def size(self) -> int:
        """How many bytes it takes in memory."""
        return len(self.state.packed) + len(self.metadata)


class States:
    """Stores and reads states. Remembers the logs and base checkpoints of recently used threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.known = KnownLogs(KNOWN_BYTES)
        """The base checkpoints that puts are compared with, and the bytes that reads need not fetch."""

    def prepare(self, address: Address, checkpoint_id: str, state: dict[str, Any], metadata: bytes) -> PreparedPut:
        """Pack a state."""
        base = self.known.of(address.thread).base(address.namespace)
        packed = cut_state(state, self._settings.serializer, base)
        if len(packed.packed) > self._settings.max_state_bytes:
            raise SerializationError(
                f"{name_of(*address.key(checkpoint_id))} has a state of {len(packed.packed):,} bytes, "
                f"more than max_state_bytes={self._settings.max_state_bytes:,} allows to read"
            )
        held = fence(address.thread, address.token, self._settings)
        return PreparedPut(address, checkpoint_id, packed, metadata, held)

    def put(self, prepared: PreparedPut) -> Operation[None]:
        """Store a checkpoint: what changed since the known one, or, if the store asks for it, the whole state."""
        address, checkpoint_id, _, _, _ = prepared
        thread, namespace = address.thread, address.namespace
        logs = self.known.of(thread)
        base = logs.base(namespace)
        parent = base
        if self._settings.encryption is None or base is None or base.checkpoint_id != address.checkpoint_id:
            parent = None
        while True:
            put = draft_put(prepared, base, self._settings, parent)
            placed: Placed | None = yield put.request
            if placed is not None:
                break
            # The parent may be refused too: then the checkpoint is sent a third time.
            base, parent = None, None if base is None else parent
            _log.info(
                "checkpoint %s is sent again with its whole state: the store lacks its base checkpoint, or begins a new log",
                quoted(checkpoint_id),
                extra=about(thread),
            )
        logs.note(namespace, put.base_at(placed))
        self.known.weigh(thread)

    def read(self, address: Address, request: Read, take: Callable[[ReadCheckpoint], R]) -> Operation[list[R]]:
        """Read checkpoints, and the bytes of the log that are not known yet. Returns what *take* makes of each.

        Only one state is in memory at a time. All of them may be read, and taken, a second time.
        """
        logs = self.known.of(address.thread)
        base = logs.base(address.namespace)
        request.known = logs.spans(address.namespace)
        if isinstance(request, GetCheckpoint):
            request.base = base
        fetched: Fetched = yield request
        try:
            return self._read(address, fetched, logs, base, take)
        except CheckpointError:
            if not request.known and base is None:
                raise
        # The store may have returned to an earlier moment, or another OS thread dropped the known bytes.
        _log.info(
            "the known bytes of the log do not match the checkpoint: the log is read again", extra=about(address.thread)
        )
        logs, request.known = ThreadLogs(), ()
        if isinstance(request, GetCheckpoint):
            request.base = None
        found = self._read(address, (yield from request), logs, None, take)
        self.known.replace(address.thread, logs)
        return found

    def _read(
        self,
        address: Address,
        fetched: Fetched,
        logs: ThreadLogs,
        base: BaseCheckpoint | None,
        take: Callable[[ReadCheckpoint], R],
    ) -> list[R]:
        codec = self._settings.codec(address.thread)
        if base is not None:
            if len(fetched.checkpoints) == 1 and _is_base(fetched.checkpoints[0], base, codec.cipher):
                # Its checksums were verified when it was read, or this worker built it.
                return [take((fetched.checkpoints[0], _record_of(base), base.state))]
            for start, data in base.ranges():
                logs.add(base.generation, start, data)
        for each in fetched.ranges:
            logs.add(each.generation, each.start, each.data)
        found: list[R] = []
        for stored in fetched.checkpoints:
            key = address.key(stored.checkpoint_id)
            record = unpack_checkpoint(key, stored.record, codec.cipher)
            if stored.order is not None and stored.order != record.order:
                raise CorruptCheckpointError(
                    f"{name_of(*key)} cannot be read: its order is not that of its index, so its bytes were changed."
                )
            state = read_state(key, record, logs, self._settings)
            if len(fetched.checkpoints) == 1:
                logs.note(address.namespace, _base_of_read(stored, record, state))
            found.append(take((stored, record, state)))
        logs.trim()
        self.known.weigh(address.thread)
        return found


class DraftedPut(NamedTuple):
    """A put as it is sent, and what becomes the base checkpoint of the next one."""

    prepared: PreparedPut
    request: PutCheckpoint
    digest: bytes
    segments: Sequence[Segments]
    """The segments of each part of the state."""
    mark: bytes
    """The mark by which a child may name the checkpoint."""

    def base_at(self, placed: Placed) -> BaseCheckpoint:
        """Return the base checkpoint of the next state, if this one is stored there."""
        address, checkpoint_id, state, metadata, _ = self.prepared
        order, generation, start = placed
        request = self.request
        return BaseCheckpoint(
            checkpoint_id,
            order,
            generation,
            proof_of(start, len(request.appended), request.attempt),
            self.digest,
            state,
            [segments.placed_at(start) for segments in self.segments],
            request.record,
            address.checkpoint_id,
            metadata,
            self.mark,
        )


def draft_put(
    prepared: PreparedPut,
    base: BaseCheckpoint | None,
    settings: Settings,
    parent: BaseCheckpoint | None = None,
    counted: Callable[[Segments], Segments] | None = None,
) -> DraftedPut:
    """Compare a state with *base*, and build the request that stores it.

    Args:
        prepared: The checkpoint.
        base: The base checkpoint of its namespace, if it is known.
        settings: Those of the saver.
        parent: The parent of an encrypted checkpoint, to be named by its order, if that is known.
        counted: How to count the segments if *base* is not stored yet; then the request does not name it.
    """
    address, checkpoint_id, state, metadata, held = prepared
    thread, namespace, parent_id, ttl, _, expected = address
    codec = settings.codec(thread)
    cipher = codec.cipher
    digest = digest_of(state.packed, cipher)
    segments, appended, needed, base = draft(state, base, codec)
    if counted is not None:
        segments, base = [*map(counted, segments)], None
    link = None if cipher is None else new_link(parent.order, parent.mark) if parent else new_link()
    record = pack_checkpoint(
        (namespace, checkpoint_id),
        (parent_id, metadata, digest),
        state.literals(),
        [part[0] for part in state.parts],
        segments,
        cipher,
        link,
    )
    request = PutCheckpoint(
        thread,
        namespace,
        checkpoint_id,
        random_name(),
        version_of(cipher),
        record,
        appended,
        needed,
        base,
        ttl,
        settings.keep_last,
        settings.max_age,
        held,
        expected,
        (parent.checkpoint_id, parent.order) if parent else None,
    )
    return DraftedPut(prepared, request, digest, segments, _mark_of(link))


def _base_of_read(stored: StoredCheckpoint, record: CheckpointRecord, state: Cut) -> BaseCheckpoint:
    return BaseCheckpoint(
        stored.checkpoint_id,
        record.order,
        record.generation,
        record.proof,
        record.digest,
        state,
        [Segments.of(segments) for _, segments in record.placed()],
        (stored.record or b"")[HEADER_SIZE:],
        record.parent,
        record.metadata,
        _mark_of(record.link),
    )


def _is_base(stored: StoredCheckpoint, base: BaseCheckpoint, cipher: Cipher | None) -> bool:
    """Tell whether a stored checkpoint is the base checkpoint, byte for byte."""
    return (
        stored.record is not None
        and stored.checkpoint_id == base.checkpoint_id
        and stored.order in {None, base.order}
        and is_record(stored.record, (base.order, base.generation, base.proof), base.content, cipher)
    )


def _record_of(base: BaseCheckpoint) -> CheckpointRecord:
    return CheckpointRecord(base.parent, base.metadata, [], (), base.digest, base.order, base.generation, base.proof)


def _mark_of(link: Link | None) -> bytes:
    """Return the mark by which a child may name its parent."""
    return link.mark if link is not None and link.follows else b""


def cut_state(state: dict[str, Any], serializer: Serializer, base: BaseCheckpoint | None) -> Cut:
    """Pack a state and cut it; SerializationError if it cannot be stored."""
    if type(serializer) is MsgpackSerializer:
        try:
            return cut_plain(state, None if base is None else base.state)
        except NotPlainError:
            pass
    try:
        with PATTERNS.hold():
            return cut(state, serializer.pack)
    except SerializationError:
        # Packed as a whole it fails again, and the message has the path in the state.
        serializer.pack(state)
        raise


def read_state(key: CheckpointKey, record: CheckpointRecord, logs: Logs, settings: Settings) -> Cut:
    """Build a state from its literals and parts; CorruptCheckpointError if it is not what was stored."""
    codec = settings.codec(key[0])
    try:
        parts, left = record.placed(), settings.max_state_bytes - sum(map(len, record.literals))
        contents = read_parts([segments for _, segments in parts], logs, record.generation, codec, left)
        if contents is None:
            raise missing(f"the state of {name_of(*key)}")
    except CorruptCheckpointError:
        raise
    except (CheckpointError, ValueError) as error:
        kind = type(error) if isinstance(error, CheckpointError) else CorruptCheckpointError
        raise kind(f"the state of {name_of(*key)} cannot be read: {error}") from error
    state = _assembled(record, contents)
    if digest_of(state.packed, codec.cipher) != record.digest:
        raise changed(f"the state of {name_of(*key)}")
    return state


def _assembled(record: CheckpointRecord, contents: Sequence[Content]) -> Cut:
    chunks: list[Content] = [record.literals[0]]
    parts = []
    position = len(record.literals[0])
    for (path, _), content, literal in zip(record.parts, contents, record.literals[1:], strict=True):
        parts.append(Part(path, position, position + len(content)))
        chunks += (content, literal)
        position += len(content) + len(literal)
    return Cut(b"".join(chunks), parts)
