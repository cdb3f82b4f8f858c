"""Classes of the user, under names of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from zerograph_redis.serde.kinds import Kind, kind_of
from zerograph_redis.serde.pairs import PairKind
from zerograph_redis.serde.pydantic_models import PydanticKind


@dataclass(frozen=True)
class Registered:
    """A class that a serializer may store, and the name that stands for it in the stored bytes.

    The name is not the import path, so the class may move. Dataclasses, attrs classes, pydantic v2 models,
    NamedTuples and Enums need nothing else; any other class needs a pair of functions.

    Attributes:
        name: What stored bytes call the class. Changing it makes what is stored unreadable.
        cls: The class. Subclasses are not included.
        encode: From an object to a value that can be stored. Given together with *decode*.
        decode: From that value to the object.

    Raises:
        TypeError: The class is of no kind that is stored by itself, and *encode* and *decode* are missing.
        ValueError: *name* is empty.
    """

    name: str
    cls: type
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    kind: Kind = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the fields, and find out of which kind the class is."""
        name: object = self.name  # whatever the annotations say, a caller may not have been checked
        cls: object = self.cls
        if not isinstance(name, str):
            msg = f"the name of a registered type is a str, not {type(name).__name__}"
            raise TypeError(msg)
        if not name:
            msg = "the name of a registered type is empty"
            raise ValueError(msg)
        if not isinstance(cls, type):
            msg = f"{name!r} registers {cls!r}, which is no class"
            raise TypeError(msg)
        if (self.encode is None) != (self.decode is None):
            msg = f"{self.name!r} has only one of encode and decode; give both or none"
            raise TypeError(msg)
        kind = self._pair() or kind_of(self.cls) or PydanticKind.of(self.cls)
        if kind is None:
            msg = (
                f"{describe(self.cls)} is no dataclass, attrs class, pydantic v2 model, NamedTuple or Enum that can be "
                f"stored by its fields; {how_to_register(self.cls)}"
            )
            raise TypeError(msg)
        object.__setattr__(self, "kind", kind)

    def _pair(self) -> Kind | None:
        if self.encode is None or self.decode is None:
            return None
        return PairKind(self.name, self.cls, self.encode, self.decode)


_ELLIPSIS: Final = "…"


def describe(cls: type) -> str:
    """Return the name of *cls* with its module, as in a traceback."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def how_to_register(cls: type) -> str:
    """Return the line that makes *cls* storable."""
    if kind_of(cls) or PydanticKind.of(cls):
        return f"register it: MsgpackSerializer(types=[{cls.__name__}])"
    arguments = f'"{cls.__name__.lower()}", {cls.__name__}, encode={_ELLIPSIS}, decode={_ELLIPSIS}'
    return f"register it: MsgpackSerializer(types=[Registered({arguments})])"
