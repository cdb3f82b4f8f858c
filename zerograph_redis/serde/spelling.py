"""Values in words: for messages and tables, where nothing may raise and nothing may take long."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

# Made of ints, and so without a repr where an int is too large for one.
_PARTS: Final[dict[type, tuple[str, ...]]] = {
    range: ("start", "stop", "step"),
    slice: ("start", "stop", "step"),
    Fraction: ("numerator", "denominator"),
}


def spell(value: Any) -> str:
    """Return ``repr(value)``, or what can be said of a value that has none. A huge int is spelled in hexadecimal digits."""
    try:
        return _spelled(value)
    except Exception as error:  # noqa: BLE001 - a user's type may raise anything
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def _spelled(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:
        kind = type(value)
        if kind is int:
            return hex(value)
        if kind is tuple:
            return f"({', '.join(map(_spelled, value))}{',' if len(value) == 1 else ''})"
        if kind in _PARTS:
            return f"{kind.__name__}({', '.join(_spelled(getattr(value, name)) for name in _PARTS[kind])})"
        raise


def has_digits(value: int) -> bool:
    """Tell if Python converts an int to decimal digits.

    It bounds their number (``sys.get_int_max_str_digits``), since that takes time with the square of it.
    """
    try:
        str(value)
    except ValueError:
        return False
    return True


def reason(error: BaseException) -> str:
    """Return the type of an error and what it says, if it can say it."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - such as a KeyError of what has no repr
        return type(error).__name__
