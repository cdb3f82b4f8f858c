"""The headers of MessagePack: the kind and size of a container, str or bin, before its content."""

from __future__ import annotations

LAYOUTS: dict[int, tuple[int, int, int]] = {
    **dict.fromkeys(range(0x80, 0x90), (1, 0x0F, 2)),
    **dict.fromkeys(range(0x90, 0xA0), (1, 0x0F, 1)),
    **dict.fromkeys(range(0xA0, 0xC0), (1, 0x1F, 0)),
    **dict.fromkeys((0xC4, 0xD9), (2, 0xFF, 0)),
    **dict.fromkeys((0xC5, 0xDA), (3, 0xFFFF, 0)),
    **dict.fromkeys((0xC6, 0xDB), (5, 0xFFFFFFFF, 0)),
    0xDC: (3, 0xFFFF, 1),
    0xDD: (5, 0xFFFFFFFF, 1),
    0xDE: (3, 0xFFFF, 2),
    0xDF: (5, 0xFFFFFFFF, 2),
}
"""By the first byte of a header: its length in bytes, the bits that are its count, and how many values each counted is:
1 in an array, 2 in a map, 0 in a str or bin, which count bytes."""
_NONE = (0, 0, 0)


def header_size(packed: bytes) -> int:
    """Return the length of the header at the beginning; 0 for a value without one."""
    return LAYOUTS.get(packed[0], _NONE)[0]


def header_of(packed: bytes) -> tuple[int, int]:
    """Return the length of the header at the beginning, and its count of members or bytes."""
    size, bits, _ = LAYOUTS.get(packed[0], _NONE)
    return size, int.from_bytes(packed[:size], "big") & bits


def map_header(size: int) -> bytes:
    """Return the header of a map of *size* entries."""
    return _header(size, 0x80, 0xDE)


def array_header(size: int) -> bytes:
    """Return the header of an array of *size* members."""
    return _header(size, 0x90, 0xDC)


def _header(size: int, short: int, wide: int) -> bytes:
    if size < 16:
        return bytes((short | size,))
    return bytes((wide,)) + size.to_bytes(2, "big") if size < 0x10000 else bytes((wide + 1,)) + size.to_bytes(4, "big")
