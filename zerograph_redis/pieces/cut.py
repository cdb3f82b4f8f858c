"""Cutting a state: what is large becomes a part of its own, known by its place in the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from xxhash import xxh32_intdigest

from zerograph_redis.serde.packing import is_free_of_bytes, may_have_bytes, pack_plain
from zerograph_redis.serde.wire import msgpack

from .base import BaseCheckpoint, BasePart

__all__ = ("DEEPEST", "SMALLEST", "WIDEST", "Cut", "Part", "cut", "cut_plain", "header_size")

SMALLEST = 512  # bytes: what is smaller costs less in the record than as a segment
WIDEST = 256  # entries of a dict that is looked into; a wider one is a part as a whole
DEEPEST = 8  # dicts within dicts that are looked into
_MOST = 1000  # parts of a state
_SCALARS = frozenset({bool, int, float, type(None)})
_CONTAINERS = frozenset({dict, list})

Pack = Callable[[Any], bytes]


class Part(NamedTuple):
    """The content of a large value, without its header, so that a list that grows keeps its beginning."""

    place: int
    """A hash of the keys that lead to it."""
    start: int
    """Where the content begins in the packed state, …"""
    stop: int
    """… and where it ends."""
    grown: bool
    """Whether it begins with the part in that place of the base checkpoint that the state was cut beside."""
    bytes_free: bool
    """Whether it is known to have no value of the type bytes, or of one that is packed alike."""


class Cut(NamedTuple):
    """A packed state, and which ranges of it are parts, in their order. What is between them are literals."""

    packed: bytes
    parts: list[Part]
    beside: BaseCheckpoint | None = None
    """The base checkpoint that its parts were compared with."""

    def literals(self) -> list[bytes]:
        """What stands before, between and behind the parts."""
        found = []
        position = 0
        for part in self.parts:
            found.append(self.packed[position : part.start])
            position = part.stop
        found.append(self.packed[position:])
        return found


def cut(state: Mapping[Any, Any], pack: Pack) -> Cut:
    """Pack *state*, value by value, and note which are large. All bytes together are those of ``pack(state)``."""
    cutter = _Cutter(pack, None, plain=False)
    cutter.walk(state, 0, 0, 0)
    return Cut(b"".join(cutter.chunks), cutter.parts)


def cut_plain(state: Mapping[Any, Any], base: BaseCheckpoint | None) -> Cut:
    """Cut a state of plain types, beside that of *base*; NotPlainError for any other."""
    cutter = _Cutter(pack_plain, base, plain=True)
    cutter.walk(state, 0, 0, 0)
    return Cut(b"".join(cutter.chunks), cutter.parts, base)


class _Cutter:
    __slots__ = ("_earlier", "_known", "_pack", "_plain", "chunks", "parts")

    def __init__(self, pack: Pack, base: BaseCheckpoint | None, *, plain: bool) -> None:
        self._pack = pack
        self._plain = plain
        self._earlier: Mapping[int, BasePart] = {} if base is None else base.parts
        self._known = memoryview(b"" if base is None else base.packed)
        self.chunks: list[bytes] = []
        self.parts: list[Part] = []

    def walk(self, mapping: Mapping[Any, Any], place: int, depth: int, size: int) -> int:
        """Add a dict behind *size* bytes; returns how many there are then."""
        pack, chunks = self._pack, self.chunks
        chunks.append(_map_header(len(mapping)))
        size += len(chunks[-1])
        small: dict[Any, Any] = {}
        for key, value in mapping.items():
            kind = type(value)
            if (kind is str and len(value) < SMALLEST) or kind in _SCALARS or (kind in _CONTAINERS and not value):
                small[key] = value
                continue
            if small:
                size = self._add_small(small, place, size)
                small = {}
            name = _pack_name(key) if type(key) is str else pack(key)
            chunks.append(name)
            size += len(name)
            inner = xxh32_intdigest(name, place)
            if kind is dict and len(value) <= WIDEST and depth < DEEPEST:
                size = self.walk(value, inner, depth + 1, size)
                continue
            content = pack(value)
            chunks.append(content)
            if len(content) >= SMALLEST:
                self._add_part(inner, value, content, header_size(content), size)
            elif self._plain and kind is not bytes and may_have_bytes(content):
                is_free_of_bytes(value)
            size += len(content)
        return self._add_small(small, place, size) if small else size

    def _add_small(self, entries: dict[Any, Any], place: int, size: int) -> int:
        packed = self._pack(entries)
        start = header_size(packed)
        content = packed[start:]
        self.chunks.append(content)
        if len(content) >= SMALLEST:
            self._add_part(xxh32_intdigest(content[:8], place), "", content, 0, size)
        return size + len(content)

    def _add_part(self, place: int, value: Any, packed: bytes, start: int, size: int) -> None:
        """Add what stands from *start* on in *packed*, which begins at *size*."""
        earlier = self._earlier.get(place)
        grown = earlier is not None and packed.startswith(self._known[earlier.start : earlier.stop], start)
        # Where packed bytes have no bytes in them, equal packed bytes have none either, whatever they were packed from:
        # of a list that grew, only what is new is looked at.
        seen = earlier.stop - earlier.start + start if grown and earlier and earlier.bytes_free else 0
        bytes_free = type(value) is str or (
            self._plain and type(value) is not bytes and (not may_have_bytes(packed, seen) or is_free_of_bytes(value))
        )
        if len(self.parts) < _MOST:
            self.parts.append(Part(place, size + start, size + len(packed), grown, bytes_free))


_HEADERS = {
    0xC4: 2, 0xC5: 3, 0xC6: 5,  # bin
    0xD9: 2, 0xDA: 3, 0xDB: 5,  # str
    0xDC: 3, 0xDD: 5,  # array
    0xDE: 3, 0xDF: 5,  # map
}  # fmt: skip


def header_size(packed: bytes) -> int:
    """How many bytes say the kind and size of a container, str or bin; 0 for what has no content apart from them."""
    first = packed[0]
    return 1 if 0x80 <= first < 0xC0 else _HEADERS.get(first, 0)


@lru_cache(maxsize=1024)
def _pack_name(name: str) -> bytes:
    """Pack a key; the same few names come in every state."""
    packed: bytes = msgpack.packb(name, unicode_errors="surrogatepass")
    return packed


def _map_header(size: int) -> bytes:
    if size < 16:
        return bytes((0x80 | size,))
    return b"\xde" + size.to_bytes(2, "big") if size < 0x10000 else b"\xdf" + size.to_bytes(4, "big")
