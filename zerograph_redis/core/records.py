"""The bytes of a checkpoint and of a pending write: format version, checksums, content.

A stored checkpoint is, up to its first US, plain text that the store itself can read::

    version (1)  order (16 hex)  generation (16 hex)  slot (1)  base (10 hex)  appended (10 hex)  attempt (16 hex)
    segments  US

and behind it a digest (8 bytes) and msgpack content. The store puts the first 70 bytes there; version and order stand
there in every version. ``attempt`` is the random name of the put that stored it: with base and appended it proves where
its bytes are, see `zerograph_redis.state_log`. The digest is XXH3-64 over the ids that the record is stored under, the
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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from xxhash import xxh3_64_digest

from zerograph_redis.core import bounds
from zerograph_redis.errors import CheckpointError, CorruptCheckpointError, SerializationError
from zerograph_redis.ids import SEPARATOR, encode, read_name
from zerograph_redis.serde.packing import pack_plain
from zerograph_redis.state_log import Segment
from zerograph_redis.state_log.codec import Cipher
from zerograph_redis.state_log.segments import Segments, decode_segments

from .requests import StoredWrite

_PLAIN, _SEALED = b"1", b"2"
HEADER_SIZE = 70
_GENERATION, _PROOF = slice(17, 33), slice(34, 70)
_BASE, _APPENDED = slice(34, 44), slice(44, 54)
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
    parts: Sequence[tuple[int, Sequence[Segment]]]
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


def digest_of(data: bytes, cipher: Cipher | None = None) -> bytes:
    """Return the checksum of a state, one that cannot be forged if it is stored with *cipher*."""
    return xxh3_64_digest(data) if cipher is None else blake2b(data, digest_size=16).digest()


def pack_checkpoint(
    place: tuple[str, str],
    content: tuple[str | None, bytes, bytes],
    literals: Sequence[bytes],
    places: Iterable[int],
    segments: Sequence[Segments],
    cipher: Cipher | None,
    link: Link | None,
) -> bytes:
    """Build what stands behind the header, which the store adds.

    Args:
        place: Namespace and id, for which it is stored.
        content: The parent's id, the packed metadata, and the digest of the state.
        literals: What is left of the state without its parts.
        places: The place of each part, …
        segments: … and where its bytes are.
        cipher: What encrypts it, if anything does.
        link: Of an encrypted record.
    """
    parent, metadata, digest = content
    counted: list[int] = []
    texts: list[str] = []
    for path, (each, text, _) in zip(places, segments, strict=True):
        counted += (path, len(each))
        texts.append(text)
    said: list[object] = [None if parent is None else encode(parent), metadata, literals, counted, digest]
    if cipher is not None:
        said.append([*(link or new_link())])
    packed, behind, context = pack_plain(said), ",".join(texts).encode(), _place(*place)
    if cipher is not None:
        packed = cipher.seal(packed, context + behind)
    return behind + _US + xxh3_64_digest(context + behind + packed) + packed


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
    if stored is None or stored[:1] != version_of(cipher):
        raise _unreadable(name_of(thread, namespace, checkpoint_id), stored, cipher)
    found = _HEADER.match(stored)
    end = stored.find(_US, HEADER_SIZE)
    segments, content = stored[HEADER_SIZE:end], stored[end + 1 + _DIGEST_SIZE :]
    place = _place(namespace, checkpoint_id)
    if (
        found is None
        or end < 0
        or stored[end + 1 : end + 1 + _DIGEST_SIZE] != xxh3_64_digest(place + segments + content)
    ):
        raise _changed(name_of(thread, namespace, checkpoint_id))
    if cipher is not None:
        content = _unsealed(name_of(thread, namespace, checkpoint_id), content, place + segments, cipher)
    link = None
    try:
        if cipher is None:
            parent, metadata, literals, places, digest = _CONTENT.decode(content)
        else:
            parent, metadata, literals, places, digest, link = _SEALED_CONTENT.decode(content)
        parts = _parts(places, decode_segments(segments.decode("ascii")))
        if len(literals) != len(parts) + 1:
            raise ValueError("the literals are not those around the parts")
        header = found[0].decode("ascii")
        record = CheckpointRecord(
            None if parent is None else read_name(parent),
            metadata,
            literals,
            parts,
            digest,
            header[1:17],
            header[17:33],
            header[34:],
            int(header[34:44], 16),
            None if link is None else Link(*link),
        )
    except (msgspec.MsgspecError, *bounds.UNREADABLE) as error:
        raise CorruptCheckpointError(
            f"{name_of(thread, namespace, checkpoint_id)} cannot be read: its record is damaged"
        ) from error
    if record.link is not None and record.link.follows >= record.order:
        raise CorruptCheckpointError(
            f"{name_of(thread, namespace, checkpoint_id)} cannot be read: it was stored behind its parent, and its order is "
            f"before that. Somebody moved it."
        )
    return record


# Their types are the proof that a record is what a put stored: a checksum is none against who knows how to make it.
_CONTENT = msgspec.msgpack.Decoder(tuple[bytes | None, bytes, list[bytes], list[int], bytes])
_SEALED_CONTENT = msgspec.msgpack.Decoder(
    tuple[bytes | None, bytes, list[bytes], list[int], bytes, tuple[bytes, str, bytes]]
)


def _parts(places: list[int], segments: list[Segment]) -> list[tuple[int, list[Segment]]]:
    parts = []
    first = 0
    for place, count in zip(places[::2], places[1::2], strict=True):
        if count < 1:
            raise ValueError("a part has no segments")
        parts.append((place, segments[first : first + count]))
        first += count
    if first != len(segments):
        raise ValueError("the record has segments of no part, or parts without segments")
    return parts


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
    return _header_of(found)


def _header_of(found: re.Match[bytes]) -> Header:
    order, generation, slot, base, appended, attempt = map(bytes.decode, found.groups())
    return Header(order, generation, slot, int(base, 16), int(appended, 16), attempt)


_HEADER = re.compile(rb".(000[0-9a-f]{13})([0-9a-f]{16})([01-])([0-9a-f]{10})([0-9a-f]{10})([0-9a-f]{16})", re.DOTALL)


def has_parts(stored: bytes) -> bool:
    """Tell whether the state of a stored record has parts in the log."""
    return not stored.startswith(_US, HEADER_SIZE)


def read_segments(name: str, stored: bytes) -> tuple[Header, list[Segment], bytes]:
    """Read the header of a record and where its pieces lie in the log; also returns what stands behind the header."""
    header = read_header(name, stored)
    behind = stored[HEADER_SIZE:]
    try:
        segments = decode_segments(behind.partition(_US)[0].decode("ascii"))
    except ValueError as error:
        raise _changed(name) from error
    return header, [segment.placed(header.base) for segment in segments], behind


def content_of(stored: bytes) -> bytes:
    """What stands behind the header of a stored record."""
    return stored[HEADER_SIZE:]


def is_record(stored: bytes, header: tuple[str, str, str], content: bytes, cipher: Cipher | None) -> bool:
    """Tell whether a stored record is the one with this order, generation and proof, and this content behind them."""
    order, generation, proof = header
    return (
        stored.startswith(b"%b%b%b" % (version_of(cipher), order.encode(), generation.encode()))
        and stored[_PROOF.start :] == proof.encode() + content
    )


def read_proof(stored: bytes) -> tuple[str, str]:
    """Read from a header the generation, and the `proof_of` the put that stored it, to be compared with others."""
    return stored[_GENERATION].decode("latin-1"), stored[_PROOF].decode("latin-1")


def read_stretch(stored: bytes) -> tuple[str, int, int]:
    """Read from a header the generation, where its put appended to that log, and how much; ValueError for damage."""
    return stored[_GENERATION].decode("ascii"), int(stored[_BASE], 16), int(stored[_APPENDED], 16)


def read_ranges(stored: bytes) -> list[tuple[int, int]]:
    """Read the ranges of the log that the state of a record is made of.

    Only to have them at hand when the record is read, which checks all of it. ValueError for what cannot be one.
    """
    header = stored.partition(_US)[0].decode("ascii")
    base = int(header[_BASE], 16)
    ranges = []
    for segment in header[HEADER_SIZE:].split(",") if len(header) > HEADER_SIZE else ():
        offset, length, *_ = segment.split(":")  # of a compressed piece, how many bytes are stored
        start = base + int(offset) if offset[0] in "+-" else int(offset)
        if start < 0:
            raise ValueError("a range begins before the log")
        ranges.append((start, start + int(length)))
    return ranges


def is_encrypted(stored: bytes) -> bool:
    """Tell whether the record of a checkpoint or of a write is encrypted."""
    return stored[:1] == _SEALED


def proof_of(base: int, length: int, attempt: str) -> str:
    """Spell where a put appended to the log, how much, and its name, as a record's header does."""
    return f"{base:010x}{length:010x}{attempt}"


def pack_writes(
    namespace: str, checkpoint_id: str, values: Mapping[str, bytes], cipher: Cipher | None
) -> list[StoredWrite]:
    """Build the whole record of each pending write of a checkpoint: packed values by identity."""
    beside = b"%b\x1f%b\x1f" % (encode(namespace), encode(checkpoint_id))
    version = version_of(cipher)
    found = []
    for identity, value in values.items():
        place = b"%b%b\x1f" % (beside, identity.encode())
        content = value if cipher is None else cipher.seal(value, place)
        found.append(StoredWrite(identity, version + xxh3_64_digest(place + content) + content))
    return found


def unpack_write(
    thread: str, namespace: str, checkpoint_id: str, identity: str, stored: bytes | None, cipher: Cipher | None
) -> bytes:
    """Return the packed value of a stored write."""
    if stored is None or stored[:1] != version_of(cipher):
        raise _unreadable(_write_of(thread, namespace, checkpoint_id), stored, cipher)
    value = stored[1 + _DIGEST_SIZE :]
    place = _place(namespace, checkpoint_id, identity)
    if stored[1 : 1 + _DIGEST_SIZE] != xxh3_64_digest(place + value):
        raise _changed(_write_of(thread, namespace, checkpoint_id))
    return value if cipher is None else _unsealed(_write_of(thread, namespace, checkpoint_id), value, place, cipher)


def _write_of(thread: str, namespace: str, checkpoint_id: str) -> str:
    return f"a pending write of {name_of(thread, namespace, checkpoint_id)}"


def repacked(namespace: str, checkpoint_id: str, record: CheckpointRecord, cipher: Cipher | None) -> bytes:
    """Build again what stands behind the header of a record that was read."""
    places, segments = [place for place, _ in record.parts], [Segments.of(each) for _, each in record.parts]
    content = (record.parent, record.metadata, record.digest)
    return pack_checkpoint((namespace, checkpoint_id), content, record.literals, places, segments, cipher, record.link)


def reencrypt_checkpoint(
    thread: str, namespace: str, checkpoint_id: str, stored: bytes, source: Cipher, target: Cipher
) -> tuple[bytes, str, list[Segment]]:
    """Encrypt a record for another thread. Also returns the generation of its log, and the pieces there."""
    record = unpack_checkpoint(thread, namespace, checkpoint_id, stored, source)
    header = stored[:HEADER_SIZE]
    segments = [segment for _, part in record.placed() for segment in part]
    resealed = header + repacked(namespace, checkpoint_id, record, target)
    return resealed, record.generation, segments


def missing(name: str) -> CorruptCheckpointError:
    """Return the error for what a thread names and does not have."""
    return CorruptCheckpointError(
        f"{name} cannot be read: the thread names it, but its bytes are gone. Most likely the server evicted them (set "
        f"maxmemory-policy to noeviction) or something else deleted them; delete_thread clears the rest."
    )


def _changed(name: str) -> CorruptCheckpointError:
    return CorruptCheckpointError(f"{name} cannot be read: its checksum does not match, so its bytes were changed.")


def _place(namespace: str, checkpoint_id: str, identity: str = "") -> bytes:
    return b"%b\x1f%b\x1f%b\x1f" % (encode(namespace), encode(checkpoint_id), identity.encode())


def _unreadable(name: str, stored: bytes | None, cipher: Cipher | None) -> CheckpointError:
    if stored is None:
        return missing(name)
    version = stored[:1]
    if version not in (_PLAIN, _SEALED):
        return CorruptCheckpointError(
            f"{name} cannot be read: its format is {version!r}, and this version of zerograph_redis knows only "
            f"{_PLAIN!r} and {_SEALED!r}; a newer version wrote it, or it is damaged."
        )
    if cipher is not None:
        return CorruptCheckpointError(
            f"{name} is refused: it is not encrypted, and this saver takes only what is. If it was stored before there was "
            f"encryption, read it with a saver that has none"
        )
    return SerializationError(
        f"{name} cannot be read: it is encrypted; make the saver with serializer=EncryptedSerializer(keys)"
    )


def _unsealed(name: str, sealed: bytes, context: bytes, cipher: Cipher) -> bytes:
    try:
        return cipher.unseal(sealed, context)
    except CheckpointError as error:
        raise type(error)(f"{name} cannot be read: {error}") from error
