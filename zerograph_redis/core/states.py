"""States in and out: what a put sends of a state, and the state that a stored checkpoint names."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from zerograph_redis.errors import CheckpointError, CorruptCheckpointError, SerializationError
from zerograph_redis.pieces import Cut, Draft, KnownLogs, Latest, Logs, ThreadLogs, assemble, cut, draft
from zerograph_redis.pieces.segments import Segment, joined
from zerograph_redis.serde import Serializer

from .leasing import fence
from .records import CheckpointRecord, digest_of, lost, pack_checkpoint, spell_appended, unpack_checkpoint, version_of
from .requests import Fetched, GetCheckpoint, ListCheckpoints, Operation, Placed, PutCheckpoint, StoredCheckpoint
from .settings import Address, Settings

__all__ = ("ReadCheckpoint", "States", "cut_state", "latest_of", "read_state", "whole")

_log = logging.getLogger(__name__)

KNOWN_BYTES = 64 * 1024 * 1024  # what a saver remembers of the logs of its threads

ReadCheckpoint = tuple[StoredCheckpoint, CheckpointRecord, bytes]
"""A checkpoint as stored, its record, and its packed state."""

Read = TypeVar("Read", GetCheckpoint, ListCheckpoints)


class States:
    """Knows the logs of the threads that were in hand lately."""

    def __init__(self, settings: Settings) -> None:
        """Know nothing yet."""
        self._settings = settings
        self._known = KnownLogs(KNOWN_BYTES)

    def put(self, address: Address, checkpoint_id: str, state: Mapping[str, Any], metadata: bytes) -> Operation[None]:
        """Store a checkpoint: what changed since the one that is known, or, if the store asks for it, the whole."""
        pieces = cut_state(state, self._settings.serializer)
        cipher, coding = self._settings.cipher(address.thread), self._settings.coding(address.thread)
        digest = digest_of(whole(pieces), cipher)
        logs = self._known.of(address.thread)
        latest = logs.latest(address.namespace)
        placed = None
        while placed is None:
            drafted = draft(pieces, logs, latest, coding)
            record = CheckpointRecord(address.checkpoint_id, metadata, pieces.literals, drafted.parts, digest)
            placed = yield from PutCheckpoint(
                address.thread,
                address.namespace,
                checkpoint_id,
                version_of(cipher),
                pack_checkpoint(address.namespace, checkpoint_id, record, cipher),
                drafted.appended,
                sum(segment.stored or segment.length for segment in drafted.segments),
                drafted.basis,
                address.ttl,
                self._settings.keep_last,
                self._settings.max_age,
                fence(address.thread, address.token, self._settings),
                address.expected,
            )
            latest = None
            if placed is None:
                _log.info(
                    "checkpoint %r is sent again whole: the store lost what it was built on, or begins a new log",
                    checkpoint_id,
                    extra={"thread_id": address.thread},
                )
        self._note(address, checkpoint_id, logs, drafted, placed)

    def read(self, address: Address, request: Read) -> Operation[list[ReadCheckpoint]]:
        """Read checkpoints, and of the log what is not known yet."""
        logs = self._known.of(address.thread)
        request.known = logs.spans()
        fetched = yield from request
        try:
            return self._read(address, fetched, logs)
        except CorruptCheckpointError:
            if not request.known:
                raise
        # What was known may be of a log that the server lost in a failover, or another OS thread let go of it.
        _log.info("what was known of the log does not fit and is read anew", extra={"thread_id": address.thread})
        self._known.forget(address.thread)
        logs = self._known.of(address.thread)
        request.known = ()
        return self._read(address, (yield from request), logs)

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
            parts = record.placed()
            pieces = read_state(address, stored.checkpoint_id, record, parts, logs, self._settings)
            found.append((stored, record, b"".join(pieces)))
            if len(fetched.checkpoints) == 1:
                latest = Latest(stored.checkpoint_id, record.order, record.generation, record.appended, dict(parts), {})
                logs.note(address.namespace, latest)
        self._known.weigh(address.thread)
        return found

    def _note(self, address: Address, checkpoint_id: str, logs: ThreadLogs, drafted: Draft, placed: Placed) -> None:
        if drafted.appended:
            logs.add(placed.generation, placed.base, drafted.appended)
        logs.note(address.namespace, latest_of(checkpoint_id, drafted, placed))
        self._known.weigh(address.thread)


def cut_state(state: Mapping[str, Any], serializer: Serializer) -> Cut:
    """Pack a state and cut it; SerializationError if it cannot be stored."""
    try:
        return cut(state, serializer.pack)
    except SerializationError:
        # Packed as a whole it fails again, with a message that says where in the state.
        serializer.pack(state)
        raise


def latest_of(checkpoint_id: str, drafted: Draft, placed: Placed) -> Latest:
    """What to compare the next state with, once this one is stored."""
    appended = spell_appended(placed.base, len(drafted.appended))
    parts = {place: joined([segment.placed(placed.base) for segment in segments]) for place, segments in drafted.parts}
    return Latest(checkpoint_id, placed.order, placed.generation, appended, parts, drafted.prints)


def read_state(
    address: Address,
    checkpoint_id: str,
    record: CheckpointRecord,
    parts: Sequence[tuple[int, Sequence[Segment]]],
    logs: Logs,
    settings: Settings,
) -> list[bytes]:
    """Put a state together, in pieces; CorruptCheckpointError if they are not what was stored."""
    name = f"the state of checkpoint {checkpoint_id!r} of thread {address.thread!r}, namespace {address.namespace!r}"
    coding = settings.coding(address.thread)
    try:
        pieces = assemble(record.literals, [segments for _, segments in parts], logs, record.generation, coding)
    except CheckpointError as error:
        raise type(error)(f"{name} cannot be read: {error}") from error
    except ValueError as error:
        raise CorruptCheckpointError(f"{name} cannot be read: {error}") from error
    if pieces is None:
        raise lost(name)
    if digest_of(pieces, settings.cipher(address.thread)) != record.digest:
        raise CorruptCheckpointError(f"{name} cannot be read: its checksum does not match, so its bytes were changed.")
    return pieces


def whole(pieces: Cut) -> list[bytes | memoryview]:
    """The bytes of a packed state, in pieces."""
    found: list[bytes | memoryview] = [pieces.literals[0]]
    for part, literal in zip(pieces.parts, pieces.literals[1:], strict=True):
        found += (part.payload, literal)
    return found
