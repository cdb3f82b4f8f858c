"""The extension codes of the format, and the types of the tables that list how each is encoded and decoded.

A code is never reused or renumbered, because stored checkpoints carry it. New types take the next free number. The payload
of every code is one MessagePack value, described beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

BIG_INT: Final = 1  # bytes: little-endian, two's complement
BYTEARRAY: Final = 2  # bytes
TUPLE: Final = 3  # array of members
SET: Final = 4  # array of members
FROZENSET: Final = 5  # array of members
DEQUE: Final = 6  # [array of members, maxlen or nil]
ORDERED_DICT: Final = 7  # map
DEFAULT_DICT: Final = 8  # [name of the factory or nil, map]
COMPLEX: Final = 9  # [real, imaginary]
DECIMAL: Final = 10  # str
FRACTION: Final = 11  # [numerator, denominator]
DATETIME: Final = 12  # [year, month, day, hour, minute, second, microsecond, fold, tzinfo or nil]
DATE: Final = 13  # [year, month, day]
TIME: Final = 14  # [hour, minute, second, microsecond, fold, tzinfo or nil]
TIMEDELTA: Final = 15  # [days, seconds, microseconds]
TIMEZONE: Final = 16  # nil for UTC, else [days, seconds, microseconds] of the offset, then perhaps the name
ZONEINFO: Final = 17  # str: key of the zone
UUID: Final = 18  # 16 bytes, or [16 bytes, is_safe]
PURE_POSIX_PATH: Final = 19  # str
PURE_WINDOWS_PATH: Final = 20  # str
POSIX_PATH: Final = 21  # str
WINDOWS_PATH: Final = 22  # str
IPV4_ADDRESS: Final = 23  # str
IPV6_ADDRESS: Final = 24  # str
IPV4_NETWORK: Final = 25  # str
IPV6_NETWORK: Final = 26  # str
IPV4_INTERFACE: Final = 27  # str
IPV6_INTERFACE: Final = 28  # str
PATTERN: Final = 29  # [str or bytes, flags]
RANGE: Final = 30  # [start, stop, step]
SLICE: Final = 31  # [start, stop, step]
ARRAY: Final = 32  # [dtype, shape, "C" or "F", bytes]
SCALAR: Final = 33  # [dtype, bytes], ["U", str] or ["S", bytes]
COUNTER: Final = 34  # map
CHAIN_MAP: Final = 35  # array of its mappings

REGISTERED: Final = 64  # [name, value]; of a pydantic model also the fields set, extras or nil, private or nil

EXTERNAL: Final = 127  # a reference to a part that is stored elsewhere

Function: TypeAlias = Callable[[Any], Any]
Types: TypeAlias = dict[type, tuple[int, Function, Function]]
"""By type: its code, the function from an object to a storable value, which is the payload, and the function back."""

Entry: TypeAlias = tuple[int, Function]
"""A code, and the function from an object to the payload."""

Encoders: TypeAlias = dict[type, Entry]
Decoders: TypeAlias = dict[int, Function]
Checks: TypeAlias = dict[type, Callable[[Any, bytes, Callable[[Any], bytes]], None]]
"""Raise RefusedError if an object would not come back exactly: given the object, its packed bytes, and what packed it."""


class RefusedError(ValueError):
    """A value of a known type cannot be stored exactly. The message has the reason and the fix, but not the place."""


def expect(kind: type, stored: Any) -> Any:
    """Return *stored* if it is exactly of the type that the format demands here; else ValueError."""
    if type(stored) is not kind:
        raise ValueError(f"{kind.__name__} expected, not {type(stored).__name__}")
    return stored
