"""Numbers and containers of the standard library."""

from __future__ import annotations

import re
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from zerograph_redis.serde import codes
from zerograph_redis.serde.packing import Boxed
from zerograph_redis.serde.storage import refuse_attributes
from zerograph_redis.serde.table import Decoders, Encoders, RefusedError, want

_FACTORIES: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (
        *(bool, int, float, complex, str, bytes, bytearray),
        *(list, tuple, dict, set, frozenset, OrderedDict, Counter, ChainMap, deque, Decimal, Fraction),
    )
}
_FACTORY_NAMES: Final = {kind: name for name, kind in _FACTORIES.items()}

_DECIMAL: Final = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?(?:E[+-]?[0-9]+)?|Infinity|s?NaN[0-9]*)")

# Reducing a fraction takes quadratic time, so damaged bytes could stall the reader. A larger fraction is taken as
# stored: it was reduced when it was made.
_REDUCIBLE_BITS: Final = 1 << 16


def _int_to_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def _int(stored: Any) -> int:
    return int.from_bytes(want(bytes, stored), "little", signed=True)


def _deque_parts(value: deque[Any]) -> list[Any]:
    return [list(value), value.maxlen]


def _deque(stored: Any) -> deque[Any]:
    members, maxlen = want(list, stored)
    if maxlen is not None and want(int, maxlen) < len(want(list, members)):
        msg = "a deque longer than its maxlen"
        raise ValueError(msg)
    return deque(want(list, members), maxlen)


def _dict_parts(value: Any) -> dict[Any, Any]:
    if value.__dict__:
        refuse_attributes(value)
    return dict(value)


def _chain_map_parts(value: ChainMap[Any, Any]) -> list[Any]:
    refuse_attributes(value, ("maps",))
    maps: Any = value.__dict__.get("maps")
    if type(maps) is not list or not all(isinstance(each, Mapping) for each in maps):
        msg = "its maps are no list of mappings"
        raise RefusedError(msg)
    return maps


def _chain_map(stored: Any) -> ChainMap[Any, Any]:
    if not all(isinstance(each, Mapping) for each in want(list, stored)):
        msg = "a ChainMap of something else than mappings"
        raise ValueError(msg)
    value: ChainMap[Any, Any] = ChainMap()
    value.maps = stored
    return value


def _defaultdict_parts(value: defaultdict[Any, Any]) -> list[Any]:
    factory: Any = value.default_factory
    if factory is None:
        return [None, dict(value)]
    name = _FACTORY_NAMES.get(factory) if isinstance(factory, type) else None
    if name is None:
        msg = f"only a defaultdict of {', '.join(_FACTORIES)} or None can be stored, not of {factory!r}"
        raise RefusedError(msg)
    return [name, dict(value)]


def _defaultdict(stored: Any) -> defaultdict[Any, Any]:
    name, items = want(list, stored)
    return defaultdict(None if name is None else _FACTORIES[name], want(dict, items))


def _complex(stored: Any) -> complex:
    real, imag = want(list, stored)
    return complex(want(float, real), want(float, imag))


def _decimal(stored: Any) -> Decimal:
    if not _DECIMAL.fullmatch(want(str, stored)):
        msg = "not a decimal number"
        raise ValueError(msg)
    value = Decimal(stored)
    if value.is_nan() and "NaN" not in stored:  # out of range, and the context does not trap it
        msg = "a decimal number out of range"
        raise ValueError(msg)
    return value


def _fraction(stored: Any) -> Fraction:
    numerator, denominator = want(list, stored)
    if want(int, denominator) <= 0:
        msg = "a denominator that is not positive"
        raise ValueError(msg)
    if want(int, numerator).bit_length() + denominator.bit_length() <= _REDUCIBLE_BITS:
        return Fraction(numerator, denominator)
    value = Fraction()
    object.__setattr__(value, "_numerator", numerator)
    object.__setattr__(value, "_denominator", denominator)
    return value


def _range(stored: Any) -> range:
    start, stop, step = want(list, stored)
    return range(want(int, start), want(int, stop), want(int, step))


def _slice(stored: Any) -> slice:
    start, stop, step = want(list, stored)
    return slice(start, stop, step)


ENCODERS: Final[Encoders] = {
    int: (codes.BIG_INT, _int_to_bytes),  # only the ones that need more than 64 bits come here
    Boxed: (codes.BYTEARRAY, lambda value: bytes(value.content)),
    tuple: (codes.TUPLE, list),
    set: (codes.SET, list),
    frozenset: (codes.FROZENSET, list),
    deque: (codes.DEQUE, _deque_parts),
    OrderedDict: (codes.ORDERED_DICT, _dict_parts),
    Counter: (codes.COUNTER, _dict_parts),
    ChainMap: (codes.CHAIN_MAP, _chain_map_parts),
    defaultdict: (codes.DEFAULT_DICT, _defaultdict_parts),
    complex: (codes.COMPLEX, lambda value: [value.real, value.imag]),
    # An "e" comes from a decimal context with capitals=0.
    Decimal: (codes.DECIMAL, lambda value: str(value).replace("e", "E")),
    Fraction: (codes.FRACTION, lambda value: [value.numerator, value.denominator]),
    range: (codes.RANGE, lambda value: [value.start, value.stop, value.step]),
    slice: (codes.SLICE, lambda value: [value.start, value.stop, value.step]),
}

DECODERS: Final[Decoders] = {
    codes.BIG_INT: _int,
    codes.BYTEARRAY: lambda stored: bytearray(want(bytes, stored)),
    codes.TUPLE: lambda stored: tuple(want(list, stored)),
    codes.SET: lambda stored: set(want(list, stored)),
    codes.FROZENSET: lambda stored: frozenset(want(list, stored)),
    codes.DEQUE: _deque,
    codes.ORDERED_DICT: lambda stored: OrderedDict(want(dict, stored)),
    codes.COUNTER: lambda stored: Counter(want(dict, stored)),
    codes.CHAIN_MAP: _chain_map,
    codes.DEFAULT_DICT: _defaultdict,
    codes.COMPLEX: _complex,
    codes.DECIMAL: _decimal,
    codes.FRACTION: _fraction,
    codes.RANGE: _range,
    codes.SLICE: _slice,
}
