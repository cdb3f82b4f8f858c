"""How bytes are stored in the log: as they are, compressed, or encrypted. A *block* is what was encoded at once."""

from __future__ import annotations

from types import ModuleType
from typing import Literal, Protocol

from zerograph_redis.display import quoted
from zerograph_redis.errors import SerializationError

from .segments import Segment

_SMALLEST = 128  # bytes: compressing less gains nothing
_LARGEST = 64 * 1024 * 1024  # bytes of a compressed block when it is unpacked; a larger one is not compressed


class Cipher(Protocol):
    """Encrypts for one thread: `serde.encrypted.Cipher`."""

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        """Encrypt."""

    def decrypt(self, encrypted: bytes, context: bytes) -> bytes:
        """Decrypt."""


class Codec(Protocol):
    """Encodes blocks, and decodes segments of them."""

    @property
    def cipher(self) -> Cipher | None:
        """What encrypts the thread, if anything does."""

    @property
    def packs(self) -> bool:
        """Whether any block is encoded."""

    def pack(self, data: bytes | memoryview) -> bytes | None:
        """Return what to store for a block, or None to store it as it is."""

    def unpack(self, stored: bytes, segment: Segment) -> bytes:
        """Return the bytes of *segment*, whose block was stored as *stored*; ValueError if it is damaged."""


class Compression:
    """Compresses blocks with zstd."""

    def __init__(self, codec: Literal["zstd"], level: int) -> None:
        """Compress at *level*, 1 to 22.

        Raises:
            ValueError: The codec or the level is unknown.
            ImportError: The extra is not installed.
        """
        if not isinstance(codec, str) or str.__str__(codec) != "zstd":
            raise ValueError(f"compression must be 'zstd' or None, not {quoted(codec)}")
        if type(level) is not int or not 1 <= level <= 22:
            raise ValueError(f"compression_level must be from 1 to 22, not {quoted(level)}")
        _zstandard()
        self._level = level

    def pack(self, data: bytes | memoryview) -> bytes | None:
        """Return *data* compressed, or None if that gains nothing."""
        if not _SMALLEST <= len(data) <= _LARGEST:
            return None
        # A compressor must not be shared by threads; making one is cheap.
        packed = _zstandard().ZstdCompressor(level=self._level).compress(data)
        return packed if len(packed) < 0.9 * len(data) else None


class PlainCodec:
    """Stores blocks as they are, or compressed."""

    cipher = None

    def __init__(self, compression: Compression | None) -> None:
        """Compress with *compression*. Compressed blocks are read without it too."""
        self.packs = compression is not None
        self._compression = compression

    def pack(self, data: bytes | memoryview) -> bytes | None:
        """Return a block compressed, or None if that gains nothing."""
        return None if self._compression is None else self._compression.pack(data)

    def unpack(self, stored: bytes, segment: Segment) -> bytes:
        """Decompress."""
        return _range(_decompress(stored, segment.whole), segment)


class EncryptedCodec:
    """Stores blocks encrypted, perhaps compressed before."""

    packs = True
    _CONTEXT = b"piece"
    _AS_IT_IS, _COMPRESSED = b"0", b"1"

    def __init__(self, cipher: Cipher, compression: Compression | None) -> None:
        self.cipher = cipher
        self._compression = compression

    def pack(self, data: bytes | memoryview) -> bytes:
        """Return a block encrypted."""
        packed = None if self._compression is None else self._compression.pack(data)
        return self.cipher.encrypt(
            self._AS_IT_IS + data if packed is None else self._COMPRESSED + packed, self._CONTEXT
        )

    def unpack(self, stored: bytes, segment: Segment) -> bytes:
        """Decrypt, and decompress."""
        content = self.cipher.decrypt(stored, self._CONTEXT)
        kind, data = content[:1], content[1:]
        return _range(_decompress(data, segment.whole) if kind == self._COMPRESSED else data, segment)

    def reencrypted(self, stored: bytes, target: Cipher) -> bytes:
        """Encrypt a stored block for another thread. Its length stays the same."""
        return target.encrypt(self.cipher.decrypt(stored, self._CONTEXT), self._CONTEXT)


def _range(block: bytes, segment: Segment) -> bytes:
    if len(block) != segment.whole or segment.skip + segment.length > segment.whole:
        raise ValueError("a block of the log has another length than its record names")
    return block[segment.skip : segment.skip + segment.length]


def _decompress(data: bytes, size: int) -> bytes:
    """Decompress a block of *size* bytes; ValueError if it is damaged or has another size."""
    try:
        zstandard = _zstandard()
    except ImportError as error:
        raise SerializationError(f"the state is compressed: {error}") from error
    try:
        if size > _LARGEST or zstandard.frame_content_size(data) != size:
            raise ValueError("a compressed block of the log has another size than its record names")
        whole: bytes = zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ValueError(f"a compressed block of the log is damaged: {error}") from error
    return whole


def _zstandard() -> ModuleType:
    try:
        import zstandard
    except ImportError as error:
        raise ImportError("compressed states need an extra: pip install 'zerograph-redis[zstd]'") from error
    return zstandard
