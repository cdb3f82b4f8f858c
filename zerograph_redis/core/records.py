"""The bytes of a checkpoint and of a pending write: format version, checksums, content.

A stored checkpoint is, up to its first US, plain text that the store itself can read::

    version (1)  order (16 hex)  generation (16 hex)  slot (1)  base (10 hex)  appended (10 hex)  segments  US

and behind it a digest (8 bytes) and msgpack content. The store puts the first 54 bytes there; version and order stand
there in every version. The digest is XXH3-64 over the ids that the record is stored under, the segments and the content.
The content names the digest of the whole state in turn. So a flipped or missing byte, or a record in another's place, is
an error and never a wrong state.

A stored write is ``version (1)  digest (8)  value``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from xxhash import xxh3_64

from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.ids import SEPARATOR, escape
from zerograph_redis.pieces import Segment
from zerograph_redis.pieces.segments import parse, spell
from zerograph_redis.serde import Serializer
from zerograph_redis.serde.wire import msgpack

__all__ = (
    "VERSION",
    "CheckpointRecord",
    "digest_of",
    "lost",
    "pack_checkpoint",
    "pack_header",
    "pack_write",
    "spell_appended",
    "unpack_checkpoint",
    "unpack_write",
)

VERSION = b"1"
HEADER_SIZE = 54
_ORDER, _GENERATION, _APPENDED = slice(1, 17), slice(17, 33), slice(34, 54)
_LARGEST = 1024 * 1024 * 1024  # bytes that a state may have: more than any log can hold
_DIGEST_SIZE = 8
_US = SEPARATOR.encode()


@dataclass(slots=True)
class CheckpointRecord:
    """What a record says. State and metadata are still packed, so that a filter need not unpack states."""

    parent: str | None
    metadata: bytes
    literals: list[bytes]
    parts: list[tuple[int, list[Segment]]]
    """The place of each part, and where its bytes are; fresh ones count from ``base``."""
    digest: bytes
    """`digest_of` the state."""
    order: str = ""
    generation: str = ""
    appended: str = ""
    """Where its put appended to the log, and how much: 10 hex digits each."""
    base: int = 0

    def placed(self) -> list[tuple[int, list[Segment]]]:
        """The parts, with offsets in the log."""
        return [(place, [segment.placed(self.base) for segment in segments]) for place, segments in self.parts]


def digest_of(pieces: Iterable[bytes | memoryview]) -> bytes:
    """Return the checksum of a state."""
    digest = xxh3_64()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def pack_checkpoint(namespace: str, checkpoint_id: str, record: CheckpointRecord) -> bytes:
    """Build what stands behind the header, which the store adds."""
    segments = spell(segment for _, part in record.parts for segment in part).encode()
    places = [number for place, part in record.parts for number in (place, len(part))]
    content: bytes = msgpack.packb(
        (record.parent, record.metadata, record.literals, places, record.digest), unicode_errors="surrogatepass"
    )
    return segments + _US + digest_of((_place(namespace, checkpoint_id), segments, content)) + content


def pack_header(order: int, generation: int, base: int, appended: int) -> bytes:
    """Build a header, for a store that is not a script."""
    return b"%b%016x%016x%b%010x%010x" % (VERSION, order, generation, b"0" if generation else b"-", base, appended)


def unpack_checkpoint(thread: str, namespace: str, checkpoint_id: str, stored: bytes | None) -> CheckpointRecord:
    """Take a stored record apart; CorruptCheckpointError if it is not what was stored there."""
    name = f"checkpoint {checkpoint_id!r} of thread {thread!r}, namespace {namespace!r}"
    stored = _known(name, stored)
    header, separator, rest = stored.partition(_US)
    segments, content = header[HEADER_SIZE:], rest[_DIGEST_SIZE:]
    if not separator or rest[:_DIGEST_SIZE] != digest_of((_place(namespace, checkpoint_id), segments, content)):
        raise _changed(name)
    try:
        parent, metadata, literals, places, digest = msgpack.unpackb(content, unicode_errors="surrogatepass")
        found = iter(parse(segments.decode("ascii")))
        counts = zip(places[::2], places[1::2], strict=True)
        parts = [(place, [next(found) for _ in range(count)]) for place, count in counts]
        order, generation, appended = (header[part].decode("ascii") for part in (_ORDER, _GENERATION, _APPENDED))
        base = int(appended[:10], 16)
        _check(parent, metadata, literals, parts, digest)
    except (ValueError, TypeError, StopIteration) as error:
        raise CorruptCheckpointError(f"{name} cannot be read: its record is damaged") from error
    return CheckpointRecord(parent, metadata, literals, parts, digest, order, generation, appended, base)


def spell_appended(base: int, length: int) -> str:
    """Spell where a put appended to the log, and how much, as a record's header does."""
    return f"{base:010x}{length:010x}"


def _check(
    parent: Any, metadata: Any, literals: Any, parts: Sequence[tuple[int, Sequence[Segment]]], digest: Any
) -> None:
    """Refuse, with a ValueError, what no put has stored: the checksum is no proof against who knows how to make it."""
    size = sum(segment.length for _, segments in parts for segment in segments)
    if (
        not isinstance(parent, str | None)
        or type(metadata) is not bytes
        or type(digest) is not bytes
        or type(literals) is not list
        or len(literals) != len(parts) + 1
        or any(type(literal) is not bytes for literal in literals)
        or size > _LARGEST
    ):
        raise ValueError("a part of the record is not what it should be")


def pack_write(namespace: str, checkpoint_id: str, identity: str, value: bytes) -> bytes:
    """Build the whole record of a pending write."""
    return VERSION + digest_of((_place(namespace, checkpoint_id, identity), value)) + value


def unpack_write(
    thread: str, namespace: str, checkpoint_id: str, identity: str, stored: bytes | None, serializer: Serializer
) -> Any:
    """Return the value of a stored write."""
    name = f"a pending write of checkpoint {checkpoint_id!r} of thread {thread!r}, namespace {namespace!r}"
    stored = _known(name, stored)
    value = stored[1 + _DIGEST_SIZE :]
    if stored[1 : 1 + _DIGEST_SIZE] != digest_of((_place(namespace, checkpoint_id, identity), value)):
        raise _changed(name)
    return serializer.unpack(value)


def lost(name: str) -> CorruptCheckpointError:
    """Return the error for what a thread names and does not have."""
    return CorruptCheckpointError(
        f"{name} cannot be read: the thread names it, but its bytes are gone. Most likely the server evicted them (set "
        f"maxmemory-policy to noeviction) or something else deleted them; delete_thread clears the rest."
    )


def _changed(name: str) -> CorruptCheckpointError:
    return CorruptCheckpointError(f"{name} cannot be read: its checksum does not match, so its bytes were changed.")


def _place(namespace: str, checkpoint_id: str, identity: str = "") -> bytes:
    return SEPARATOR.join((escape(namespace), escape(checkpoint_id), identity, "")).encode()


def _known(name: str, stored: bytes | None) -> bytes:
    if stored is None:
        raise lost(name)
    if stored[:1] != VERSION:
        raise CorruptCheckpointError(
            f"{name} cannot be read: its format is {stored[:1]!r}, and this version of zerograph_redis knows only "
            f"{VERSION!r}; a newer version wrote it, or it is damaged."
        )
    return stored
