"""Values to MessagePack: a fast path for values of plain types, and packers, nested by depth and kept per OS thread."""

from __future__ import annotations

import builtins
import gc
import re
import threading
from typing import Any, Final

import msgpack as _msgpack
import ormsgpack

from . import arrays, codes
from .codes import Checks, Encoders, RefusedError

msgpack: Final[Any] = _msgpack  # without type annotations

MAX_DEPTH: Final = 100
"""How deep types of extension codes may nest. Every level costs C stack, when packing and when unpacking."""

_MAX_LEVELS: Final = 10_000  # of dicts and lists, over all depths: these cost C stack too
_FREE_DEPTH: Final = 8  # so shallow that no allowed levels of dicts and lists can exhaust the stack
_KEPT_BYTES: Final = 1 << 20  # a packer keeps the largest buffer that it needed

# Types that msgpack packs by itself even with strict_types: as bytes, or as a code that is not one of ours.
NATIVE: Final[frozenset[type]] = frozenset(
    {bytearray, memoryview, msgpack.ExtType, msgpack.Timestamp, getattr(builtins, "frozendict", bytearray)}
)
_UNORDERED: Final[frozenset[type]] = frozenset({set, frozenset})
_SORTABLE: Final[frozenset[type]] = frozenset({str, bytes, int})
_PLAIN: Final[frozenset[type]] = frozenset({dict, list, str, int, float, bool, bytes, type(None)})

NotPlainError: Final[type[TypeError]] = ormsgpack.MsgpackEncodeError
"""What `pack_plain` and `pack_exact` raise for a value that is not of plain types alone."""

# The first bytes of a bin and of an ext in MessagePack. All native types are packed as one of them.
_NATIVE_CODES: Final = tuple(bytes([code]) for code in (*range(0xC4, 0xCA), *range(0xD4, 0xD9)))
_NATIVE_CODE: Final = re.compile(b"[\xc4-\xc9\xd4-\xd8]")
_SHORT: Final = 192  # bytes that one search for all codes reads faster than a search for each code


def _may_have_native(data: bytes) -> bool:
    """Return whether packed bytes could hold a native type. A no is certain, and what plain text and numbers mostly get."""
    if len(data) < _SHORT:
        return _NATIVE_CODE.search(data) is not None
    for code in _NATIVE_CODES:  # noqa: SIM110 - a generator would cost more than the search, in every put
        if code in data:
            return True
    return False


def is_free_of_bytes(value: Any) -> bool:
    """Return whether a value that was packed, and so has no cycle, has no bytes in it.

    NotPlainError if it has anything else that packs as bytes do. ``gc.get_referents`` returns the members of a whole level
    of dicts and lists at the speed of C, and ``join`` finds out as fast whether all of them are strings.
    """
    found = True
    level = [value]
    while level:
        try:
            "".join(level)
        except TypeError:
            pass
        else:
            break
        kinds = set(map(type, level))
        if not kinds.isdisjoint(NATIVE):
            raise NotPlainError
        found = found and bytes not in kinds
        if not kinds <= _PLAIN:
            level = [item for item in level if type(item) is dict or type(item) is list]
        level = gc.get_referents(*level)
    return found


# Values of plain types alone are packed by an encoder that takes half of msgpack's time. With these options it refuses
# all other types, so no check of the types comes first. But it packs a bytearray or memoryview as bytes, see `pack_exact`.
_EXACT: Final[int] = (
    ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_UUID
    | ormsgpack.OPT_PASSTHROUGH_BIG_INT
)


def pack_plain(value: Any) -> bytes:
    """Pack a value of plain types, as msgpack does; NotPlainError for all other types but those that it packs as bytes."""
    return _packb(value, None, _EXACT)  # by position: keywords would cost more than the packing


_packb: Final = ormsgpack.packb


def pack_exact(value: Any) -> bytes:
    """Pack a value of plain types; NotPlainError for any other."""
    data = _packb(value, None, _EXACT)
    if b"\xc4" in data or b"\xc5" in data or b"\xc6" in data:
        is_free_of_bytes(value)
    return data


def may_have_bytes(data: bytes, start: int = 0, stop: int | None = None) -> bool:
    """Return whether packed data, between *start* and *stop*, could hold bytes. A no is certain."""
    return (
        data.find(b"\xc4", start, stop) >= 0
        or data.find(b"\xc5", start, stop) >= 0
        or data.find(b"\xc6", start, stop) >= 0
    )


def _encode_bytearrays(value: Any) -> Any:
    """Return a copy of *value* with an extension code for each bytearray in its dicts and lists: msgpack has bytes alone."""
    result = [value]
    todo: list[tuple[Any, Any, Any]] = [(result, 0, value)]
    while todo:
        holder, at, item = todo.pop()
        kind = type(item)
        if kind is bytearray:
            holder[at] = msgpack.ExtType(codes.BYTEARRAY, msgpack.packb(bytes(item)))
        elif kind is list:
            holder[at] = copy = item.copy()
            todo += [(copy, index, member) for index, member in enumerate(item)]
        elif kind is dict:
            holder[at] = mapping = item.copy()
            todo += [(mapping, key, member) for key, member in item.items()]
            todo += [(None, None, key) for key in item if type(key) in NATIVE]
        elif kind in NATIVE:
            raise RefusedError(f"a {kind.__name__} cannot be stored")
    return result[0]


def _levels(value: Any) -> int:
    """Return how deep dicts and lists nest in *value*; one more than the limit stands for any larger depth."""
    level = [item for item in (value,) if type(item) in (dict, list)]
    levels = 0
    while level and levels <= _MAX_LEVELS:
        levels += 1
        unique = {id(item): item for item in gc.get_referents(*level) if type(item) is dict or type(item) is list}
        level = list(unique.values())
    return levels


class ThreadPackers(threading.local):
    """The packers of each OS thread, since a packer cannot be called again while it packs."""

    def __init__(self, encoders: Encoders, checks: Checks | None = None) -> None:
        """Make those of the current OS thread; ``threading.local`` calls this once in each."""
        self._strict = PackerStack(encoders, checks or {}, None)
        self._lenient = PackerStack(encoders, checks or {}, "surrogatepass")

    def pack(self, value: Any) -> bytes:
        """Return *value* as bytes."""
        try:
            return self._strict.pack(value)
        except UnicodeEncodeError:
            return self._lenient.pack(value)


class PackerStack:
    """One packer per depth."""

    __slots__ = ("_checking", "_checks", "_depth", "_encoders", "_levels", "_packers", "_unicode_errors")

    def __init__(self, encoders: Encoders, checks: Checks, unicode_errors: str | None) -> None:
        """Make an empty stack.

        Args:
            encoders: How every type is encoded.
            checks: The checks of some types, which run once an object is packed.
            unicode_errors: How to handle a lone surrogate, as for ``str.encode``; None refuses it, and is fastest.
        """
        self._encoders = encoders
        self._checks = checks
        self._checking = False
        self._unicode_errors = unicode_errors
        self._packers: list[Any] = []
        self._depth = 0
        self._levels = 0

    def pack(self, value: Any) -> bytes:
        """Return *value* as bytes; may be called again from within, through an encoder."""
        depth = self._depth
        if depth > MAX_DEPTH:
            raise RecursionError
        levels = 0
        if depth > _FREE_DEPTH:
            levels = _levels(value)
            if self._levels + levels > _MAX_LEVELS:
                raise RecursionError
        packers = self._packers
        if depth == len(packers):
            packers.append(self._packer(depth))
        self._depth = depth + 1
        self._levels += levels
        try:
            data: bytes = packers[depth].pack(value)
            # Only a check of every value tells a bytearray from bytes, and it takes about as long as packing does.
            if _may_have_native(data):
                try:
                    is_free_of_bytes(value)
                except NotPlainError:
                    if depth == MAX_DEPTH:
                        raise RecursionError from None
                    data = packers[depth].pack(_encode_bytearrays(value))
            if len(data) > _KEPT_BYTES:
                del packers[depth:]
        except BaseException:
            del packers[depth:]  # they still hold what was packed so far
            raise
        finally:
            self._depth = depth
            self._levels -= levels
        return data

    def _packer(self, depth: int) -> Any:
        # The first buffer of msgpack is 256 KiB, too much for every depth of every thread.
        size = {"buf_size": 1024} if depth else {}
        return msgpack.Packer(strict_types=True, default=self._extension, unicode_errors=self._unicode_errors, **size)

    def _extension(self, value: Any) -> Any:
        kind = type(value)
        entry = self._encoders.get(kind) or arrays.entry(kind)
        if entry is None:
            raise RefusedError(f"{kind.__qualname__} is not registered")
        code, encode = entry
        data = self.pack(self._in_order(value) if kind in _UNORDERED else encode(value))
        if self._checks and kind in self._checks and not self._checking:
            self._checking = True  # what the check itself packs was checked already, at its place in the value
            try:
                self._checks[kind](value, data, self.pack)
            finally:
                self._checking = False
        return msgpack.ExtType(code, data)

    def _in_order(self, members: Any) -> list[Any]:
        """Return the members of a set in an order that is the same in every process, unlike that of the set."""
        kinds = set(map(type, members))
        if len(kinds) == 1 and kinds <= _SORTABLE:
            return sorted(members)
        return sorted(members, key=self.pack)
