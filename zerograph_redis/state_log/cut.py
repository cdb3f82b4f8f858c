"""Cutting a state: large values become parts, which are known by the path of keys that leads to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import msgspec
from xxhash import xxh32_intdigest

from zerograph_redis.serde.packing import is_free_of_bytes, may_have_bytes, msgpack, pack_plain

from .headers import LAYOUTS, header_size, map_header

SMALLEST = 512  # bytes of a part: a smaller value costs less in the record than as a segment
WIDEST = 256  # entries of a dict whose values may be parts; a larger dict is one part
DEEPEST = 8  # dicts within dicts whose values may be parts
_MOST = 1000  # parts of a state
_SCALARS = frozenset({bool, int, float, type(None)})
_CONTAINERS = frozenset({dict, list})

Pack = Callable[[Any], bytes]


class Part(NamedTuple):
    """The content of a large value, without its header, so that a list that grows keeps its beginning."""

    path: int
    """A hash of the keys that lead to it."""
    start: int
    """Where the content begins in the packed state."""
    stop: int
    """Where the content ends."""
    header: int = 0
    """The length of the header before it; 0 if it has none, or is unknown."""


_part = partial(tuple.__new__, Part)
"""Makes a part in one step of C."""


class Cut(NamedTuple):
    """A packed state, and which ranges of it are parts, in their order. The bytes between them are literals."""

    packed: bytes
    parts: Sequence[Part]
    room: int = -1
    """How many bytes the literals of the next state may have to cut it like this one; below 0 if that must not be tried."""
    bytes_free: bool = False
    """Whether it is known to have no value that is packed as bytes."""

    def literals(self) -> list[bytes]:
        """Return the bytes before, between and behind the parts."""
        packed, found, position = self.packed, [], 0
        for _, start, stop, _ in self.parts:
            found.append(packed[position:start])
            position = stop
        found.append(packed[position:])
        return found


def cut(state: Mapping[Any, Any], pack: Pack) -> Cut:
    """Pack *state* value by value, and cut out the large ones. Together the bytes are those of ``pack(state)``."""
    cutter = _Cutter(pack)
    size = cutter.walk(state, 0, 0, 0)
    literals = size - sum(part.stop - part.start for part in cutter.parts)
    return Cut(b"".join(cutter.chunks), cutter.parts, literals + _MORE if cutter.is_narrow else -1)


def cut_plain(state: dict[Any, Any], earlier: Cut | None) -> Cut:
    """Cut a state of plain types, like an earlier one if possible; NotPlainError for any other state."""
    packed = pack_plain(state)
    found = None if earlier is None else cut_like(packed, earlier)
    if found is not None and found.bytes_free:
        return found
    bytes_free = not may_have_bytes(packed) or is_free_of_bytes(state)
    return (found or cut(state, pack_plain))._replace(bytes_free=bytes_free)


def cut_like(packed: bytes, earlier: Cut) -> Cut | None:
    """Cut a packed state where an earlier one was cut, if its lists and dicts are the same or grew; else return None.

    It compares bytes alone, so it takes a fraction of the time of `cut`. A part begins where it did, or a little elsewhere,
    since the literals before it may have another length now; its header has its length, or shows how much it grew.
    """
    known, room, bytes_free = memoryview(earlier.packed), earlier.room, earlier.bytes_free
    # A short state is searched as a whole first, which is mostly enough.
    is_doubtful = bytes_free and (len(packed) > _SHORT or may_have_bytes(packed))
    parts: list[Part] = []
    position = behind = 0
    for part in earlier.parts:
        path, start, stop, header = part
        first = position + start - behind
        last = first + stop - start
        if packed.startswith(known[start - header : stop], first - header):
            parts.append(_part((path, first, last, header)))
        else:
            changed = _changed(packed, known, part, position, behind)
            if changed is None:
                return None
            found, added = changed
            parts.append(found)
            _, first, last, _ = found
            if is_doubtful and bytes_free:
                seen = first + stop - start
                bytes_free = added is not None and (not may_have_bytes(packed, seen, last) or is_free_of_bytes(added))
        room -= first - position
        if is_doubtful:
            bytes_free = bytes_free and not may_have_bytes(packed, position, first)
        position, behind = last, stop
    if len(packed) - position > room:
        return None
    if is_doubtful:
        bytes_free = bytes_free and not may_have_bytes(packed, position)
    return Cut(packed, parts, earlier.room, bytes_free)


def _changed(
    packed: bytes, known: memoryview, part: Part, position: int, behind: int
) -> tuple[Part, list[Any] | None] | None:
    """Find a changed part, which came after *behind* in the earlier state, and comes after *position* now.

    Also returns what was added to a list or dict: members, or keys and values. None for bytes.
    """
    path, start, stop, header = part
    begin = start - header
    if not header:
        return None
    head = position + begin - behind
    key = known[max(behind, begin - _KEY) : begin]  # the end of its key
    if not packed.startswith(key, head - len(key)):
        head = packed.find(key, position, head + _MORE) + len(key)
        if head < position + len(key):
            return None
    if head == len(packed):
        return None
    size, bits, values = LAYOUTS.get(packed[head], _NO_LAYOUT)
    first = head + size
    count = int.from_bytes(packed[head:first], "big") & bits
    _, earlier_bits, earlier_values = LAYOUTS[known[begin]]
    if not size or values != earlier_values:
        return None
    if not values:
        if not SMALLEST <= count <= len(packed) - first:
            return None
        return _part((path, first, first + count, size)), [] if packed[head] in _STR else None
    grown_from = first + stop - start
    more = count - (int.from_bytes(known[begin:start], "big") & earlier_bits)
    if more < 0 or not packed.startswith(known[start:stop], first):
        return None
    # What follows is the next key, unless that changed: so the bytes between are decoded.
    if stop == len(known):
        last = len(packed)
    else:
        text = known[stop] - 0x9F if 0xA0 <= known[stop] < 0xC0 else 2 * _KEY  # the next key is mostly short
        last = packed.find(known[stop : stop + text], grown_from)
    if last < 0:
        return None
    try:
        added = _VALUES.decode(b"\xdd%b%b" % ((more * values).to_bytes(4, "big"), packed[grown_from:last]))
    except (msgspec.MsgspecError, OverflowError):
        return None
    return _part((path, first, last, size)), added


_NO_LAYOUT = (0, 0, 0)
_SHORT = 4096
_STR = frozenset({0xD9, 0xDA, 0xDB})
_VALUES = msgspec.msgpack.Decoder(list[Any])
_MORE = 64
"""Bytes by which literals may grow until the state is walked again, since they may contain another part."""
_KEY = 4
"""Bytes at the end of a key that are enough to find it."""


class _Cutter:
    __slots__ = ("_pack", "chunks", "is_narrow", "parts")

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self.is_narrow = True  # no dict may soon have too many entries to be cut
        self.chunks: list[bytes] = []
        self.parts: list[Part] = []

    def walk(self, mapping: Mapping[Any, Any], path: int, depth: int, size: int) -> int:
        """Add a dict after *size* bytes; returns the size with it."""
        pack, chunks = self._pack, self.chunks
        if len(mapping) > WIDEST // 2:
            self.is_narrow = False
        chunks.append(map_header(len(mapping)))
        size += len(chunks[-1])
        small: dict[Any, Any] = {}
        for key, value in mapping.items():
            kind = type(value)
            if (kind is str and len(value) < SMALLEST) or kind in _SCALARS or (kind in _CONTAINERS and not value):
                small[key] = value
                continue
            if small:
                size = self._add_small(small, path, size)
                small = {}
            name = _pack_name(key) if type(key) is str else pack(key)
            chunks.append(name)
            size += len(name)
            inner = xxh32_intdigest(name, path)
            if kind is dict and len(value) <= WIDEST and depth < DEEPEST:
                size = self.walk(value, inner, depth + 1, size)
                continue
            content = pack(value)
            chunks.append(content)
            if len(content) >= SMALLEST:
                self._add_part(inner, size, size + len(content), header_size(content))
            size += len(content)
        return self._add_small(small, path, size) if small else size

    def _add_small(self, entries: dict[Any, Any], path: int, size: int) -> int:
        packed = self._pack(entries)
        content = packed[header_size(packed) :]
        self.chunks.append(content)
        if len(content) >= SMALLEST:
            self._add_part(xxh32_intdigest(content[:8], path), size, size + len(content), 0)
        return size + len(content)

    def _add_part(self, path: int, start: int, stop: int, header: int) -> None:
        if len(self.parts) < _MOST:
            self.parts.append(_part((path, start + header, stop, header)))


@lru_cache(maxsize=1024)
def _pack_name(name: str) -> bytes:
    """Pack a key; states have the same few names."""
    packed: bytes = msgpack.packb(name, unicode_errors="surrogatepass")
    return packed
