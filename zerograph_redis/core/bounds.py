"""What stored numbers and columns may be. Anything else is damage: a ValueError here, until the thread is named."""

from __future__ import annotations

import re
from typing import Any

from zerograph_redis.errors import CorruptCheckpointError

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What taking a store's reply apart raises if it is not what a saver stored. Nothing but the reply can be the cause."""

END_OF_ORDERS = 1 << 52
"""Orders and points in time are less: in µs, it is in the year 2112."""

END_OF_LOGS = 1 << 63
"""Names of logs are less."""

_NUMBER = re.compile(rb"[0-9]{1,18}")
_ORDER = re.compile("000[0-9a-f]{13}")


def number(stored: Any, end: int = 1 << 62) -> int:
    """Return the number that decimal digits spell, less than *end*."""
    if _NUMBER.fullmatch(stored) is None:
        raise ValueError("a stored number has other characters than digits, or too many")
    return whole(int(stored), end)


def whole(stored: Any, end: int = 1 << 62) -> int:
    """Return a number from a column, from 0 to less than *end*."""
    if type(stored) is not int or not 0 <= stored < end:
        raise ValueError("a stored number is out of its bounds")
    return stored


def text(stored: Any) -> str:
    """Return the text of a column."""
    if type(stored) is not str:
        raise ValueError("a stored text is none")
    stored.encode()  # what was no UTF-8 has surrogates now
    return stored


def blob(stored: Any) -> bytes:
    """Return the bytes of a column."""
    if type(stored) is not bytes:
        raise ValueError("stored bytes are none")
    return stored


def order(stored: bytes | str) -> str:
    """Return the order that 16 hex digits spell, as they spell it."""
    text = stored if isinstance(stored, str) else stored.decode("ascii")
    if _ORDER.fullmatch(text) is None:
        raise ValueError("a stored order is out of its bounds")
    return text


def unreadable(what: str, error: Exception) -> CorruptCheckpointError:
    """Return the error for *what* a store has and no saver stored there, without a word of its content."""
    return CorruptCheckpointError(
        f"{what}: what is stored is not what a saver stores ({type(error).__name__}), so something else changed it. "
        f"delete_thread clears the rest."
    )
