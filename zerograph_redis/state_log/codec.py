"""What becomes of a piece on its way into the log, and back: it stays as it is, or is compressed, or encrypted."""

from __future__ import annotations

from typing import Protocol

from .compression import Compression, decompress
from .segments import Segment


class Cipher(Protocol):
    """What encrypts for one thread: `serde.encrypted.Cipher`."""

    def seal(self, data: bytes, context: bytes) -> bytes:
        """Encrypt."""

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt."""


class Codec(Protocol):
    """Turns pieces into what is stored, and back."""

    @property
    def cipher(self) -> Cipher | None:
        """What encrypts them, and all else of the thread, if anything does."""

    @property
    def packs(self) -> bool:
        """Whether any piece is stored as another than it is."""

    def pack(self, data: bytes | memoryview) -> bytes | None:
        """Return what to store for *data*, or None for the piece as it is."""

    def unpack(self, stored: bytes, segment: Segment) -> bytes:
        """Return the bytes of *segment*, of a piece that was stored as *stored*; ValueError if it is damaged."""


class PlainCodec:
    """Pieces that are stored as they are, or compressed."""

    cipher = None

    def __init__(self, compression: Compression | None) -> None:
        """Compress with *compression*. What was compressed is read without it too."""
        self.packs = compression is not None
        self._compression = compression

    def pack(self, data: bytes | memoryview) -> bytes | None:
        """Return *data* compressed, or None if that gains nothing."""
        return None if self._compression is None else self._compression.pack(data)

    def unpack(self, stored: bytes, segment: Segment) -> bytes:
        """Decompress."""
        return _range(decompress(stored, segment.whole), segment)


_CONTEXT = b"piece"
_AS_IT_IS, _COMPRESSED = b"0", b"1"


class EncryptedCodec:
    """Pieces that are encrypted, perhaps compressed before."""

    packs = True

    def __init__(self, cipher: Cipher, compression: Compression | None) -> None:
        """Encrypt with *cipher* what *compression* packed."""
        self.cipher = cipher
        self._compression = compression

    def pack(self, data: bytes | memoryview) -> bytes:
        """Return *data* encrypted."""
        packed = None if self._compression is None else self._compression.pack(data)
        return self.cipher.seal(_AS_IT_IS + data if packed is None else _COMPRESSED + packed, _CONTEXT)

    def unpack(self, stored: bytes, segment: Segment) -> bytes:
        """Decrypt, and decompress."""
        opened = self.cipher.unseal(stored, _CONTEXT)
        kind, data = opened[:1], opened[1:]
        return _range(decompress(data, segment.whole) if kind == _COMPRESSED else data, segment)

    def moved(self, stored: bytes, target: Cipher) -> bytes:
        """Encrypt a stored piece for another thread. It stays as long as it is."""
        return target.seal(self.cipher.unseal(stored, _CONTEXT), _CONTEXT)


def _range(piece: bytes, segment: Segment) -> bytes:
    if len(piece) != segment.whole or segment.skip + segment.length > segment.whole:
        raise ValueError("a piece is not as long as its record says")
    return piece[segment.skip : segment.skip + segment.length]
