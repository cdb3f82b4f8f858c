"""The two look-ups of the serializer: how a type is written, how a code is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Entry: TypeAlias = tuple[int, Callable[[Any], Any]]
"""An extension code, and the function from an object to the storable value that becomes its payload."""

Encoders: TypeAlias = dict[type, Entry]
Checks: TypeAlias = dict[type, Callable[[Any, bytes, Callable[[Any], bytes]], None]]
"""What raises RefusedError if an object would not come back: it is given the object, what it was packed to, and how."""

Decoders: TypeAlias = dict[int, Callable[[Any], Any]]


class RefusedError(ValueError):
    """A value of a known type that has no exact form; the message says why, not where."""


def want(kind: type, stored: Any) -> Any:
    """Return *stored* if it is exactly a *kind*, as the format says."""
    if type(stored) is not kind:
        msg = f"{kind.__name__} expected, not {type(stored).__name__}"
        raise ValueError(msg)
    return stored
