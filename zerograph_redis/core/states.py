"""States in and out: what a put sends of a state, and the state that a stored checkpoint names."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from zerograph_redis.display import about, quoted
from zerograph_redis.errors import CheckpointError, CorruptCheckpointError, SerializationError
from zerograph_redis.ids import random_name
from zerograph_redis.pieces import (
    BaseCheckpoint,
    BasePart,
    Cut,
    Draft,
    KnownLogs,
    Logs,
    Part,
    Segment,
    ThreadLogs,
    cut,
    cut_plain,
    draft,
    read_parts,
)
from zerograph_redis.pieces.base import SEGMENT_SIZE
from zerograph_redis.pieces.coding import Cipher
from zerograph_redis.pieces.segments import placed_at
from zerograph_redis.serde import MsgpackSerializer, Serializer
from zerograph_redis.serde.packing import NotPlainError
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
from .settings import Address, Settings

__all__ = ("PreparedPut", "ReadCheckpoint", "States", "base_of", "cut_state", "read_state", "request_of")

_log = logging.getLogger(__name__)

KNOWN_BYTES = 64 * 1024 * 1024  # what a saver remembers of the logs of its threads

ReadCheckpoint = tuple[StoredCheckpoint, CheckpointRecord, bytes]
"""A checkpoint as stored, its record, and its packed state."""

Read = TypeVar("Read", GetCheckpoint, ListCheckpoints)


class PreparedPut(NamedTuple):
    """A checkpoint, packed: what is left is to store it."""

    address: Address
    checkpoint_id: str
    state: Cut
    metadata: bytes
    fence: Fence

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return len(self.state.packed) + len(self.metadata)


class States:
    """Knows the logs of the threads that were in hand lately."""

    def __init__(self, settings: Settings) -> None:
        """Know nothing yet."""
        self._settings = settings
        self.known = KnownLogs(KNOWN_BYTES)
        """What puts are compared with, and reads need not fetch."""

    def prepare(self, address: Address, checkpoint_id: str, state: Mapping[str, Any], metadata: bytes) -> PreparedPut:
        """Pack a state; what is left is to store it."""
        base = self.known.of(address.thread).base(address.namespace)
        packed = cut_state(state, self._settings.serializer, base)
        if len(packed.packed) > self._settings.max_state_bytes:
            raise SerializationError(
                f"checkpoint {checkpoint_id!r} of thread {address.thread!r} has a state of {len(packed.packed):,} bytes, "
                f"more than max_state_bytes={self._settings.max_state_bytes:,} lets anybody read"
            )
        held = fence(address.thread, address.token, self._settings)
        return PreparedPut(address, checkpoint_id, packed, metadata, held)

    def put(self, prepared: PreparedPut) -> Operation[None]:
        """Store a checkpoint: what changed since the one that is known, or, if the store asks for it, the whole."""
        address, checkpoint_id, state, _, _ = prepared
        thread, namespace = address.thread, address.namespace
        coding = self._settings.coding(thread)
        cipher = coding.cipher
        digest = digest_of(state.packed, cipher)
        logs = self.known.of(thread)
        base = logs.base(namespace)
        parent = base if cipher is not None and base and base.checkpoint_id == address.checkpoint_id else None
        while True:
            drafted, attempt = draft(state, base, coding), random_name()
            link = None if cipher is None else new_link(parent.order, parent.mark) if parent else new_link()
            placed: Placed | None = yield request_of(
                prepared,
                self._settings,
                attempt,
                digest,
                drafted,
                cipher,
                link,
                (parent.checkpoint_id, parent.order) if parent else None,
            )
            if placed is not None:
                break
            # Sent whole it may still follow its parent. If it does not, it is sent a third time.
            base, parent = None, None if base is None else parent
            _log.info(
                "checkpoint %s is sent again whole: the store lost what it was built on, or begins a new log",
                quoted(checkpoint_id),
                extra=about(thread),
            )
        if drafted.appended:
            logs.add(placed.generation, placed.base, drafted.appended)
        logs.note(namespace, base_of(checkpoint_id, attempt, digest, state, drafted, placed, _mark_of(link)))
        self.known.weigh(thread)

    def read(self, address: Address, request: Read) -> Operation[list[ReadCheckpoint]]:
        """Read checkpoints, and of the log what is not known yet."""
        logs = self.known.of(address.thread)
        request.known = logs.spans()
        fetched: Fetched = yield request
        try:
            return self._read(address, fetched, logs)
        except CheckpointError:
            if not request.known:
                raise
        # What was known may be of a history that the store has left, or another OS thread dropped it.
        _log.info("what was known of the log does not fit, all of it is read", extra=about(address.thread))
        logs, request.known = ThreadLogs(), ()
        found = self._read(address, (yield from request), logs)
        self.known.replace(address.thread, logs)
        return found

    def _read(self, address: Address, fetched: Fetched, logs: ThreadLogs) -> list[ReadCheckpoint]:
        cipher = self._settings.coding(address.thread).cipher
        for each in fetched.ranges:
            logs.add(each.generation, each.start, each.data)
        base = logs.base(address.namespace)
        found: list[ReadCheckpoint] = []
        for stored in fetched.checkpoints:
            record = unpack_checkpoint(address.thread, address.namespace, stored.checkpoint_id, stored.record, cipher)
            if stored.order is not None and stored.order != record.order:
                raise CorruptCheckpointError(
                    f"checkpoint {stored.checkpoint_id!r} of thread {address.thread!r}, namespace {address.namespace!r} "
                    f"cannot be read: its order is not that of its index, so its bytes were changed."
                )
            if base is not None and (base.digest, base.proof, base.order) == (
                record.digest,
                record.proof,
                record.order,
            ):
                # This very put is known, and its state is the one that the record names.
                found.append((stored, record, base.packed))
                continue
            state = read_state(address, stored.checkpoint_id, record, logs, self._settings)
            found.append((stored, record, state.packed))
            if len(fetched.checkpoints) == 1:
                read = _base(
                    stored.checkpoint_id,
                    (record.order, record.generation, record.proof),
                    record.digest,
                    state,
                    [segments for _, segments in record.parts],
                    record.base,
                    _mark_of(record.link),
                )
                logs.note(address.namespace, read)
        self.known.weigh(address.thread)
        return found


def request_of(
    prepared: PreparedPut,
    settings: Settings,
    attempt: str,
    digest: bytes,
    drafted: Draft,
    cipher: Cipher | None = None,
    link: Link | None = None,
    follows: tuple[str, str] | None = None,
) -> PutCheckpoint:
    """Ask the store for what was drafted of a checkpoint."""
    address, checkpoint_id, state, metadata, held = prepared
    record = pack_checkpoint(
        (address.namespace, checkpoint_id),
        (address.checkpoint_id, metadata, digest),
        state.literals(),
        [(part.place, found) for part, found in zip(state.parts, drafted.segments, strict=True)],
        cipher,
        link,
    )
    return PutCheckpoint(
        address.thread,
        address.namespace,
        checkpoint_id,
        attempt,
        version_of(cipher),
        record,
        drafted.appended,
        drafted.needed,
        drafted.base,
        address.ttl,
        settings.keep_last,
        settings.max_age,
        held,
        address.expected,
        follows,
    )


def _mark_of(link: Link | None) -> bytes:
    """What a child may call its parent by."""
    return link.mark if link is not None and link.follows else b""


def cut_state(state: Mapping[str, Any], serializer: Serializer, base: BaseCheckpoint | None) -> Cut:
    """Pack a state and cut it; SerializationError if it cannot be stored.

    What is known of *base* saves looking at all of it.
    """
    if type(serializer) is MsgpackSerializer:
        try:
            return cut_plain(state, base)
        except NotPlainError:
            pass
    try:
        with PATTERNS.hold():
            return cut(state, serializer.pack)
    except SerializationError:
        # Packed as a whole it fails again, with a message that says where in the state.
        serializer.pack(state)
        raise


def base_of(
    checkpoint_id: str, attempt: str, digest: bytes, state: Cut, drafted: Draft, placed: Placed, mark: bytes = b""
) -> BaseCheckpoint:
    """What to compare the next state with, once this one is stored."""
    proof = proof_of(placed.base, len(drafted.appended), attempt)
    return _base(
        checkpoint_id, (placed.order, placed.generation, proof), digest, state, drafted.segments, placed.base, mark
    )


def _base(
    checkpoint_id: str,
    header: tuple[str, str, str],
    digest: bytes,
    state: Cut,
    found: Sequence[Sequence[Segment]],
    begin: int,
    mark: bytes,
) -> BaseCheckpoint:
    order, generation, proof = header
    parts = {}
    size = len(state.packed)
    for (place, start, stop, _, bytes_free), segments in zip(state.parts, found, strict=True):
        known = placed_at(begin, segments)
        parts[place] = BasePart(start, stop, bytes_free, known)
        size += SEGMENT_SIZE * len(known)
    return BaseCheckpoint(checkpoint_id, generation, proof, digest, state.packed, parts, size, order, mark)


def read_state(address: Address, checkpoint_id: str, record: CheckpointRecord, logs: Logs, settings: Settings) -> Cut:
    """Put a state together; CorruptCheckpointError if it is not what was stored."""
    coding = settings.coding(address.thread)
    try:
        parts, left = record.placed(), settings.max_state_bytes - sum(map(len, record.literals))
        contents = read_parts([segments for _, segments in parts], logs, record.generation, coding, left)
        if contents is None:
            raise lost(_state_of(address, checkpoint_id))
    except CorruptCheckpointError:
        raise
    except CheckpointError as error:
        raise type(error)(f"{_state_of(address, checkpoint_id)} cannot be read: {error}") from error
    except ValueError as error:
        raise CorruptCheckpointError(f"{_state_of(address, checkpoint_id)} cannot be read: {error}") from error
    state = _assembled(record, contents)
    if digest_of(state.packed, coding.cipher) != record.digest:
        raise CorruptCheckpointError(
            f"{_state_of(address, checkpoint_id)} cannot be read: its checksum does not match, so its bytes were changed."
        )
    return state


def _assembled(record: CheckpointRecord, contents: Sequence[bytes]) -> Cut:
    pieces = [record.literals[0]]
    parts = []
    position = len(record.literals[0])
    for (place, _), content, literal in zip(record.parts, contents, record.literals[1:], strict=True):
        parts.append(Part(place, position, position + len(content), grown=False, bytes_free=False))
        pieces += (content, literal)
        position += len(content) + len(literal)
    return Cut(b"".join(pieces), parts)


def _state_of(address: Address, checkpoint_id: str) -> str:
    return f"the state of checkpoint {checkpoint_id!r} of thread {address.thread!r}, namespace {address.namespace!r}"
