"""numpy arrays and scalars, without depending on numpy.

A dtype is stored as numpy's own string for it, such as ``<f8``. A structured one is the map
``{"names", "formats", "offsets", "itemsize"}``, a field that is itself an array is the pair ``[dtype, shape]``.
"""

from __future__ import annotations

import math
import re
import sys
from typing import Any, Final

from zerograph_redis.errors import SerializationError
from zerograph_redis.serde import codes
from zerograph_redis.serde.table import Decoders, Entry, RefusedError, want

_KINDS: Final = "biufcmMSUV"
_DTYPE: Final = re.compile(r"[<>|](?:[biufcSUV][0-9]{1,9}|[mM]8(?:\[[0-9]{0,9}[A-Za-zμ]{1,2}\])?|[bBhHiIlLqQdDgGF])")
_NESTED: Final = 32  # dtypes within dtypes
_DIMENSIONS: Final = 64


def entry(kind: type) -> Entry | None:
    """Return how to write a *kind* of numpy, or None if it is none, or one that cannot be stored."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not kind.__module__.startswith("numpy"):
        return None
    if kind is numpy.ndarray:
        return codes.ARRAY, _array_parts
    if issubclass(kind, numpy.generic) and kind in _scalar_types(numpy):
        return codes.SCALAR, _scalar_parts
    return None


def _scalar_types(numpy: Any) -> set[type]:
    return {numpy.dtype(char).type for char in numpy.typecodes["All"]} - {numpy.object_}


def _dtype_parts(numpy: Any, dtype: Any) -> Any:
    if dtype.hasobject or dtype.kind not in _KINDS or dtype.itemsize == 0 or dtype.metadata:
        msg = f"an array of dtype {dtype!r} cannot be stored, its content is not plain bytes"
        raise RefusedError(msg)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return [_dtype_parts(numpy, base), list(shape)]
    if dtype.names is not None:
        fields = [dtype.fields[name] for name in dtype.names]
        if any(len(field) > 2 for field in fields):
            msg = "a dtype whose fields have titles cannot be stored"
            raise RefusedError(msg)
        return {
            "names": list(dtype.names),
            "formats": [_dtype_parts(numpy, field[0]) for field in fields],
            "offsets": [field[1] for field in fields],
            "itemsize": dtype.itemsize,
            "aligned": dtype.isalignedstruct,
        }
    # Two C integers of one size are two types, such as intc and long: only the letter tells them apart.
    text: str = dtype.str
    return text if numpy.dtype(text).type is dtype.type else text[0] + dtype.char


def _dtype(numpy: Any, stored: Any, depth: int = 0) -> Any:
    if depth > _NESTED:
        msg = "a dtype nested too deeply"
        raise ValueError(msg)
    if type(stored) is str:
        if not _DTYPE.fullmatch(stored):
            msg = "not a dtype"
            raise ValueError(msg)
        dtype = numpy.dtype(stored)
    elif type(stored) is list:
        base, shape = stored
        dtype = numpy.dtype((_dtype(numpy, base, depth + 1), _shape(shape)))
    else:
        fields = want(dict, stored)
        dtype = numpy.dtype(
            {
                "names": [want(str, name) for name in want(list, fields["names"])],
                "formats": [_dtype(numpy, each, depth + 1) for each in want(list, fields["formats"])],
                "offsets": [want(int, offset) for offset in want(list, fields["offsets"])],
                "itemsize": want(int, fields["itemsize"]),
                "aligned": want(bool, fields["aligned"]),
            }
        )
    if dtype.hasobject or dtype.itemsize == 0:
        msg = "a dtype whose content is not plain bytes"
        raise ValueError(msg)
    return dtype


def _shape(stored: Any) -> tuple[int, ...]:
    shape = tuple(want(int, length) for length in want(list, stored))
    if len(shape) > _DIMENSIONS or any(length < 0 for length in shape):
        msg = "not a shape"
        raise ValueError(msg)
    return shape


def _array_parts(value: Any) -> list[Any]:
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    dtype = _dtype_parts(sys.modules["numpy"], value.dtype)
    return [dtype, list(value.shape), order, value.tobytes(order=order)]


def _scalar_parts(value: Any) -> list[Any]:
    numpy = sys.modules["numpy"]
    if type(value) is numpy.str_:
        return ["U", str.__str__(value)]  # its dtype, and its own __str__, drop NULs at the end
    if type(value) is numpy.bytes_:
        return ["S", bytes(value)]
    return [_dtype_parts(numpy, value.dtype), value.tobytes()]


def _numpy() -> Any:
    try:
        import numpy  # noqa: ICN001 - not a dependency, and slow to import
    except ImportError as error:
        msg = "the stored value has a numpy array, and numpy is not installed here; install it: pip install numpy"
        raise SerializationError(msg) from error
    return numpy


def _rebuild(numpy: Any, dtype: Any, shape: tuple[int, ...], order: str, content: bytes) -> Any:
    if math.prod(shape) * dtype.itemsize != len(content):
        msg = "an array whose shape does not fit its content"
        raise ValueError(msg)
    # Not a copy of that: copying leaves the padding of structured dtypes as it was in memory.
    return numpy.ndarray(shape, dtype, buffer=bytearray(content), order=order)


def _array(stored: Any) -> Any:
    dtype, shape, order, content = want(list, stored)
    if order not in ("C", "F"):
        msg = "an array of an unknown order"
        raise ValueError(msg)
    numpy = _numpy()
    return _rebuild(numpy, _dtype(numpy, dtype), _shape(shape), order, want(bytes, content))


def _scalar(stored: Any) -> Any:
    dtype, content = want(list, stored)
    numpy = _numpy()
    if dtype == "U":
        return numpy.str_(want(str, content))
    if dtype == "S":
        return numpy.bytes_(want(bytes, content))
    return _rebuild(numpy, _dtype(numpy, dtype), (), "C", want(bytes, content))[()]


DECODERS: Final[Decoders] = {codes.ARRAY: _array, codes.SCALAR: _scalar}
