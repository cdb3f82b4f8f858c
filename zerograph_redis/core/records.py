"""The bytes of a checkpoint and of a pending write: format version, checksums, content.

A stored checkpoint is, up to its first US, plain text that the store itself can read::

    version (1)  order (16 hex)  generation (16 hex)  log id (1)  base (10 hex)  appended (10 hex)  attempt (16 hex)
    segments  US

and behind it a digest (8 bytes) and msgpack content. The store writes the first 70 bytes, the *header*; version and order
are at this place in every version. ``attempt`` is the random name of the put that stored the record; with base and appended
it proves where its bytes are, see `zerograph_redis.state_log`. The digest is XXH3-64 over the ids that the record is stored
under, the segments and the content. The content has the digest of the whole state. So a flipped or missing byte, or a
record in another's place, is an error and never a wrong state.

A stored write is ``version (1)  digest (8)  value``.

Version 1 is plain. Version 2 is encrypted: content and value, with what the digest is over as their context, and all
segments in the log. The digest of the state is then BLAKE2b-128, so that nobody can exchange segments; and the content ends
with a `Link`.
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
from zerograph_redis.state_log.codec import Cipher
from zerograph_redis.state_log.segments import Segment, Segments, decode_segments

from .requests import StoredWrite

_PLAIN, _ENCRYPTED = b"1", b"2"
HEADER_SIZE = 70
_GENERATION, _PROOF = slice(17, 33), slice(34, HEADER_SIZE)
_BASE, _APPENDED = slice(34, 44), slice(44, 54)
_DIGEST_SIZE = 8
_MARK_SIZE = 8
_US = SEPARATOR.encode()


CheckpointKey = tuple[str, str, str]
"""Thread, namespace and checkpoint id."""


class Link(NamedTuple):
    """How an encrypted record follows its parent, as the store confirmed when it was put."""

    mark: bytes
    """A random name of this put."""
    follows: str = ""
    """The order of the parent, which is smaller than that of the record. Empty if the writer did not know it."""
    parent: bytes = b""
    """The mark of the parent, if that followed its own parent: then no repeated request gives the parent another order."""


@dataclass(slots=True)
class CheckpointRecord:
    """A decoded record. State and metadata are still packed, so that a filter need not unpack states."""

    parent: str | None
    metadata: bytes
    literals: list[bytes]
    parts: Sequence[tuple[int, Sequence[Segment]]]
    """Path hash and segments of each part; the offsets of fresh segments count from ``base``."""
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
        """Return the parts with all offsets counted from the beginning of the log."""
        return [(path, [segment.placed(self.base) for segment in segments]) for path, segments in self.parts]


def name_of(thread: str, namespace: str, checkpoint_id: str) -> str:
    """Return how errors name a checkpoint."""
    return f"checkpoint {checkpoint_id!r} of thread {thread!r}, namespace {namespace!r}"


def version_of(cipher: Cipher | None) -> bytes:
    """Return the format version of records: encrypted with *cipher*, or plain if that is None."""
    return _PLAIN if cipher is None else _ENCRYPTED


def digest_of(data: bytes, cipher: Cipher | None = None) -> bytes:
    """Return the checksum of a state; if it is stored with *cipher*, one that nobody can forge."""
    return xxh3_64_digest(data) if cipher is None else blake2b(data, digest_size=16).digest()


def pack_checkpoint(
    address: tuple[str, str],
    content: tuple[str | None, bytes, bytes],
    literals: Sequence[bytes],
    paths: Iterable[int],
    segments: Sequence[Segments],
    cipher: Cipher | None,
    link: Link | None,
) -> bytes:
    """Build a record without its header, which the store adds.

    Args:
        address: Namespace and id that it is stored under.
        content: The parent's id, the packed metadata, and the digest of the state.
        literals: The state without its parts.
        paths: The path hash of each part.
        segments: The segments of each part.
        cipher: What encrypts it, if anything does.
        link: Of an encrypted record.
    """
    parent, metadata, digest = content
    counted: list[int] = []
    texts: list[str] = []
    for path, (each, text, _) in zip(paths, segments, strict=True):
        counted += (path, len(each))
        texts.append(text)
    values: list[object] = [None if parent is None else encode(parent), metadata, literals, counted, digest]
    if link is not None:
        values.append([*link])
    packed, layout, context = pack_plain(values), ",".join(texts).encode(), _context(*address)
    if cipher is not None:
        packed = cipher.encrypt(packed, context + layout)
    return layout + _US + xxh3_64_digest(context + layout + packed) + packed


def new_link(follows: str = "", parent: bytes = b"") -> Link:
    """Make the link of a new put."""
    return Link(secrets.token_bytes(_MARK_SIZE), follows, parent)


def pack_header(version: bytes, order: int, generation: int, base: int, appended: int, attempt: str) -> bytes:
    """Build a header, for a store that does not do it in a script."""
    log_id = b"0" if generation else b"-"
    return b"%b%016x%016x%b%b" % (version, order, generation, log_id, proof_of(base, appended, attempt).encode())


def log_name(attempt: str, order: int) -> int:
    """Return the generation that a put begins, as put_checkpoint.lua does.

    No other put begins a generation of this name, nor the same put if it is repeated at another time.
    """
    high = int(attempt[:8], 16) + (order >> 32)
    low = int(attempt[8:], 16) + (order & 0xFFFFFFFF)
    return high % 2**31 << 32 | low % 2**32


def unpack_checkpoint(key: CheckpointKey, stored: bytes | None, cipher: Cipher | None) -> CheckpointRecord:
    """Decode a stored record; CorruptCheckpointError if it is not what was stored there."""
    if stored is None or stored[:1] != version_of(cipher):
        raise _unreadable(name_of(*key), stored, cipher)
    found = _HEADER.match(stored)
    end = stored.find(_US, HEADER_SIZE)
    layout, content = stored[HEADER_SIZE:end], stored[end + 1 + _DIGEST_SIZE :]
    context = _context(*key[1:])
    digest = stored[end + 1 : end + 1 + _DIGEST_SIZE]
    if found is None or end < 0 or digest != xxh3_64_digest(context + layout + content):
        raise changed(name_of(*key))
    if cipher is not None:
        content = _decrypted(name_of(*key), content, context + layout, cipher)
    link = None
    try:
        if cipher is None:
            parent, metadata, literals, counted, digest = _CONTENT.decode(content)
        else:
            parent, metadata, literals, counted, digest, link = _ENCRYPTED_CONTENT.decode(content)
        parts = _parts(counted, decode_segments(layout.decode("ascii")))
        if len(literals) != len(parts) + 1:
            raise ValueError("the literals do not match the parts")
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
        raise CorruptCheckpointError(f"{name_of(*key)} cannot be read: its record is damaged") from error
    if record.link is not None and record.link.follows >= record.order:
        raise CorruptCheckpointError(
            f"{name_of(*key)} cannot be read: it was stored after its parent, but its order is "
            f"before that of its parent. Somebody moved it."
        )
    return record


# Checked by type: somebody who can compute the checksum can forge a record.
_CONTENT = msgspec.msgpack.Decoder(tuple[bytes | None, bytes, list[bytes], list[int], bytes])
_ENCRYPTED_CONTENT = msgspec.msgpack.Decoder(
    tuple[bytes | None, bytes, list[bytes], list[int], bytes, tuple[bytes, str, bytes]]
)


def _parts(counted: list[int], segments: list[Segment]) -> list[tuple[int, list[Segment]]]:
    parts = []
    first = 0
    for path, count in zip(counted[::2], counted[1::2], strict=True):
        if count < 1:
            raise ValueError("a part has no segments")
        parts.append((path, segments[first : first + count]))
        first += count
    if first != len(segments):
        raise ValueError("the record has segments without a part, or parts without segments")
    return parts


class Header(NamedTuple):
    """The header of a record."""

    order: str
    generation: str
    log_id: str
    """The log id: 0 or 1, "-" for none."""
    base: int
    appended: int
    attempt: str


_HEADER = re.compile(rb".(000[0-9a-f]{13})([0-9a-f]{16})([01-])([0-9a-f]{10})([0-9a-f]{10})([0-9a-f]{16})", re.DOTALL)


def read_header(name: str, stored: bytes) -> Header:
    """Decode the header of a record; *name* is what an error calls it."""
    found = _HEADER.match(stored)
    if found is None:
        raise changed(name)
    order, generation, log_id, base, appended, attempt = map(bytes.decode, found.groups())
    return Header(order, generation, log_id, int(base, 16), int(appended, 16), attempt)


def has_parts(stored: bytes) -> bool:
    """Tell whether the state of a stored record has parts in the log."""
    return not stored.startswith(_US, HEADER_SIZE)


def read_segments(name: str, stored: bytes) -> tuple[Header, list[Segment], bytes]:
    """Decode the header and the segments of a record; also returns the record without its header."""
    header = read_header(name, stored)
    content = stored[HEADER_SIZE:]
    try:
        segments = decode_segments(content.partition(_US)[0].decode("ascii"))
    except ValueError as error:
        raise changed(name) from error
    return header, [segment.placed(header.base) for segment in segments], content


def is_record(stored: bytes, header: tuple[str, str, str], content: bytes, cipher: Cipher | None) -> bool:
    """Tell whether a stored record has this header (order, generation, proof) and this content."""
    order, generation, proof = header
    return (
        stored.startswith(b"%b%b%b" % (version_of(cipher), order.encode(), generation.encode()))
        and stored[_PROOF.start :] == proof.encode() + content
    )


def read_proof(stored: bytes) -> tuple[str, str]:
    """Return the generation in a header, and the `proof_of` the put that stored it, to compare with others."""
    return stored[_GENERATION].decode("latin-1"), stored[_PROOF].decode("latin-1")


def read_appended(stored: bytes) -> tuple[str, int, int]:
    """Return from a header the generation, where its put appended to that log, and how much; ValueError for damage."""
    return stored[_GENERATION].decode("ascii"), int(stored[_BASE], 16), int(stored[_APPENDED], 16)


def read_ranges(stored: bytes) -> list[tuple[int, int]]:
    """Return the ranges of the log that the state of a record needs, to fetch them before the record is checked.

    ValueError for what cannot be a range.
    """
    header = stored.partition(_US)[0].decode("ascii")
    base = int(header[_BASE], 16)
    ranges = []
    for segment in header[HEADER_SIZE:].split(",") if len(header) > HEADER_SIZE else ():
        offset, length, *_ = segment.split(":")  # of a compressed segment, how many bytes are stored
        start = base + int(offset) if offset[0] in "+-" else int(offset)
        if start < 0:
            raise ValueError("a range begins before the log")
        ranges.append((start, start + int(length)))
    return ranges


def is_encrypted(stored: bytes) -> bool:
    """Tell whether the record of a checkpoint or of a write is encrypted."""
    return stored[:1] == _ENCRYPTED


def proof_of(base: int, length: int, attempt: str) -> str:
    """Encode, as in a header, where a put appended to the log, how much, and its random name."""
    return f"{base:010x}{length:010x}{attempt}"


def pack_writes(
    namespace: str, checkpoint_id: str, values: Mapping[str, bytes], cipher: Cipher | None
) -> list[StoredWrite]:
    """Build the records of the pending writes of a checkpoint: packed values by identity."""
    prefix = b"%b\x1f%b\x1f" % (encode(namespace), encode(checkpoint_id))
    version = version_of(cipher)
    found = []
    for identity, value in values.items():
        context = b"%b%b\x1f" % (prefix, identity.encode())
        content = value if cipher is None else cipher.encrypt(value, context)
        found.append(StoredWrite(identity, version + xxh3_64_digest(context + content) + content))
    return found


def unpack_write(key: CheckpointKey, write: StoredWrite, cipher: Cipher | None) -> bytes:
    """Return the packed value of a stored write."""
    stored = write.record
    if stored is None or stored[:1] != version_of(cipher):
        raise _unreadable(_write_of(key), stored, cipher)
    value = stored[1 + _DIGEST_SIZE :]
    context = _context(*key[1:], write.identity)
    if stored[1 : 1 + _DIGEST_SIZE] != xxh3_64_digest(context + value):
        raise changed(_write_of(key))
    return value if cipher is None else _decrypted(_write_of(key), value, context, cipher)


def _write_of(key: CheckpointKey) -> str:
    return f"a pending write of {name_of(*key)}"


def pack_again(namespace: str, checkpoint_id: str, record: CheckpointRecord, cipher: Cipher | None) -> bytes:
    """Build a decoded record again, without its header."""
    paths, segments = [path for path, _ in record.parts], [Segments.of(each) for _, each in record.parts]
    content = (record.parent, record.metadata, record.digest)
    return pack_checkpoint((namespace, checkpoint_id), content, record.literals, paths, segments, cipher, record.link)


def reencrypt_checkpoint(
    key: CheckpointKey, stored: bytes, source: Cipher, target: Cipher
) -> tuple[bytes, str, list[Segment]]:
    """Encrypt a record for another thread. Also returns the generation of its log, and its segments there."""
    record = unpack_checkpoint(key, stored, source)
    segments = [segment for _, part in record.placed() for segment in part]
    reencrypted = stored[:HEADER_SIZE] + pack_again(*key[1:], record, target)
    return reencrypted, record.generation, segments


def missing(name: str) -> CorruptCheckpointError:
    """Return the error for bytes that a thread names and does not have."""
    return CorruptCheckpointError(
        f"{name} cannot be read: the thread names it, but its bytes are missing. Most likely the server evicted them (set "
        f"maxmemory-policy to noeviction) or something else deleted them; delete_thread removes the rest."
    )


def changed(name: str) -> CorruptCheckpointError:
    """Return the error for bytes that do not match their checksum."""
    return CorruptCheckpointError(f"{name} cannot be read: its checksum does not match, so its bytes were changed.")


def _context(namespace: str, checkpoint_id: str, identity: str = "") -> bytes:
    """Return the ids that a digest, or the encryption, of a record is bound to."""
    return b"%b\x1f%b\x1f%b\x1f" % (encode(namespace), encode(checkpoint_id), identity.encode())


def _unreadable(name: str, stored: bytes | None, cipher: Cipher | None) -> CheckpointError:
    if stored is None:
        return missing(name)
    version = stored[:1]
    if version not in (_PLAIN, _ENCRYPTED):
        return CorruptCheckpointError(
            f"{name} cannot be read: its format is {version!r}, and this version of zerograph_redis knows only "
            f"{_PLAIN!r} and {_ENCRYPTED!r}; a newer version wrote it, or it is damaged."
        )
    if cipher is not None:
        return CorruptCheckpointError(
            f"{name} is refused: it is not encrypted, and this saver reads encrypted threads alone. If it was stored "
            f"before the saver had encryption, read it with a saver without encryption"
        )
    return SerializationError(
        f"{name} cannot be read: it is encrypted; make the saver with serializer=EncryptedSerializer(keys)"
    )


def _decrypted(name: str, encrypted: bytes, context: bytes, cipher: Cipher) -> bytes:
    try:
        return cipher.decrypt(encrypted, context)
    except CheckpointError as error:
        raise type(error)(f"{name} cannot be read: {error}") from error
