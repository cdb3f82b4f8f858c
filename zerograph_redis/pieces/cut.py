"""Cutting a state: what is large becomes a part of its own, known by its place in the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from xxhash import xxh32_intdigest

from zerograph_redis.serde.wire import msgpack

__all__ = ("DEEPEST", "SMALLEST", "WIDEST", "Cut", "Part", "cut", "header_size")

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
    packed: bytes
    start: int = 0
    """Where the content begins in *packed*. It is not copied: a state is mostly what it was."""

    @property
    def payload(self) -> memoryview:
        """The content."""
        return memoryview(self.packed)[self.start :]

    @property
    def size(self) -> int:
        """The bytes of the content."""
        return len(self.packed) - self.start


class Cut(NamedTuple):
    """A packed state: literal, part, literal, part, …, literal."""

    literals: list[bytes]
    parts: list[Part]

    def whole(self) -> list[bytes | memoryview]:
        """The bytes of the packed state, in pieces."""
        found: list[bytes | memoryview] = [self.literals[0]]
        for part, literal in zip(self.parts, self.literals[1:], strict=True):
            found += (part.payload, literal)
        return found


def cut(state: Mapping[Any, Any], pack: Pack) -> Cut:
    """Pack *state* and cut it. The pieces put together are the bytes of ``pack(state)``."""
    cutter = _Cutter(pack)
    cutter.walk(state, 0, 0)
    return cutter.result()


class _Cutter:
    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._literals: list[bytes] = []
        self._parts: list[Part] = []
        self._literal = bytearray()

    def result(self) -> Cut:
        return Cut([*self._literals, bytes(self._literal)], self._parts)

    def walk(self, mapping: Mapping[Any, Any], place: int, depth: int) -> None:
        self._literal += _map_header(len(mapping))
        small: dict[Any, Any] = {}
        for key, value in mapping.items():
            kind = type(value)
            if kind in _SCALARS or (kind is str and len(value) < SMALLEST) or (kind in _CONTAINERS and not value):
                small[key] = value
                continue
            if small:
                self._add_small(small, place)
                small = {}
            packed_key = _pack_name(key) if type(key) is str else self._pack(key)
            self._literal += packed_key
            inner = xxh32_intdigest(packed_key, seed=place)
            if kind is dict and len(value) <= WIDEST and depth < DEEPEST:
                self.walk(value, inner, depth + 1)
            else:
                self._add(self._pack(value), inner)
        if small:
            self._add_small(small, place)

    def _add_small(self, entries: dict[Any, Any], place: int) -> None:
        packed = self._pack(entries)
        start = header_size(packed)
        content = memoryview(packed)[start:]
        if len(content) < SMALLEST:
            self._literal += content
        else:
            self._hoist(Part(xxh32_intdigest(content[:8], seed=place), packed, start))

    def _add(self, packed: bytes, place: int) -> None:
        if len(packed) < SMALLEST:
            self._literal += packed
        else:
            size = header_size(packed)
            self._literal += memoryview(packed)[:size]
            self._hoist(Part(place, packed, size))

    def _hoist(self, part: Part) -> None:
        if len(self._parts) == _MOST:
            self._literal += part.payload
            return
        self._literals.append(bytes(self._literal))
        self._parts.append(part)
        self._literal.clear()


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
