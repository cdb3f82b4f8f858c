"""Classes that are stored through a pair of functions, and the proof that the pair gives back what was put.

Anything may happen in functions of the user, so every object goes there and back before it is stored. *encode* must give
the same for it and for what comes back, and where the class has ``__eq__``, both must be equal. Of a class without
``__eq__``, what *encode* leaves out is not missed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from zerograph_redis.errors import SerializationError
from zerograph_redis.serde.spelling import reason
from zerograph_redis.serde.table import RefusedError

_SHORT: Final = 1024  # bytes of an object whose proof is remembered
_REMEMBERED: Final = 4096
_UNKNOWN: Final = object()

Pack = Callable[[Any], bytes]
Unpack = Callable[[bytes], Any]


class PairKind:
    """A class that is stored through a pair of functions."""

    __slots__ = ("_cls", "_decode", "_encode", "_has_equality", "_name", "_proven")

    def __init__(self, name: str, cls: type, encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> None:
        self._name = name
        self._cls = cls
        self._encode = encode
        self._decode = decode
        self._has_equality = any("__eq__" in vars(base) for base in cls.__mro__[:-1])
        # By packed bytes, what came back of them: most objects of a state are put again and again.
        self._proven: dict[bytes, Any] = {}

    def take(self, value: Any) -> list[Any]:
        """Return what *encode* makes of *value*."""
        return [self._encode(value)]

    def build(self, stored: list[Any]) -> Any:
        """Return what *decode* makes of the stored value."""
        (value,) = stored
        try:
            return self._decode(value)
        except Exception as error:
            msg = f"the decode function of {self._name!r} raised {reason(error)}"
            raise SerializationError(msg) from error

    def check(self, value: Any, data: bytes, pack: Pack, unpack: Unpack) -> None:
        """Raise RefusedError if *value*, which was packed to *data*, does not come back as it is.

        Args:
            value: An object of the class.
            data: What its parts were packed to.
            pack: How they were.
            unpack: From such data to the object.
        """
        back = self._proven.get(data, _UNKNOWN)
        if back is _UNKNOWN:
            back = self._prove(value, data, pack, unpack)
            if len(data) <= _SHORT:
                if len(self._proven) >= _REMEMBERED:
                    self._proven.clear()
                self._proven[data] = back if self._has_equality else None
        # Equality that does not hold of two that were read cannot tell: there is a nan in them, say.
        if self._has_equality and not _is_equal(value, back) and _is_equal(unpack(data), back):
            raise RefusedError("what its decode function makes of it is not equal to it")

    def _prove(self, value: Any, data: bytes, pack: Pack, unpack: Unpack) -> Any:
        """Return what comes back of *data*."""
        try:
            back = unpack(data)
        except Exception as error:
            why = error if isinstance(error, SerializationError) else reason(error)
            raise RefusedError(f"it would not come back: {why}") from error
        if type(back) is not self._cls:
            raise RefusedError(f"its decode function made a {type(back).__name__} of it")
        # An encode function that never says the same twice cannot tell.
        if self._packed(back, pack) != data and self._packed(value, pack) == data:
            raise RefusedError("its encode function says something else of what its decode function makes of it")
        return back

    def _packed(self, value: Any, pack: Pack) -> bytes:
        try:
            return pack([self._name, self._encode(value)])
        except Exception as error:
            raise RefusedError(f"its encode function fails on what decode made of it: {reason(error)}") from error


def _is_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - of arrays, for one
        return False
