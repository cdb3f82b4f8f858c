"""The bytes of a checkpoint and of a pending write: format version, checksums, content.

A stored checkpoint is, up to its first US, plain text that the store itself can read::

    version (1)  order (16 hex)  generation (16 hex)  slot (1)  base (10 hex)  appended (10 hex)  attempt (16 hex)
    segments  US

and behind it a digest (8 bytes) and msgpack content. The store puts the first 70 bytes there; version and order stand
there in every version. ``attempt`` is the random name of the put that stored it: with base and appended it proves where
its bytes are, see `zerograph_redis.pieces`. The digest is XXH3-64 over the ids that the record is stored under, the
segments and the content. The content names the digest of the whole state in turn. So a flipped or missing byte, or a
record in another's place, is an error and never a wrong state.

A stored write is ``version (1)  digest (8)  value``.

Version 1 is plain. Version 2 is the same, but for this: content and value are encrypted, with what the digest is over as
context, and so are all pieces in the log; the digest of the state is BLAKE2b-128, so that nobody can put another piece
into the place of one; and the content ends with a `Link`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from xxhash import xxh3_64

from zerograph_redis.core import bounds
from zerograph_redis.errors import CheckpointError, CorruptCheckpointError, SerializationError
from zerograph_redis.ids import SEPARATOR, escape
from zerograph_redis.pieces import Segment
from zerograph_redis.pieces.coding import Cipher
from zerograph_redis.pieces.segments import parse, spell
from zerograph_redis.serde.wire import msgpack

__all__ = (
    "CheckpointRecord",
    "Header",
    "Link",
    "digest_of",
    "has_parts",
    "is_sealed",
    "log_name",
    "lost",
    "name_of",
    "new_link",
    "pack_checkpoint",
    "pack_header",
    "pack_write",
    "proof_of",
    "read_header",
    "read_segments",
    "reseal_checkpoint",
    "reseal_write",
    "unpack_checkpoint",
    "unpack_write",
    "version_of",
)

_PLAIN, _SEALED = b"1", b"2"
HEADER_SIZE = 70
_ORDER, _GENERATION, _PROOF = slice(1, 17), slice(17, 33), slice(34, 70)
_DIGEST_SIZE = 8
_MARK_SIZE = 8
_US = SEPARATOR.encode()


class Link(NamedTuple):
    """What an encrypted record says of its place behind its parent, which the store confirmed when it was put."""

    mark: bytes
    """Names this put: no other put of any checkpoint has the same."""
    follows: str = ""
    """The order of the parent: that of the record itself is later. Empty if the writer did not know it."""
    parent: bytes = b""
    """The mark of the parent, if it followed its own parent: then no repeated request gives it another order."""


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
    proof: str = ""
    """`proof_of` the put that stored it."""
    base: int = 0
    link: Link | None = None
    """Of an encrypted record."""

    def placed(self) -> list[tuple[int, list[Segment]]]:
        """The parts, with offsets in the log."""
        return [(place, [segment.placed(self.base) for segment in segments]) for place, segments in self.parts]


def name_of(thread: str, namespace: str, checkpoint_id: str) -> str:
    """What an error calls a checkpoint."""
    return f"checkpoint {checkpoint_id!r} of thread {thread!r}, namespace {namespace!r}"


def version_of(cipher: Cipher | None) -> bytes:
    """Return the format version of what is stored with *cipher*, or without one."""
    return _PLAIN if cipher is None else _SEALED


def digest_of(pieces: Iterable[bytes | memoryview], cipher: Cipher | None = None) -> bytes:
    """Return the checksum of a state, one that cannot be forged if it is stored with *cipher*."""
    digest = xxh3_64() if cipher is None else blake2b(digest_size=16)
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def pack_checkpoint(namespace: str, checkpoint_id: str, record: CheckpointRecord, cipher: Cipher | None) -> bytes:
    """Build what stands behind the header, which the store adds."""
    segments = spell(segment for _, part in record.parts for segment in part).encode()
    places = [number for place, part in record.parts for number in (place, len(part))]
    link = () if cipher is None else (record.link or new_link(),)
    content: bytes = msgpack.packb(
        (record.parent, record.metadata, record.literals, places, record.digest, *link), unicode_errors="surrogatepass"
    )
    place = _place(namespace, checkpoint_id)
    if cipher is not None:
        content = cipher.seal(content, place + segments)
    return segments + _US + digest_of((place, segments, content)) + content


def new_link(follows: str = "", parent: bytes = b"") -> Link:
    """Make the link of a new put."""
    return Link(secrets.token_bytes(_MARK_SIZE), follows, parent)


def pack_header(version: bytes, order: int, generation: int, base: int, appended: int, attempt: str) -> bytes:
    """Build a header, for a store that is not a script."""
    slot = b"0" if generation else b"-"
    return b"%b%016x%016x%b%b" % (version, order, generation, slot, proof_of(base, appended, attempt).encode())


def log_name(attempt: str, order: int) -> int:
    """Return the generation that a put begins, as put_checkpoint.lua does.

    Neither another put, nor the same one done again at another time, begins one of that name.
    """
    high = int(attempt[:8], 16) + (order >> 32)
    low = int(attempt[8:], 16) + (order & 0xFFFFFFFF)
    return high % 2**31 << 32 | low % 2**32


def unpack_checkpoint(
    thread: str, namespace: str, checkpoint_id: str, stored: bytes | None, cipher: Cipher | None
) -> CheckpointRecord:
    """Take a stored record apart; CorruptCheckpointError if it is not what was stored there."""
    name = name_of(thread, namespace, checkpoint_id)
    stored = _known(name, stored, cipher)
    header, separator, rest = stored.partition(_US)
    segments, content = header[HEADER_SIZE:], rest[_DIGEST_SIZE:]
    place = _place(namespace, checkpoint_id)
    if not separator or rest[:_DIGEST_SIZE] != digest_of((place, segments, content)):
        raise _changed(name)
    if cipher is not None:
        content = _unsealed(name, content, place + segments, cipher)
    try:
        parent, metadata, literals, places, digest, *more = msgpack.unpackb(content, unicode_errors="surrogatepass")
        link = None if cipher is None else Link(*more[0])
        found = iter(parse(segments.decode("ascii")))
        counts = zip(places[::2], places[1::2], strict=True)
        parts = [(place, [next(found) for _ in range(count)]) for place, count in counts]
        order, generation, proof = (header[part].decode("ascii") for part in (_ORDER, _GENERATION, _PROOF))
        base = read_header(name, stored).base
        bounds.order(order)
        _check(parent, metadata, literals, parts, digest)
        if next(found, None) is not None:
            raise ValueError("the record has segments of no part")
    except (StopIteration, *bounds.UNREADABLE) as error:
        raise CorruptCheckpointError(f"{name} cannot be read: its record is damaged") from error
    if link is not None and link.follows >= order:
        raise CorruptCheckpointError(
            f"{name} cannot be read: it was stored behind its parent, and its order is before that. Somebody moved it."
        )
    return CheckpointRecord(parent, metadata, literals, parts, digest, order, generation, proof, base, link)


class Header(NamedTuple):
    """What a stored record says in plain, but for its segments."""

    order: str
    generation: str
    slot: str
    base: int
    appended: int
    attempt: str


def read_header(name: str, stored: bytes) -> Header:
    """Read the header of a record; *name* is what an error calls it."""
    found = _HEADER.match(stored)
    if found is None:
        raise _changed(name)
    order, generation, slot, base, appended, attempt = (part.decode("ascii") for part in found.groups())
    return Header(order, generation, slot, int(base, 16), int(appended, 16), attempt)


_HEADER = re.compile(rb".([0-9a-f]{16})([0-9a-f]{16})([01-])([0-9a-f]{10})([0-9a-f]{10})([0-9a-f]{16})", re.DOTALL)


def has_parts(stored: bytes) -> bool:
    """Tell whether the state of a stored record has parts in the log."""
    return not stored.startswith(_US, HEADER_SIZE)


def read_segments(name: str, stored: bytes) -> tuple[Header, list[Segment], bytes]:
    """Read the header of a record and where its pieces lie in the log; also returns what stands behind the header."""
    header = read_header(name, stored)
    behind = stored[HEADER_SIZE:]
    try:
        segments = parse(behind.partition(_US)[0].decode("ascii"))
    except ValueError as error:
        raise _changed(name) from error
    return header, [segment.placed(header.base) for segment in segments], behind


def is_sealed(stored: bytes) -> bool:
    """Tell whether the record of a checkpoint or of a write is encrypted."""
    return stored[:1] == _SEALED


def proof_of(base: int, length: int, attempt: str) -> str:
    """Spell where a put appended to the log, how much, and its name, as a record's header does."""
    return f"{base:010x}{length:010x}{attempt}"


def _check(
    parent: Any, metadata: Any, literals: Any, parts: Sequence[tuple[int, Sequence[Segment]]], digest: Any
) -> None:
    """Refuse, with a ValueError, what no put has stored: the checksum is no proof against who knows how to make it."""
    if (
        not isinstance(parent, str | None)
        or type(metadata) is not bytes
        or type(digest) is not bytes
        or type(literals) is not list
        or len(literals) != len(parts) + 1
        or any(type(literal) is not bytes for literal in literals)
        or any(type(place) is not int or not segments for place, segments in parts)
    ):
        raise ValueError("a part of the record is not what it should be")


def pack_write(namespace: str, checkpoint_id: str, identity: str, value: bytes, cipher: Cipher | None) -> bytes:
    """Build the whole record of a pending write."""
    place = _place(namespace, checkpoint_id, identity)
    if cipher is not None:
        value = cipher.seal(value, place)
    return version_of(cipher) + digest_of((place, value)) + value


def unpack_write(
    thread: str, namespace: str, checkpoint_id: str, identity: str, stored: bytes | None, cipher: Cipher | None
) -> bytes:
    """Return the packed value of a stored write."""
    name = f"a pending write of {name_of(thread, namespace, checkpoint_id)}"
    stored = _known(name, stored, cipher)
    value = stored[1 + _DIGEST_SIZE :]
    place = _place(namespace, checkpoint_id, identity)
    if stored[1 : 1 + _DIGEST_SIZE] != digest_of((place, value)):
        raise _changed(name)
    return value if cipher is None else _unsealed(name, value, place, cipher)


def reseal_checkpoint(
    thread: str, namespace: str, checkpoint_id: str, stored: bytes, source: Cipher, target: Cipher
) -> tuple[bytes, str, list[Segment]]:
    """Encrypt a record for another thread. Also returns the generation of its log, and the pieces there."""
    record = unpack_checkpoint(thread, namespace, checkpoint_id, stored, source)
    header = stored[:HEADER_SIZE]
    segments = [segment for _, part in record.placed() for segment in part]
    resealed = header + pack_checkpoint(namespace, checkpoint_id, record, target)
    return resealed, record.generation, segments


def reseal_write(
    thread: str,
    namespace: str,
    checkpoint_id: str,
    identity: str,
    stored: bytes | None,
    source: Cipher,
    target: Cipher,
) -> bytes:
    """Encrypt a stored write for another thread."""
    value = unpack_write(thread, namespace, checkpoint_id, identity, stored, source)
    return pack_write(namespace, checkpoint_id, identity, value, target)


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


def _known(name: str, stored: bytes | None, cipher: Cipher | None) -> bytes:
    if stored is None:
        raise lost(name)
    version = stored[:1]
    if version not in (_PLAIN, _SEALED):
        raise CorruptCheckpointError(
            f"{name} cannot be read: its format is {version!r}, and this version of zerograph_redis knows only "
            f"{_PLAIN!r} and {_SEALED!r}; a newer version wrote it, or it is damaged."
        )
    if version == _PLAIN and cipher is not None:
        raise CorruptCheckpointError(
            f"{name} is refused: it is not encrypted, and this saver takes only what is. If it was stored before there was "
            f"encryption, read it with a saver that has none"
        )
    if version == _SEALED and cipher is None:
        raise SerializationError(
            f"{name} cannot be read: it is encrypted; make the saver with serializer=EncryptedSerializer(keys)"
        )
    return stored


def _unsealed(name: str, sealed: bytes, context: bytes, cipher: Cipher) -> bytes:
    try:
        return cipher.unseal(sealed, context)
    except CheckpointError as error:
        raise type(error)(f"{name} cannot be read: {error}") from error
