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

from . import codes
from .codes import Decoders, Entry, RefusedError, expect

_KINDS: Final = "biufcmMSUV"
_DTYPE: Final = re.compile(r"[<>|](?:[biufcSUV][0-9]{1,9}|[mM]8(?:\[[0-9]{0,9}[A-Za-zμ]{1,2}\])?|[bBhHiIlLqQdDgGF])")
_NESTED: Final = 32  # dtypes within dtypes
_DIMENSIONS: Final = 64


def entry(kind: type) -> Entry | None:
    """Return how to encode a *kind* of numpy; None for any other type, and for one that cannot be stored."""
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
        raise RefusedError(f"its dtype {dtype!r} is not made of plain bytes; convert it with astype() or tolist()")
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return [_dtype_parts(numpy, base), list(shape)]
    if dtype.names is not None:
        fields = [dtype.fields[name] for name in dtype.names]
        if any(len(field) > 2 for field in fields):
            raise RefusedError("the fields of its dtype have titles; convert it to a dtype without titles")
        return {
            "names": list(dtype.names),
            "formats": [_dtype_parts(numpy, field[0]) for field in fields],
            "offsets": [field[1] for field in fields],
            "itemsize": dtype.itemsize,
            "aligned": dtype.isalignedstruct,
        }
    # Two C integers of one size, such as intc and long, are two types, and differ only in their letter.
    text: str = dtype.str
    return text if numpy.dtype(text).type is dtype.type else text[0] + dtype.char


def _dtype(numpy: Any, stored: Any, depth: int = 0) -> Any:
    if depth > _NESTED:
        raise ValueError("a dtype nested too deeply")
    if type(stored) is str:
        if not _DTYPE.fullmatch(stored):
            raise ValueError("not a dtype")
        dtype = numpy.dtype(stored)
    elif type(stored) is list:
        base, shape = stored
        dtype = numpy.dtype((_dtype(numpy, base, depth + 1), _shape(shape)))
    else:
        fields = expect(dict, stored)
        dtype = numpy.dtype(
            {
                "names": [expect(str, name) for name in expect(list, fields["names"])],
                "formats": [_dtype(numpy, each, depth + 1) for each in expect(list, fields["formats"])],
                "offsets": [expect(int, offset) for offset in expect(list, fields["offsets"])],
                "itemsize": expect(int, fields["itemsize"]),
                "aligned": expect(bool, fields["aligned"]),
            }
        )
    if dtype.hasobject or dtype.itemsize == 0:
        raise ValueError("a dtype that is not made of plain bytes")
    return dtype


def _shape(stored: Any) -> tuple[int, ...]:
    shape = tuple(expect(int, length) for length in expect(list, stored))
    if len(shape) > _DIMENSIONS or any(length < 0 for length in shape):
        raise ValueError("not a shape")
    return shape


def _array_parts(value: Any) -> list[Any]:
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    dtype = _dtype_parts(sys.modules["numpy"], value.dtype)
    return [dtype, list(value.shape), order, value.tobytes(order=order)]


def _scalar_parts(value: Any) -> list[Any]:
    numpy = sys.modules["numpy"]
    if type(value) is numpy.str_:
        return ["U", str.__str__(value)]  # its dtype and its own __str__ drop trailing NULs
    if type(value) is numpy.bytes_:
        return ["S", bytes(value)]
    return [_dtype_parts(numpy, value.dtype), value.tobytes()]


def _numpy() -> Any:
    try:
        import numpy  # noqa: ICN001 - not a dependency, and slow to import
    except ImportError as error:
        raise SerializationError(
            "the stored value has a numpy array, and numpy is not installed here; install it: pip install numpy"
        ) from error
    return numpy


def _rebuild(numpy: Any, dtype: Any, shape: tuple[int, ...], order: str, content: bytes) -> Any:
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError("an array whose shape does not fit its content")
    # Built on the content, not copied from it: a copy does not keep the padding of structured dtypes.
    return numpy.ndarray(shape, dtype, buffer=bytearray(content), order=order)


def _array(stored: Any) -> Any:
    dtype, shape, order, content = expect(list, stored)
    if order not in ("C", "F"):
        raise ValueError("an array of unknown order")
    numpy = _numpy()
    return _rebuild(numpy, _dtype(numpy, dtype), _shape(shape), order, expect(bytes, content))


def _scalar(stored: Any) -> Any:
    dtype, content = expect(list, stored)
    numpy = _numpy()
    if dtype == "U":
        return numpy.str_(expect(str, content))
    if dtype == "S":
        return numpy.bytes_(expect(bytes, content))
    return _rebuild(numpy, _dtype(numpy, dtype), (), "C", expect(bytes, content))[()]


DECODERS: Final[Decoders] = {codes.ARRAY: _array, codes.SCALAR: _scalar}
