"""How Python's numbers and containers are encoded and decoded."""

from __future__ import annotations

import re
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from . import codes
from .attributes import refuse_attributes
from .codes import RefusedError, Types, expect
from .reprs import safe_repr

_FACTORIES: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (
        *(bool, int, float, complex, str, bytes, bytearray),
        *(list, tuple, dict, set, frozenset, OrderedDict, Counter, ChainMap, deque, Decimal, Fraction),
    )
}
_FACTORY_NAMES: Final = {kind: name for name, kind in _FACTORIES.items()}

_DECIMAL: Final = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?(?:E[+-]?[0-9]+)?|Infinity|s?NaN[0-9]*)")

# Reducing a fraction takes quadratic time, so damaged bytes could stall the reader. A larger fraction is not reduced
# again: it was when it was made.
_REDUCIBLE_BITS: Final = 1 << 16


def _int_to_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def _int(stored: Any) -> int:
    return int.from_bytes(expect(bytes, stored), "little", signed=True)


def _deque_parts(value: deque[Any]) -> list[Any]:
    return [list(value), value.maxlen]


def _deque(stored: Any) -> deque[Any]:
    members, maxlen = expect(list, stored)
    if maxlen is not None and expect(int, maxlen) < len(expect(list, members)):
        raise ValueError("a deque longer than its maxlen")
    return deque(expect(list, members), maxlen)


def _dict_parts(value: Any) -> dict[Any, Any]:
    if value.__dict__:
        refuse_attributes(value)
    return dict(value)


def _chain_map_parts(value: ChainMap[Any, Any]) -> list[Any]:
    refuse_attributes(value, ("maps",))
    maps: Any = value.__dict__.get("maps")
    if type(maps) is not list or not all(isinstance(each, Mapping) for each in maps):
        raise RefusedError("its maps are not a list of mappings; make it with ChainMap(*maps)")
    return maps


def _chain_map(stored: Any) -> ChainMap[Any, Any]:
    if not all(isinstance(each, Mapping) for each in expect(list, stored)):
        raise ValueError("a ChainMap of values that are not mappings")
    value: ChainMap[Any, Any] = ChainMap()
    value.maps = stored
    return value


def _defaultdict_parts(value: defaultdict[Any, Any]) -> list[Any]:
    factory: Any = value.default_factory
    if factory is None:
        return [None, dict(value)]
    name = _FACTORY_NAMES.get(factory) if isinstance(factory, type) else None
    if name is None:
        known = ", ".join(_FACTORIES)
        raise RefusedError(f"its factory {safe_repr(factory)} is none of {known}; convert it with dict()")
    return [name, dict(value)]


def _defaultdict(stored: Any) -> defaultdict[Any, Any]:
    name, items = expect(list, stored)
    return defaultdict(None if name is None else _FACTORIES[name], expect(dict, items))


def _complex(stored: Any) -> complex:
    real, imag = expect(list, stored)
    return complex(expect(float, real), expect(float, imag))


def _decimal(stored: Any) -> Decimal:
    if not _DECIMAL.fullmatch(expect(str, stored)):
        raise ValueError("not a decimal number")
    value = Decimal(stored)
    if value.is_nan() and "NaN" not in stored:  # out of range, and the context does not trap it
        raise ValueError("a decimal number out of range")
    return value


def _fraction(stored: Any) -> Fraction:
    numerator, denominator = expect(list, stored)
    if expect(int, denominator) <= 0:
        raise ValueError("a denominator that is not positive")
    if expect(int, numerator).bit_length() + denominator.bit_length() <= _REDUCIBLE_BITS:
        return Fraction(numerator, denominator)
    value = Fraction()
    object.__setattr__(value, "_numerator", numerator)
    object.__setattr__(value, "_denominator", denominator)
    return value


def _range(stored: Any) -> range:
    start, stop, step = expect(list, stored)
    return range(expect(int, start), expect(int, stop), expect(int, step))


def _slice(stored: Any) -> slice:
    start, stop, step = expect(list, stored)
    return slice(start, stop, step)


TYPES: Final[Types] = {
    int: (codes.BIG_INT, _int_to_bytes, _int),  # msgpack itself packs an int of up to 64 bits
    bytearray: (codes.BYTEARRAY, bytes, lambda stored: bytearray(expect(bytes, stored))),  # see `packing`
    tuple: (codes.TUPLE, list, lambda stored: tuple(expect(list, stored))),
    set: (codes.SET, list, lambda stored: set(expect(list, stored))),
    frozenset: (codes.FROZENSET, list, lambda stored: frozenset(expect(list, stored))),
    deque: (codes.DEQUE, _deque_parts, _deque),
    OrderedDict: (codes.ORDERED_DICT, _dict_parts, lambda stored: OrderedDict(expect(dict, stored))),
    Counter: (codes.COUNTER, _dict_parts, lambda stored: Counter(expect(dict, stored))),
    ChainMap: (codes.CHAIN_MAP, _chain_map_parts, _chain_map),
    defaultdict: (codes.DEFAULT_DICT, _defaultdict_parts, _defaultdict),
    complex: (codes.COMPLEX, lambda value: [value.real, value.imag], _complex),
    # A decimal context with capitals=0 writes an "e".
    Decimal: (codes.DECIMAL, lambda value: str(value).replace("e", "E"), _decimal),
    Fraction: (codes.FRACTION, lambda value: [value.numerator, value.denominator], _fraction),
    range: (codes.RANGE, lambda value: [value.start, value.stop, value.step], _range),
    slice: (codes.SLICE, lambda value: [value.start, value.stop, value.step], _slice),
}
