"""What stored numbers and columns may be. Anything else is damage: a ValueError here, until the thread is named."""

from __future__ import annotations

import re
from typing import Any

from zerograph_redis.errors import CorruptCheckpointError

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What decoding a store's reply raises if no saver stored it. Nothing but the reply can be the cause."""

END_OF_ORDERS = 1 << 52
"""Orders and points in time are less: in µs, it is in the year 2112."""

END_OF_LOGS = 1 << 63
"""Generations of logs are less."""

_NUMBER = re.compile(rb"[0-9]{1,18}")
_ORDER = re.compile("000[0-9a-f]{13}")


def number(stored: Any, end: int = 1 << 62) -> int:
    """Decode decimal digits: a number from 0 to less than *end*."""
    if _NUMBER.fullmatch(stored) is None:
        raise ValueError("a stored number has characters that are no digits, or too many digits")
    return whole(int(stored), end)


def whole(stored: Any, end: int = 1 << 62) -> int:
    """Check a number of a column: an int from 0 to less than *end*."""
    if type(stored) is not int or not 0 <= stored < end:
        raise ValueError("a stored number is out of range")
    return stored


def text(stored: Any) -> str:
    """Check the text of a column."""
    if type(stored) is not str:
        raise ValueError("a stored value is not text")
    stored.encode()  # bytes that are no UTF-8 were read as surrogates
    return stored


def blob(stored: Any) -> bytes:
    """Check the bytes of a column."""
    if type(stored) is not bytes:
        raise ValueError("a stored value is not bytes")
    return stored


def order(stored: bytes | str) -> str:
    """Check an order, which is 16 hex digits."""
    text = stored if isinstance(stored, str) else stored.decode("ascii")
    if _ORDER.fullmatch(text) is None:
        raise ValueError("a stored order is out of range")
    return text


def unreadable(what: str, error: Exception) -> CorruptCheckpointError:
    """Return the error for a reply that cannot be decoded. It quotes nothing of the reply."""
    return CorruptCheckpointError(
        f"{what}: the stored bytes are not those of a saver ({type(error).__name__}), so something else changed them. "
        f"delete_thread removes the thread."
    )
