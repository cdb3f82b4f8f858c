"""Cutting a state: what is large becomes a part of its own, known by its place in the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import msgspec
from xxhash import xxh32_intdigest

from zerograph_redis.serde.packing import is_free_of_bytes, may_have_bytes, msgpack, pack_plain

from .headers import LAYOUTS, header_size, map_header

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
    header: int = 0
    """How many bytes its header has, which stands before it; 0 for what has none, or if nobody looked."""


_part = partial(tuple.__new__, Part)
"""Makes a part in one step of C."""


class Cut(NamedTuple):
    """A packed state, and which ranges of it are parts, in their order. What is between them are literals."""

    packed: bytes
    parts: Sequence[Part]
    room: int = -1
    """How many bytes the literals of the next state may have, if it is cut like this one; below 0 for not at all."""
    bytes_free: bool = False
    """Whether it is known to have no value of the type bytes, or of one that is packed alike."""

    def literals(self) -> list[bytes]:
        """What stands before, between and behind the parts."""
        packed, found, position = self.packed, [], 0
        for _, start, stop, _ in self.parts:
            found.append(packed[position:start])
            position = stop
        found.append(packed[position:])
        return found


def cut(state: Mapping[Any, Any], pack: Pack) -> Cut:
    """Pack *state*, value by value, and note which are large. All bytes together are those of ``pack(state)``."""
    cutter = _Cutter(pack)
    size = cutter.walk(state, 0, 0, 0)
    literals = size - sum(part.stop - part.start for part in cutter.parts)
    return Cut(b"".join(cutter.chunks), cutter.parts, literals + _MORE if cutter.is_narrow else -1)


def cut_plain(state: dict[Any, Any], earlier: Cut | None) -> Cut:
    """Cut a state of plain types, like an earlier one if that can be; NotPlainError for any other."""
    packed = pack_plain(state)
    found = None if earlier is None else cut_like(packed, earlier)
    if found is not None and found.bytes_free:
        return found
    bytes_free = not may_have_bytes(packed) or is_free_of_bytes(state)
    return (found or cut(state, pack_plain))._replace(bytes_free=bytes_free)


def cut_like(packed: bytes, earlier: Cut) -> Cut | None:
    """Cut a packed state where an earlier one was cut, if lists and dicts are the same or grown there; else None.

    Nothing is looked at but bytes, so this takes a fraction of `cut`. A part begins where it did, or a little elsewhere,
    since what stands before it may have another length now; and its header says how long it is, or how much it grew.
    """
    known, room, bytes_free = memoryview(earlier.packed), earlier.room, earlier.bytes_free
    # A short state is looked through as a whole first, and mostly that is all.
    is_doubtful = bytes_free and (len(packed) > _SHORT or may_have_bytes(packed))
    parts: list[Part] = []
    position = behind = 0
    for part in earlier.parts:
        place, start, stop, header = part
        first = position + start - behind
        last = first + stop - start
        if packed.startswith(known[start - header : stop], first - header):
            parts.append(_part((place, first, last, header)))
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
    """Find what a part became, which stood behind *behind*, and stands behind *position*.

    Also returns what was added to a list or dict: keys and values; None for bytes.
    """
    place, start, stop, header = part
    begin = start - header
    if not header:
        return None
    head = position + begin - behind
    key = known[max(behind, begin - _KEY) : begin]  # as much of it as is enough to find it
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
        return _part((place, first, first + count, size)), [] if packed[head] in _STR else None
    grown_from = first + stop - start
    more = count - (int.from_bytes(known[begin:start], "big") & earlier_bits)
    if more < 0 or not packed.startswith(known[start:stop], first):
        return None
    # What follows was there before, unless it is another key now: so what is between is looked through.
    if stop == len(known):
        last = len(packed)
    else:
        text = known[stop] - 0x9F if 0xA0 <= known[stop] < 0xC0 else 2 * _KEY  # the next key, which is short mostly
        last = packed.find(known[stop : stop + text], grown_from)
    if last < 0:
        return None
    try:
        added = _VALUES.decode(b"\xdd%b%b" % ((more * values).to_bytes(4, "big"), packed[grown_from:last]))
    except (msgspec.MsgspecError, OverflowError):
        return None
    return _part((place, first, last, size)), added


_NO_LAYOUT = (0, 0, 0)
_SHORT = 4096
_STR = frozenset({0xD9, 0xDA, 0xDB})
_VALUES = msgspec.msgpack.Decoder(list[Any])
_MORE = 64
"""Bytes by which literals may grow until somebody looks whether there is another part among them."""
_KEY = 4
"""Bytes at the end of a key that are enough to find it."""


class _Cutter:
    __slots__ = ("_pack", "chunks", "is_narrow", "parts")

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self.is_narrow = True  # no dict that was looked into may soon have too many entries for that
        self.chunks: list[bytes] = []
        self.parts: list[Part] = []

    def walk(self, mapping: Mapping[Any, Any], place: int, depth: int, size: int) -> int:
        """Add a dict behind *size* bytes; returns how many there are then."""
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
                self._add_part(inner, size, size + len(content), header_size(content))
            size += len(content)
        return self._add_small(small, place, size) if small else size

    def _add_small(self, entries: dict[Any, Any], place: int, size: int) -> int:
        packed = self._pack(entries)
        content = packed[header_size(packed) :]
        self.chunks.append(content)
        if len(content) >= SMALLEST:
            self._add_part(xxh32_intdigest(content[:8], place), size, size + len(content), 0)
        return size + len(content)

    def _add_part(self, place: int, start: int, stop: int, header: int) -> None:
        if len(self.parts) < _MOST:
            self.parts.append(_part((place, start + header, stop, header)))


@lru_cache(maxsize=1024)
def _pack_name(name: str) -> bytes:
    """Pack a key; the same few names come in every state."""
    packed: bytes = msgpack.packb(name, unicode_errors="surrogatepass")
    return packed
