"""What a thread holds, as digests: two threads with the same are the same, wherever and however each is stored."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from zerograph_redis.core.records import is_encrypted, missing, read_segments, unpack_checkpoint
from zerograph_redis.core.requests import StoredCheckpoint
from zerograph_redis.core.settings import Address, Settings
from zerograph_redis.core.states import read_state
from zerograph_redis.core.writes import decode_writes
from zerograph_redis.serde.packing import msgpack

from .image import Image

Key = tuple[str, ...]
"""Namespace and id of a checkpoint; and, of a pending write, who wrote what."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Every checkpoint and every pending write of a thread, each by a digest of all that it says."""

    thread: str
    entries: dict[Key, bytes]

    @property
    def checkpoints(self) -> int:
        """How many checkpoints there are."""
        return sum(len(key) == 2 for key in self.entries)

    @property
    def writes(self) -> int:
        """How many pending writes there are."""
        return len(self.entries) - self.checkpoints

    @property
    def digest(self) -> str:
        """One digest of all of it, and of the thread's id."""
        found = blake2b(_pack(self.thread), digest_size=16)
        for key in sorted(self.entries):
            found.update(_pack((key, self.entries[key])))
        return found.hexdigest()

    def within(self, other: Contents) -> Contents:
        """That part of it which *other* has too, be it the same or not."""
        return Contents(self.thread, {key: self.entries[key] for key in other.entries if key in self.entries})


def survey(image: Image, settings: Settings) -> Contents:
    """Read every checkpoint and every write of a thread, and check it against its own checksums.

    The digest of a checkpoint is over its order, parent, metadata and packed state. What is encrypted, if *settings*
    have no keys, is taken as it is stored.

    Raises:
        CorruptCheckpointError: Something is missing or damaged.
        SerializationError: Something is encrypted with another key.
    """
    entries: dict[Key, bytes] = {}
    for namespace, row in image.rows("checkpoints"):
        entries[namespace, row.checkpoint_id] = _checkpoint(image, namespace, row, settings)
    for namespace, row in image.rows("writes"):
        values = _writes(image, namespace, row, settings)
        for number, (write, value) in enumerate(zip(row.writes, values, strict=True)):
            entries[namespace, row.checkpoint_id, write.identity] = _digest((number, value))
    return Contents(image.thread, entries)


def _writes(image: Image, namespace: str, row: StoredCheckpoint, settings: Settings) -> list[bytes]:
    cipher = settings.cipher(image.thread)
    records = [write.record for write in row.writes if write.record is not None]
    if cipher is None and len(records) == len(row.writes) and any(map(is_encrypted, records)):
        return records
    return [packed for *_, packed in decode_writes(image.thread, namespace, row.checkpoint_id, row.writes, cipher)]


def _checkpoint(image: Image, namespace: str, row: StoredCheckpoint, settings: Settings) -> bytes:
    cipher = settings.cipher(image.thread)
    if cipher is None and row.record is not None and is_encrypted(row.record):
        return _sealed(image, namespace, row.checkpoint_id, row.record)
    record = unpack_checkpoint(image.thread, namespace, row.checkpoint_id, row.record, cipher)
    address = Address(image.thread, namespace, None, None)
    state = blake2b(read_state(address, row.checkpoint_id, record, image, settings).packed, digest_size=16)
    return _digest((record.order, record.parent, record.metadata, state.digest()))


def _sealed(image: Image, namespace: str, checkpoint_id: str, record: bytes) -> bytes:
    name = image.name_of((namespace, checkpoint_id))
    header, segments, behind = read_segments(name, record)
    state = blake2b(digest_size=16)
    for segment in segments:
        piece = image.read(header.generation, segment.offset, segment.stored or segment.length)
        if piece is None:
            raise missing(f"the state of {name}")
        state.update(piece)
    return _digest((header.order, behind, state.digest()))


def _digest(content: Any) -> bytes:
    return blake2b(_pack(content), digest_size=16).digest()


def _pack(content: Any) -> bytes:
    packed: bytes = msgpack.packb(content, unicode_errors="surrogatepass")
    return packed
