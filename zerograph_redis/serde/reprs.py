"""Text for any value and any error, in messages and tables: nothing here raises, and nothing takes long."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

# Their repr shows ints, so it fails where an int has too many digits.
_PARTS: Final[dict[type, tuple[str, ...]]] = {
    range: ("start", "stop", "step"),
    slice: ("start", "stop", "step"),
    Fraction: ("numerator", "denominator"),
}


def safe_repr(value: Any) -> str:
    """Return ``repr(value)``, or a description if that raises. A huge int is written in hexadecimal digits."""
    try:
        return _repr(value)
    except Exception as error:  # noqa: BLE001 - a user's type may raise anything
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:
        kind = type(value)
        if kind is int:
            return hex(value)
        if kind is tuple:
            return f"({', '.join(map(_repr, value))}{',' if len(value) == 1 else ''})"
        if kind in _PARTS:
            return f"{kind.__name__}({', '.join(_repr(getattr(value, name)) for name in _PARTS[kind])})"
        raise


def has_digits(value: int) -> bool:
    """Return whether Python converts an int to decimal digits.

    It limits their number (``sys.get_int_max_str_digits``), since the time that it takes grows with its square.
    """
    try:
        str(value)
    except ValueError:
        return False
    return True


def describe(cls: type) -> str:
    """Return the name of *cls* with its module, as in a traceback."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def describe_error(error: BaseException) -> str:
    """Return the type of an error and its message, if it has one that can be shown."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - such as a KeyError whose key has no repr
        return type(error).__name__
