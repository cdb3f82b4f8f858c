"""Classes that are stored under a name: the user's, and ZeroGraph's own.

A class may be stored through a pair of functions of the user, which may do anything. So every object is encoded and decoded
before it is stored: *encode* must return the same for it and for the decoded object, and if the class has ``__eq__``, both
must be equal. What *encode* leaves out of a class without ``__eq__`` is not noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from zerograph.channels.messages import RemoveMessage
from zerograph.checkpoint import CheckpointTuple
from zerograph.store import StoreItem
from zerograph.types import Command, Interrupt, Overwrite, PregelTask, Send, StateSnapshot, TimeoutPolicy

from zerograph_redis.errors import SerializationError

from .classes import ClassCodec, FieldsCodec, codec_of
from .codes import RefusedError
from .reprs import describe, describe_error


def _engine_codec(cls: Any) -> ClassCodec:
    return codec_of(cls) or FieldsCodec(cls, dict.fromkeys(cls.__slots__))


ENGINE_TYPES: Final[dict[str, tuple[type, ClassCodec]]] = {
    f"zerograph.{cls.__name__}": (cls, _engine_codec(cls))
    for cls in (
        *(Interrupt, Send, Command, Overwrite, TimeoutPolicy, PregelTask, StateSnapshot),
        *(RemoveMessage, StoreItem, CheckpointTuple),
    )
}
"""ZeroGraph's own types, which every serializer registers."""


@dataclass(frozen=True)
class Registered:
    """A class that a serializer may store, and its name in the stored bytes.

    The name is not the import path, so the class may move. Dataclasses, attrs classes, pydantic v2 models,
    NamedTuples and Enums need nothing else; any other class needs a pair of functions.

    Attributes:
        name: What stored bytes call the class. If it changes, what is stored becomes unreadable.
        cls: The class. Subclasses are not included.
        encode: From an object to a value that can be stored. Given together with *decode*.
        decode: From that value to the object.

    Raises:
        TypeError: The class cannot be stored by its fields, and *encode* and *decode* are missing.
        ValueError: *name* is empty.
    """

    name: str
    cls: type
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    codec: ClassCodec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the fields, and find the codec of the class."""
        name: object = self.name  # callers may not have checked their types
        cls: object = self.cls
        if not isinstance(name, str):
            raise TypeError(f"the name of a registered type must be a str, not {type(name).__name__}")
        if not name:
            raise ValueError("the name of a registered type is empty; give it one, such as its class's name")
        if not isinstance(cls, type):
            raise TypeError(f"{name!r} registers {cls!r}, which is not a class")
        if (self.encode is None) != (self.decode is None):
            raise TypeError(f"{name!r} has only one of encode and decode; give both or none")
        if self.encode is not None and self.decode is not None:
            codec: ClassCodec | None = PairCodec(name, cls, self.encode, self.decode)
        else:
            codec = codec_of(cls)
        if codec is None:
            raise TypeError(
                f"{describe(cls)} is not a dataclass, attrs class, pydantic v2 model, NamedTuple or Enum that can be stored "
                f"by its fields; {how_to_register(cls)}"
            )
        object.__setattr__(self, "codec", codec)


def how_to_register(cls: type) -> str:
    """Return the line that makes *cls* storable."""
    if codec_of(cls):
        return f"register it: MsgpackSerializer(types=[{cls.__name__}])"
    arguments = f'"{cls.__name__.lower()}", {cls.__name__}, encode=…, decode=…'
    return f"register it: MsgpackSerializer(types=[Registered({arguments})])"


_SHORT: Final = 1024  # bytes of an object whose check is remembered
_REMEMBERED: Final = 4096
_UNKNOWN: Final = object()

Pack = Callable[[Any], bytes]
Unpack = Callable[[bytes], Any]


class PairCodec:
    """For a class that is stored through a pair of functions."""

    def __init__(self, name: str, cls: type, encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> None:
        self._name = name
        self._cls = cls
        self._encode = encode
        self._decode = decode
        self._has_equality = any("__eq__" in vars(base) for base in cls.__mro__[:-1])
        # By packed bytes, the decoded object: most objects of a state are put many times.
        self._checked: dict[bytes, Any] = {}

    def encode(self, value: Any) -> list[Any]:
        """Return what the encode function returns for *value*."""
        return [self._encode(value)]

    def decode(self, stored: list[Any]) -> Any:
        """Return what the decode function returns for the stored value."""
        (value,) = stored
        try:
            return self._decode(value)
        except Exception as error:
            raise SerializationError(f"the decode function of {self._name!r} raised {describe_error(error)}") from error

    def check(self, value: Any, data: bytes, pack: Pack, unpack: Unpack) -> None:
        """Raise RefusedError if *value* would not come back exactly.

        Args:
            value: An object of the class.
            data: Its packed parts.
            pack: Packed them.
            unpack: From such data to the object.
        """
        back = self._checked.get(data, _UNKNOWN)
        if back is _UNKNOWN:
            back = self._decoded(value, data, pack, unpack)
            if len(data) <= _SHORT:
                if len(self._checked) >= _REMEMBERED:
                    self._checked.clear()
                self._checked[data] = back if self._has_equality else None
        # If two decoded objects are not equal to each other, as with a nan in them, equality proves nothing.
        if self._has_equality and not _is_equal(value, back) and _is_equal(unpack(data), back):
            raise RefusedError("its decode function returns an object that is not equal to it")

    def _decoded(self, value: Any, data: bytes, pack: Pack, unpack: Unpack) -> Any:
        """Return the object decoded from *data*, if it is of the class and encoded to the same again."""
        try:
            back = unpack(data)
        except Exception as error:
            why = error if isinstance(error, SerializationError) else describe_error(error)
            raise RefusedError(f"it could not be read back: {why}") from error
        if type(back) is not self._cls:
            raise RefusedError(f"its decode function returns a {type(back).__name__}")
        # An encode function that returns something else each time proves nothing.
        if self._packed(back, pack) != data and self._packed(value, pack) == data:
            raise RefusedError("its encode function returns something else for the decoded object")
        return back

    def _packed(self, value: Any, pack: Pack) -> bytes:
        try:
            return pack([self._name, self._encode(value)])
        except Exception as error:
            raise RefusedError(f"its encode function fails for the decoded object: {describe_error(error)}") from error


def _is_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - such as of arrays
        return False
