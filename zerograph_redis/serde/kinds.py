"""How an object is taken apart by its fields, and built again without calling its ``__init__``."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from enum import Enum, Flag
from typing import Any, Final, Protocol

from zerograph_redis.errors import SerializationError
from zerograph_redis.serde.table import RefusedError, want

__all__ = ("EnumKind", "FieldsKind", "Kind", "NamedTupleKind", "check_known", "check_whole", "kind_of")


class Kind(Protocol):
    """A way to store the objects of one class."""

    def take(self, value: Any) -> list[Any]:
        """Return the storable parts of *value*; the first is the map of its fields, if it has fields."""

    def build(self, stored: list[Any]) -> Any:
        """Return an object from its stored parts."""


_UNSET: Final = object()


def kind_of(cls: type) -> Kind | None:
    """Return how to store a dataclass, attrs class, NamedTuple or Enum; None for any other class."""
    if issubclass(cls, Enum):
        return EnumKind(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return NamedTupleKind(cls)
    if any(base.__module__ == "builtins" and base is not object for base in cls.__mro__):
        return None  # such as a dataclass that is a dict too: its items are no field
    if hasattr(cls, "__attrs_attrs__"):
        return FieldsKind(cls, _attrs_defaults(cls), cached_hash=_caches_hash(cls))
    if dataclasses.is_dataclass(cls):
        optional = [each.name for each in dataclasses.fields(cls) if not each.init]
        return FieldsKind(cls, _dataclass_defaults(cls), optional=optional)
    return None


def check_known(cls: type, stored: dict[str, Any], known: Any) -> None:
    """Raise SerializationError if *stored* has a field that *cls* has no more."""
    for name in stored:
        if name not in known:
            msg = f"the stored {cls.__module__}.{cls.__qualname__} has a field {name!r}, which the class no longer has"
            raise SerializationError(msg)


def check_whole(value: Any, fields: Any) -> None:
    """Raise RefusedError if *value* has attributes besides its fields, for they would be lost."""
    for name in getattr(value, "__dict__", ()):
        if name in fields or name == "_attrs_cached_hash":
            continue
        if not isinstance(inspect.getattr_static(type(value), name, None), functools.cached_property):
            msg = f"its attribute {name!r} is no field of the class; give the class an encode and a decode function"
            raise RefusedError(msg)


def _no_default(cls: type, name: str) -> SerializationError:
    return SerializationError(
        f"the stored {cls.__module__}.{cls.__qualname__} lacks the field {name!r}, which has no default in the class"
    )


Default = Callable[[Any], Any]


def _constant(value: Any) -> Default:
    return lambda _: value


def _calling(factory: Callable[[], Any]) -> Default:
    return lambda _: factory()


def _dataclass_defaults(cls: Any) -> dict[str, Default | None]:
    defaults: dict[str, Default | None] = {}
    for each in dataclasses.fields(cls):
        if each.default_factory is not dataclasses.MISSING:
            defaults[each.name] = _calling(each.default_factory)
        else:
            defaults[each.name] = None if each.default is dataclasses.MISSING else _constant(each.default)
    return defaults


def _attrs_defaults(cls: Any) -> dict[str, Default | None]:
    import attr

    defaults: dict[str, Default | None] = {}
    for each in cls.__attrs_attrs__:
        if each.default is attr.NOTHING:
            defaults[each.name] = None
        elif isinstance(each.default, attr.Factory):  # type: ignore[arg-type]  # typed as a function, is a class
            defaults[each.name] = each.default.factory if each.default.takes_self else _calling(each.default.factory)
        else:
            defaults[each.name] = _constant(each.default)
    return defaults


def _caches_hash(cls: Any) -> bool:
    hashability = getattr(getattr(cls, "__attrs_props__", None), "hashability", None)
    slots = getattr(cls, "__slots__", ())
    return getattr(hashability, "name", "") == "HASHABLE_CACHED" or "_attrs_cached_hash" in slots


class FieldsKind:
    """A class whose objects are their attributes."""

    __slots__ = ("_cached_hash", "_cls", "_defaults", "_optional")

    def __init__(
        self, cls: type, defaults: dict[str, Default | None], *, optional: Any = (), cached_hash: bool = False
    ) -> None:
        self._cls = cls
        self._defaults = defaults
        self._optional = frozenset(optional)
        self._cached_hash = cached_hash

    def take(self, value: Any) -> list[Any]:
        """Return the map of fields; an optional one that is not set is left out."""
        check_whole(value, self._defaults)
        fields: dict[str, Any] = {}
        for name in self._defaults:
            member = getattr(value, name, _UNSET)
            if member is not _UNSET:
                fields[name] = member
            elif name not in self._optional:
                msg = f"its field {name!r} is not set"
                raise RefusedError(msg)
        return [fields]

    def build(self, stored: list[Any]) -> Any:
        """Return an object with the stored fields, and defaults for the ones that are missing."""
        (fields,) = stored
        check_known(self._cls, want(dict, fields), self._defaults)
        value: Any = object.__new__(self._cls)
        if self._cached_hash:
            object.__setattr__(value, "_attrs_cached_hash", None)
        for name, default in self._defaults.items():
            if name in fields:
                object.__setattr__(value, name, fields[name])
            elif default is not None:
                object.__setattr__(value, name, default(value))
            elif name not in self._optional:
                raise _no_default(self._cls, name)
        return value


class NamedTupleKind:
    """A NamedTuple, or what ``collections.namedtuple`` made."""

    __slots__ = ("_cls",)

    def __init__(self, cls: Any) -> None:
        self._cls = cls

    def take(self, value: Any) -> list[Any]:
        """Return the map of fields."""
        check_whole(value, ())
        return [dict(zip(self._cls._fields, value, strict=True))]

    def build(self, stored: list[Any]) -> Any:
        """Return a tuple of the stored fields, and defaults for the ones that are missing."""
        (fields,) = stored
        check_known(self._cls, want(dict, fields), self._cls._fields)
        members = self._cls._field_defaults | fields
        for name in self._cls._fields:
            if name not in members:
                raise _no_default(self._cls, name)
        return tuple.__new__(self._cls, [members[name] for name in self._cls._fields])


class EnumKind:
    """An Enum, stored by the names of its members; a Flag by its number, for it may combine members."""

    __slots__ = ("_cls",)

    def __init__(self, cls: Any) -> None:
        self._cls = cls

    def take(self, value: Any) -> list[Any]:
        """Return the name of the member, or the number of the flags."""
        return [value._value_ if isinstance(value, Flag) else value._name_]

    def build(self, stored: list[Any]) -> Any:
        """Return the member of that name or number."""
        (key,) = stored
        if issubclass(self._cls, Flag):
            member = self._flags(want(int, key))
        else:
            member = self._cls.__members__.get(want(str, key))
        if type(member) is not self._cls:
            kind = f"{self._cls.__module__}.{self._cls.__qualname__}"
            msg = f"the stored {kind} is {key!r}, which the class no longer has"
            raise SerializationError(msg)
        return member

    def _flags(self, number: int) -> Any:
        try:
            member = self._cls(number)
        except ValueError:
            return None
        return member if member == self._cls._value2member_map_.get(number, member) else None
