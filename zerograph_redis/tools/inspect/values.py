"""Values of any type: their fields, keys to compare them by, and their form in JSON."""

from __future__ import annotations

import dataclasses
import math
from collections import ChainMap, deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PurePath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from zerograph_redis.serde.inspecting import StandIn
from zerograph_redis.serde.packing import ThreadPackers
from zerograph_redis.serde.reprs import has_digits, safe_repr

DEEPEST = 100  # levels of nesting; deeper values are shown as an ellipsis
_EXACT = ThreadPackers({})
_TEXTUAL = (
    *(Decimal, Fraction, UUID, PurePath, date, time, ZoneInfo),
    *(IPv4Address, IPv6Address, IPv4Interface, IPv6Interface, IPv4Network, IPv6Network),
)


def fields_of(value: Any) -> tuple[str, dict[str, Any]] | None:
    """Return the type name and the fields of an object, None for a value without fields."""
    if isinstance(value, ChainMap):
        return type(value).__name__, {"maps": list(value.maps)}
    if isinstance(value, StandIn):
        return None if value.fields is None else (value.name, value.fields)
    kind = type(value)
    if dataclasses.is_dataclass(value):
        names = [each.name for each in dataclasses.fields(value)]
    elif hasattr(kind, "__attrs_attrs__"):
        names = [each.name for each in kind.__attrs_attrs__]
    elif isinstance(value, tuple) and hasattr(kind, "_fields"):
        names = list(kind._fields)
    elif hasattr(kind, "model_fields") and hasattr(value, "__pydantic_fields_set__"):
        names = [*kind.model_fields, *(value.__pydantic_extra__ or {})]
    elif kind.__module__.startswith("zerograph.") and hasattr(kind, "__slots__"):
        names = list(kind.__slots__)
    else:
        return None
    return kind.__name__, {name: getattr(value, name) for name in names if hasattr(value, name)}


def array_of(value: Any) -> Any:
    """Return *value* if it is a numpy array, else None. Does not import numpy."""
    kind = type(value)
    return value if kind.__module__ == "numpy" and kind.__name__ == "ndarray" else None


def key_of(value: Any, depth: int = 0) -> Any:
    """Return a hashable key: equal only for values of the same type and content."""
    kind = type(value)
    if kind in {str, int, bool, type(None), bytes}:
        return kind, value
    if depth > DEEPEST:
        return kind, safe_repr(value)
    if kind in {dict, list}:
        # Quick for most of a state: the packed bytes are the key.
        with suppress(Exception):
            return kind, _EXACT.pack(value)
    if isinstance(value, Mapping):
        return kind, tuple((key_of(key, depth + 1), key_of(each, depth + 1)) for key, each in value.items())
    if (found := fields_of(value)) is not None:
        return kind, found[0], key_of(found[1], depth + 1)
    if isinstance(value, set | frozenset):
        return kind, frozenset(key_of(each, depth + 1) for each in value)
    if isinstance(value, list | tuple | deque):
        return kind, tuple(key_of(each, depth + 1) for each in value)
    if (array := array_of(value)) is not None:
        return kind, array.dtype.str, array.shape, array.tobytes()
    return kind, bytes(value) if isinstance(value, bytearray) else safe_repr(value)


def plain(value: Any, depth: int = 0) -> Any:
    """Convert *value* for JSON: objects to their type and fields, other types to text. Never an error."""
    if value is None or type(value) in {bool, str}:
        return value
    if type(value) is int:
        return value if has_digits(value) else safe_repr(value)
    if depth > DEEPEST:
        return "…"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return safe_repr(value)
    if (found := fields_of(value)) is not None:
        return {"type": found[0], "fields": plain(found[1], depth + 1)}
    if isinstance(value, Mapping):
        return {
            key if type(key) is str else safe_repr(key): plain(each, depth + 1) for key, each in list(value.items())
        }
    if isinstance(value, list | tuple | set | frozenset | deque):
        return [plain(each, depth + 1) for each in value]
    if isinstance(value, _TEXTUAL):
        with suppress(ValueError):  # a fraction of ints with too many digits
            return str(value)
    if array_of(value) is not None or (type(value).__module__ == "numpy" and hasattr(value, "tolist")):
        return plain(value.tolist(), depth + 1)
    return safe_repr(value)


def iso(moment: datetime) -> str:
    """Format a point in time as ISO 8601: in UTC, or without a zone if it has none."""
    if moment.tzinfo is None:
        return moment.isoformat()
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
