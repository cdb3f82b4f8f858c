"""States in and out: what a put sends of a state, and the state that a stored checkpoint names."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from zerograph_redis.display import about, quoted
from zerograph_redis.errors import CheckpointError, CorruptCheckpointError, SerializationError
from zerograph_redis.ids import random_name
from zerograph_redis.pieces import BaseCheckpoint, Cut, Draft, KnownLogs, Logs, Part, ThreadLogs, cut, draft, read_parts
from zerograph_redis.pieces.segments import joined
from zerograph_redis.serde import Serializer
from zerograph_redis.serde.stdlib import PATTERNS

from .leasing import fence
from .records import (
    CheckpointRecord,
    Link,
    digest_of,
    lost,
    new_link,
    pack_checkpoint,
    proof_of,
    unpack_checkpoint,
    version_of,
)
from .requests import Fence, Fetched, GetCheckpoint, ListCheckpoints, Operation, Placed, PutCheckpoint, StoredCheckpoint
from .settings import Address, Settings

__all__ = ("PreparedPut", "ReadCheckpoint", "States", "base_of", "cut_state", "read_state")

_log = logging.getLogger(__name__)

KNOWN_BYTES = 64 * 1024 * 1024  # what a saver remembers of the logs of its threads

ReadCheckpoint = tuple[StoredCheckpoint, CheckpointRecord, bytes]
"""A checkpoint as stored, its record, and its packed state."""

Read = TypeVar("Read", GetCheckpoint, ListCheckpoints)


class PreparedPut(NamedTuple):
    """A checkpoint, packed: what is left is to store it."""

    address: Address
    checkpoint_id: str
    pieces: Cut
    metadata: bytes
    fence: Fence


class States:
    """Knows the logs of the threads that were in hand lately."""

    def __init__(self, settings: Settings) -> None:
        """Know nothing yet."""
        self._settings = settings
        self._known = KnownLogs(KNOWN_BYTES)

    def prepare(self, address: Address, checkpoint_id: str, state: Mapping[str, Any], metadata: bytes) -> PreparedPut:
        """Pack a state; what is left is to store it."""
        pieces = cut_state(state, self._settings.serializer)
        size = sum(map(len, pieces.whole()))
        if size > self._settings.max_state_bytes:
            raise SerializationError(
                f"checkpoint {checkpoint_id!r} of thread {address.thread!r} has a state of {size:,} bytes, more than "
                f"max_state_bytes={self._settings.max_state_bytes:,} lets anybody read"
            )
        held = fence(address.thread, address.token, self._settings)
        return PreparedPut(address, checkpoint_id, pieces, metadata, held)

    def put(self, prepared: PreparedPut) -> Operation[None]:
        """Store a checkpoint: what changed since the one that is known, or, if the store asks for it, the whole."""
        address, checkpoint_id, pieces, metadata, held = prepared
        cipher, coding = self._settings.cipher(address.thread), self._settings.coding(address.thread)
        digest = digest_of(pieces.whole(), cipher)
        logs = self._known.of(address.thread)
        base = logs.base(address.namespace)
        parent = base if cipher is not None and base and base.checkpoint_id == address.checkpoint_id else None
        while True:
            drafted, attempt = draft(pieces, base, coding), random_name()
            link = None if cipher is None else new_link(parent.order, parent.mark) if parent else new_link()
            record = CheckpointRecord(
                address.checkpoint_id, metadata, pieces.literals, drafted.segments, digest, link=link
            )
            placed = yield from PutCheckpoint(
                address.thread,
                address.namespace,
                checkpoint_id,
                attempt,
                version_of(cipher),
                pack_checkpoint(address.namespace, checkpoint_id, record, cipher),
                drafted.appended,
                drafted.needed,
                drafted.base,
                address.ttl,
                self._settings.keep_last,
                self._settings.max_age,
                held,
                address.expected,
                (parent.checkpoint_id, parent.order) if parent else None,
            )
            if placed is not None:
                break
            # Sent whole it may still follow its parent. If it does not, it is sent a third time.
            base, parent = None, None if base is None else parent
            _log.info(
                "checkpoint %s is sent again whole: the store lost what it was built on, or begins a new log",
                quoted(checkpoint_id),
                extra=about(address.thread),
            )
        if drafted.appended:
            logs.add(placed.generation, placed.base, drafted.appended)
        stored = base_of(checkpoint_id, attempt, drafted, placed)
        logs.note(address.namespace, stored._replace(order=placed.order, mark=_mark_of(link)))
        self._known.weigh(address.thread)

    def read(self, address: Address, request: Read) -> Operation[list[ReadCheckpoint]]:
        """Read checkpoints, and of the log what is not known yet."""
        logs = self._known.of(address.thread)
        request.known = logs.spans()
        fetched = yield from request
        try:
            return self._read(address, fetched, logs)
        except CheckpointError:
            if not request.known:
                raise
        # What was known may be of a history that the store has left, or another OS thread dropped it.
        _log.info("what was known of the log does not fit, all of it is read", extra=about(address.thread))
        logs, request.known = ThreadLogs(), ()
        found = self._read(address, (yield from request), logs)
        self._known.replace(address.thread, logs)
        return found

    def _read(self, address: Address, fetched: Fetched, logs: ThreadLogs) -> list[ReadCheckpoint]:
        cipher = self._settings.cipher(address.thread)
        for each in fetched.ranges:
            logs.add(each.generation, each.start, each.data)
        found: list[ReadCheckpoint] = []
        for stored in fetched.checkpoints:
            record = unpack_checkpoint(address.thread, address.namespace, stored.checkpoint_id, stored.record, cipher)
            if stored.order is not None and stored.order != record.order:
                raise CorruptCheckpointError(
                    f"checkpoint {stored.checkpoint_id!r} of thread {address.thread!r}, namespace {address.namespace!r} "
                    f"cannot be read: its order is not that of its index, so its bytes were changed."
                )
            pieces = read_state(address, stored.checkpoint_id, record, logs, self._settings)
            found.append((stored, record, b"".join(pieces.whole())))
            if len(fetched.checkpoints) == 1:
                parts = zip(pieces.parts, record.placed(), strict=True)
                content = {part.place: (part, joined(segments)) for part, (_, segments) in parts}
                base = BaseCheckpoint(
                    stored.checkpoint_id, record.generation, record.proof, content, record.order, _mark_of(record.link)
                )
                logs.note(address.namespace, base)
        self._known.weigh(address.thread)
        return found


def _mark_of(link: Link | None) -> bytes:
    """What a child may call its parent by."""
    return link.mark if link is not None and link.follows else b""


def cut_state(state: Mapping[str, Any], serializer: Serializer) -> Cut:
    """Pack a state and cut it; SerializationError if it cannot be stored."""
    try:
        with PATTERNS.hold():
            return cut(state, serializer.pack)
    except SerializationError:
        # Packed as a whole it fails again, with a message that says where in the state.
        serializer.pack(state)
        raise


def base_of(checkpoint_id: str, attempt: str, drafted: Draft, placed: Placed) -> BaseCheckpoint:
    """What to compare the next state with, once this one is stored."""
    parts = {
        part.place: (part, joined([segment.placed(placed.base) for segment in segments]))
        for part, segments in drafted.parts
    }
    proof = proof_of(placed.base, len(drafted.appended), attempt)
    return BaseCheckpoint(checkpoint_id, placed.generation, proof, parts)


def read_state(address: Address, checkpoint_id: str, record: CheckpointRecord, logs: Logs, settings: Settings) -> Cut:
    """Put a state together; CorruptCheckpointError if it is not what was stored."""
    name = f"the state of checkpoint {checkpoint_id!r} of thread {address.thread!r}, namespace {address.namespace!r}"
    coding = settings.coding(address.thread)
    pieces = Cut(record.literals, [])
    try:
        parts, left = record.placed(), settings.max_state_bytes - sum(map(len, record.literals))
        contents = read_parts([segments for _, segments in parts], logs, record.generation, coding, left)
        if contents is None:
            raise lost(name)
        pieces.parts.extend(Part(place, content) for (place, _), content in zip(parts, contents, strict=True))
    except CorruptCheckpointError:
        raise
    except CheckpointError as error:
        raise type(error)(f"{name} cannot be read: {error}") from error
    except ValueError as error:
        raise CorruptCheckpointError(f"{name} cannot be read: {error}") from error
    if digest_of(pieces.whole(), settings.cipher(address.thread)) != record.digest:
        raise CorruptCheckpointError(f"{name} cannot be read: its checksum does not match, so its bytes were changed.")
    return pieces
