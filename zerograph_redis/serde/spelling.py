"""Values in words: for messages and tables, where nothing may raise and nothing may take long."""

from __future__ import annotations

from typing import Any

__all__ = ("reason", "spell", "spell_int")


def spell(value: Any) -> str:
    """Return ``repr(value)``, or what can be said of a value that has none."""
    try:
        return spell_int(value) if type(value) is int else repr(value)
    except Exception as error:  # noqa: BLE001 - a user's type may raise anything
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def spell_int(value: int) -> str:
    """Return the digits of an int: hexadecimal ones if it has more decimal ones than Python converts.

    Python bounds them (``sys.get_int_max_str_digits``), since they take time with the square of their number.
    """
    try:
        return str(value)
    except ValueError:
        return hex(value)


def reason(error: BaseException) -> str:
    """Return the type of an error and what it says, if it can say it."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - such as a KeyError of what has no repr
        return type(error).__name__
