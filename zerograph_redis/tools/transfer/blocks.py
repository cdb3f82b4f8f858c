r"""Blocks: how a file of threads is made of bytes, so that any damage is found.

Each block is a frame that zstd skips, and a frame of zstd::

    50 2a 4d 18   size of the rest of the head (4)
    "zgthread"    format version (2)   size of the zstd frame (4)   size of its content (4)   digest (32)
    the zstd frame

Numbers are little-endian. The digest is BLAKE2b-256 over the digest of the block before (nothing for the first), the three
numbers and the zstd frame. So the last digest is one of the whole file: a byte that was flipped, and a block that is missing
or moved, are found. And the file is one that ``zstd -d`` takes: what comes out is the content, one block after the other.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from types import ModuleType
from typing import IO, NamedTuple

from zerograph_redis.errors import CorruptCheckpointError
from zerograph_redis.state_log.draft import MOST_BYTES

VERSION = 1
_SKIPPED = 0x184D2A50
_NAME = b"zgthread"
_HEAD = struct.Struct("<II8sHII32s")
_NUMBERS = struct.Struct("<HII")


class Block(NamedTuple):
    """A block that was read."""

    content: bytes
    digest: bytes
    end: int
    """Where it ends in the file."""


def write_block(file: IO[bytes], content: bytes, before: bytes, level: int) -> bytes:
    """Write a block behind the one with the digest *before*; returns its own digest."""
    frame: bytes = require_zstd().ZstdCompressor(level=level).compress(content)
    numbers = (VERSION, len(frame), len(content))
    digest = _digest(before, numbers, frame)
    file.write(_HEAD.pack(_SKIPPED, _HEAD.size - 8, _NAME, *numbers, digest) + frame)
    return digest


def read_block(file: IO[bytes], before: bytes, most: int = MOST_BYTES) -> Block | None:
    """Read the block behind the one with the digest *before*, of at most *most* bytes; None at the end of the file.

    Raises:
        CorruptCheckpointError: It is damaged, cut off, or of an unknown format.
    """
    start = file.tell()
    head = file.read(_HEAD.size)
    if not head:
        return None
    if len(head) < _HEAD.size:
        raise CorruptCheckpointError(f"it is cut off at byte {start + len(head)}")
    skipped, size, name, version, stored, length, digest = _HEAD.unpack(head)
    if (skipped, size, name) != (_SKIPPED, _HEAD.size - 8, _NAME):
        what = "it is damaged" if start else "it is no file of threads"
        raise CorruptCheckpointError(f"{what}: byte {start} does not begin a block")
    if version != VERSION:
        raise CorruptCheckpointError(
            f"its format is {version}, and this version of zerograph_redis knows only {VERSION}; a newer version wrote it, "
            f"or it is damaged"
        )
    if length > most:
        raise CorruptCheckpointError(
            f"the block from byte {start} on says that {stored:,} bytes unpack to {length:,}, which is more than may be"
        )
    frame = file.read(stored)
    if len(frame) < stored:
        raise CorruptCheckpointError(f"it is cut off at byte {file.tell()}")
    if _digest(before, (version, stored, length), frame) != digest:
        raise CorruptCheckpointError(f"it is damaged: the block from byte {start} on does not match its checksum")
    return Block(_content(frame, length, start), digest, file.tell())


def _content(frame: bytes, length: int, start: int) -> bytes:
    zstandard = require_zstd()
    try:
        if zstandard.frame_content_size(frame) != length:
            raise CorruptCheckpointError(f"it is damaged: the block from byte {start} on has not the size that it says")
        content: bytes = zstandard.ZstdDecompressor().decompress(frame, max_output_size=length, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptCheckpointError(
            f"it is damaged: the block from byte {start} on cannot be read: {error}"
        ) from error
    return content


def _digest(before: bytes, numbers: tuple[int, int, int], frame: bytes) -> bytes:
    found = blake2b(before, digest_size=32)
    found.update(_NUMBERS.pack(*numbers))
    found.update(frame)
    return found.digest()


def require_zstd() -> ModuleType:
    """Return the module that compresses.

    Raises:
        ImportError: The extra is not installed.
    """
    try:
        import zstandard
    except ImportError as error:
        raise ImportError("files of threads need an extra: pip install 'zerograph-redis[zstd]'") from error
    return zstandard
