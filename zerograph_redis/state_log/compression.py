"""Compression of what is appended to a log, piece by piece."""

from __future__ import annotations

from types import ModuleType
from typing import Literal

from zerograph_redis.display import quoted
from zerograph_redis.errors import SerializationError

_SMALLEST = 128  # bytes: less gains nothing
_MOST = 64 * 1024 * 1024  # bytes that a piece may unpack to; a larger one stays as it is


class Compression:
    """Packs pieces with zstd."""

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
        if not _SMALLEST <= len(data) <= _MOST:
            return None
        # A compressor is not for several threads at once; making one is cheap.
        packed = _zstandard().ZstdCompressor(level=self._level).compress(data)
        return packed if len(packed) < 0.9 * len(data) else None


def decompress(data: bytes, size: int) -> bytes:
    """Return what was compressed to *data*, *size* bytes.

    Raises:
        SerializationError: The extra is not installed.
        ValueError: The piece is damaged, or would unpack to another size.
    """
    try:
        zstandard = _zstandard()
    except ImportError as error:
        raise SerializationError(f"the state is compressed: {error}") from error
    try:
        if size > _MOST or zstandard.frame_content_size(data) != size:
            raise ValueError("a compressed piece has not the size that its record says")
        whole: bytes = zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ValueError(f"a compressed piece is damaged: {error}") from error
    return whole


def _zstandard() -> ModuleType:
    try:
        import zstandard
    except ImportError as error:
        raise ImportError("compressed states need an extra: pip install 'zerograph-redis[zstd]'") from error
    return zstandard
