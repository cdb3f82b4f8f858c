"""Digests of a thread: equal for equal content, wherever and however it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from zerograph_redis.core.records import is_encrypted, missing, name_of, read_segments
from zerograph_redis.core.settings import Settings
from zerograph_redis.core.verification import Verification
from zerograph_redis.serde.packing import msgpack

from .image import ThreadImage

Key = tuple[str, ...]
"""Namespace and id of a checkpoint; and, of a pending write, its identity."""


@dataclass(frozen=True, slots=True)
class ThreadDigests:
    """A digest of every checkpoint and every pending write of a thread."""

    thread: str
    entries: dict[Key, bytes]

    @property
    def checkpoints(self) -> int:
        """How many checkpoints the thread has."""
        return sum(len(key) == 2 for key in self.entries)

    @property
    def writes(self) -> int:
        """How many pending writes the thread has."""
        return len(self.entries) - self.checkpoints

    @property
    def digest(self) -> str:
        """One digest of all of them, and of the thread's id."""
        total = blake2b(_pack(self.thread), digest_size=16)
        for key in sorted(self.entries):
            total.update(_pack((key, self.entries[key])))
        return total.hexdigest()

    def within(self, other: ThreadDigests) -> ThreadDigests:
        """The entries whose keys *other* has too, with equal digests or not."""
        return ThreadDigests(self.thread, {key: self.entries[key] for key in other.entries if key in self.entries})


def digest_thread(image: ThreadImage, settings: Settings) -> ThreadDigests:
    """Verify every checkpoint and every pending write of a thread, and make its digests.

    The digest of a checkpoint is over its order, parent, metadata and packed state. Without keys in *settings*, the
    digest of encrypted content is over its stored bytes.

    Raises:
        CorruptCheckpointError: Something is missing or damaged.
        SerializationError: Something is encrypted with another key.
    """
    verification = Verification(image.thread, settings, image)
    has_keys = settings.cipher(image.thread) is not None
    entries: dict[Key, bytes] = {}
    for namespace, row in image.rows("checkpoints"):
        if row.record is not None and is_encrypted(row.record) and not has_keys:
            content = _encrypted(image, namespace, row.checkpoint_id, row.record)
        else:
            record = verification.record(namespace, row)
            state = verification.state(namespace, row.checkpoint_id, record)
            content = (record.order, record.parent, record.metadata, blake2b(state, digest_size=16).digest())
        entries[namespace, row.checkpoint_id] = _digest(content)
    for namespace, row in image.rows("writes"):
        values: list[Any] = [write.record for write in row.writes]
        if has_keys or None in values or not any(map(is_encrypted, values)):
            values = verification.writes(namespace, row)
        for number, (write, value) in enumerate(zip(row.writes, values, strict=True)):
            entries[namespace, row.checkpoint_id, write.identity] = _digest((number, value))
    return ThreadDigests(image.thread, entries)


def _encrypted(image: ThreadImage, namespace: str, checkpoint_id: str, record: bytes) -> Any:
    name = name_of(image.thread, namespace, checkpoint_id)
    header, segments, behind = read_segments(name, record)
    state = blake2b(digest_size=16)
    for segment in segments:
        data = image.read(header.generation, segment.offset, segment.stored or segment.length)
        if data is None:
            raise missing(f"the state of {name}")
        state.update(data)
    return header.order, behind, state.digest()


def _digest(content: Any) -> bytes:
    return blake2b(_pack(content), digest_size=16).digest()


def _pack(content: Any) -> bytes:
    packed: bytes = msgpack.packb(content, unicode_errors="surrogatepass")
    return packed
