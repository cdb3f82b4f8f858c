"""The outline of a state: what each channel is made of, read from its record, without the large parts in the log.

A record has the packed state with its large parts cut out, and says where in the log each of them lies. Parts that lie at
the same place are equal, and a list that begins where an older one lies has grown: so most of what changed from one
checkpoint to the next is known without reading a state. How a state is cut is told in `zerograph_redis.state_log.cut`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from zerograph_redis.core.bounds import UNREADABLE
from zerograph_redis.core.records import CheckpointRecord
from zerograph_redis.serde.packing import msgpack
from zerograph_redis.serde.reprs import safe_repr as spell
from zerograph_redis.state_log import Segment
from zerograph_redis.state_log.cut import DEEPEST, WIDEST
from zerograph_redis.state_log.headers import header_of, header_size
from zerograph_redis.state_log.segments import joined

CHANNELS = "channel_values"
_LARGEST = 2**31 - 1
_OPTIONS: dict[str, Any] = {"strict_map_key": False, "unicode_errors": "surrogatepass"}


class NotAtHandError(Exception):
    """Bytes of a log are needed that were not read."""


class Piece(NamedTuple):
    """Bytes in a log."""

    generation: str
    segments: tuple[Segment, ...]

    @property
    def size(self) -> int:
        """How many bytes they are."""
        return sum(segment.length for segment in self.segments)


ReadPiece: TypeAlias = Callable[[Piece], bytes]
"""Reads a piece; NotAtHandError if its bytes are not at hand."""

Chunk: TypeAlias = bytes | Piece
Value: TypeAlias = tuple[Chunk, ...]
"""A packed value, with pieces where its large parts are."""


@dataclass(slots=True)
class StateOutline:
    """A state without its large parts."""

    channels: dict[str, Value] = field(default_factory=dict)
    fields: dict[str, Value] = field(default_factory=dict)
    """What else the checkpoint has."""


def outline_of(record: CheckpointRecord, read: ReadPiece) -> StateOutline:
    """Take a state apart into its channels.

    Raises:
        NotAtHandError: *read* does not have the bytes of a part whose entries must be counted.
        ValueError: The record is damaged.
    """
    pieces = [Piece(record.generation, tuple(joined(segments))) for _, segments in record.placed()]
    try:
        return _Reader(record.literals, pieces, read).outline()
    except (*UNREADABLE, msgpack.UnpackException) as error:
        raise ValueError("a state is not laid out as one") from error


def _is_map(kind: int) -> bool:
    return 0x80 <= kind < 0x90 or kind in {0xDE, 0xDF}


class _Reader:
    """Walks over literals and pieces as `pieces.cut` laid them down, and notes what it passes."""

    def __init__(self, literals: list[bytes], pieces: list[Piece], read: ReadPiece) -> None:
        self._literals = literals
        self._pieces = pieces
        self._read = read
        self._place = 0
        self._offset = 0
        self._passed: list[Chunk] = []

    def outline(self) -> StateOutline:
        found = StateOutline()
        self._entries(self._enter_map(), lambda name: self._top(name, found), found.fields)
        if self._place < len(self._pieces) or not self._is_spent():
            raise ValueError("a state has more after its end")
        return found

    def _top(self, name: str, found: StateOutline) -> None:
        if name == CHANNELS and self._is_at_map():
            self._entries(
                self._enter_map(), lambda channel: _note(found.channels, channel, self._value(1)), found.channels
            )
        else:
            found.fields[name] = self._value(0)

    def _entries(self, count: int, visit: Callable[[str], None], small: dict[str, Value]) -> None:
        """Pass the entries of a map: *visit* each, but for those that were cut out together, which go to *small*."""
        done = 0
        while done < count:
            if self._is_spent():
                entries = _split(self._read(self._take_piece()))
                small.update(entries)
                done += len(entries)
            else:
                self._passed = []
                self._skip()
                visit(_name(b"".join(chunk for chunk in self._passed if isinstance(chunk, bytes))))
                done += 1
        if done > count:
            raise ValueError("a map has more entries than it announces")

    def _value(self, depth: int) -> Value:
        """Pass a value, and return what it is made of."""
        self._passed = []
        self._pass(depth)
        found: list[Chunk] = []
        for chunk in self._passed:
            last = found[-1] if found else None
            if isinstance(chunk, bytes) and isinstance(last, bytes):
                found[-1] = last + chunk
            elif chunk:
                found.append(chunk)
        return tuple(found)

    def _pass(self, depth: int) -> None:
        if self._is_spent():
            self._take_piece()  # of a type of its own, whole
            return
        literal = self._literals[self._place]
        start = literal[self._offset : self._offset + 5]
        size, announced = header_of(start) if header_size(start) else (0, 0)
        if announced and _is_map(start[0]) and announced <= WIDEST and depth < DEEPEST:
            self._take(size)
            self._inner(announced, depth + 1)
        elif announced and self._offset + size == len(literal):
            self._take(size)
            self._take_piece()
        else:
            self._skip()

    def _inner(self, count: int, depth: int) -> None:
        done = 0
        while done < count:
            if self._is_spent():
                done += len(_split(self._read(self._take_piece())))
            else:
                self._skip()
                self._pass(depth)
                done += 1
        if done > count:
            raise ValueError("a map has more entries than it announces")

    def _is_at_map(self) -> bool:
        return not self._is_spent() and _is_map(self._literals[self._place][self._offset])

    def _enter_map(self) -> int:
        if not self._is_at_map():
            raise ValueError("a map was expected")
        literal = self._literals[self._place]
        size, count = header_of(literal[self._offset : self._offset + 5])
        self._take(size)
        return count

    def _is_spent(self) -> bool:
        """Tell whether the literal is at its end, so that a piece comes next, or nothing."""
        return self._offset == len(self._literals[self._place])

    def _take(self, size: int) -> None:
        literal = self._literals[self._place]
        self._passed.append(literal[self._offset : self._offset + size])
        self._offset += size

    def _take_piece(self) -> Piece:
        if self._place == len(self._pieces):
            raise ValueError("a state ends too early")
        piece = self._pieces[self._place]
        self._passed.append(piece)
        self._place += 1
        self._offset = 0
        return piece

    def _skip(self) -> None:
        """Pass a value that lies in the literal as a whole."""
        unpacker = _unpacker(self._literals[self._place][self._offset :])
        try:
            unpacker.skip()
        except msgpack.OutOfData as error:
            raise ValueError("a state ends too early") from error
        self._take(unpacker.tell())


def _unpacker(data: bytes) -> Any:
    unpacker = msgpack.Unpacker(max_buffer_size=_LARGEST, **_OPTIONS)
    unpacker.feed(data)
    return unpacker


def _split(data: bytes) -> list[tuple[str, Value]]:
    """Take apart the entries of a map without its header."""
    unpacker = _unpacker(data)
    found: list[tuple[str, Value]] = []
    start = 0
    while start < len(data):
        unpacker.skip()
        middle = unpacker.tell()
        unpacker.skip()
        end = unpacker.tell()
        found.append((_name(data[start:middle]), (data[middle:end],)))
        start = end
    return found


def _note(channels: dict[str, Value], name: str, value: Value) -> None:
    channels[name] = value


def _name(packed: bytes) -> str:
    name = msgpack.unpackb(packed, **_OPTIONS)
    return name if isinstance(name, str) else spell(name)
