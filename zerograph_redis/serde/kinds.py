"""How an object is taken apart by its fields, and built again without calling its ``__init__``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from enum import Enum, Flag
from types import MemberDescriptorType
from typing import Any, Final, Protocol

from zerograph_redis.errors import SerializationError
from zerograph_redis.serde.spelling import spell
from zerograph_redis.serde.storage import Storage, is_described, is_open, refuse_attributes, static
from zerograph_redis.serde.table import RefusedError, want


class Kind(Protocol):
    """A way to store the objects of one class."""

    def take(self, value: Any) -> list[Any]:
        """Return the storable parts of *value*; the first is the map of its fields, if it has fields."""

    def build(self, stored: list[Any]) -> Any:
        """Return an object from its stored parts."""


_UNSET: Final = object()
_PAIR: Final = "give the class an encode and a decode function"


def kind_of(cls: type) -> Kind | None:
    """Return how to store a dataclass, attrs class, NamedTuple or Enum; None for any other class."""
    if issubclass(cls, Enum):
        return EnumKind(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return NamedTupleKind(cls)
    if not is_open(cls):
        return None
    if hasattr(cls, "__attrs_attrs__"):
        return FieldsKind(cls, _attrs_defaults(cls), optional=_attrs_optional(cls), cached_hash=_caches_hash(cls))
    if dataclasses.is_dataclass(cls):
        return FieldsKind(cls, _dataclass_defaults(cls), optional=_dataclass_optional(cls))
    return None


def check_known(cls: type, stored: dict[str, Any], known: Any) -> None:
    """Raise SerializationError if *stored* has a field that *cls* has no more."""
    for name in stored:
        if name not in known:
            msg = f"the stored {cls.__module__}.{cls.__qualname__} has a field {name!r}, which the class no longer has"
            raise SerializationError(msg)


def check_set(fields: Any, names: Any) -> None:
    """Raise RefusedError if *fields* lack one of *names*, which would come back as a default, or not at all."""
    for name in names:
        if name not in fields:
            msg = (
                f"its field {name!r} is not set in the object itself, so it would not come back as it is; "
                f"set it, or {_PAIR}"
            )
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


def _dataclass_optional(cls: Any) -> Iterator[str]:
    """Name the fields that ``__init__`` leaves alone: they are not set, or as the class has them."""
    for each in dataclasses.fields(cls):
        if each.init or each.default_factory is not dataclasses.MISSING:
            continue
        found = static(cls, each.name)
        is_slot = isinstance(found, MemberDescriptorType)
        if each.default is dataclasses.MISSING if is_slot else not is_described(cls, each.name):
            yield each.name


def _attrs_optional(cls: Any) -> Iterator[str]:
    import attr

    return (each.name for each in cls.__attrs_attrs__ if not each.init and each.default is attr.NOTHING)


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

    __slots__ = ("_cached_hash", "_cls", "_defaults", "_described", "_optional", "_required", "_storage")

    def __init__(
        self, cls: type, defaults: dict[str, Default | None], *, optional: Any = (), cached_hash: bool = False
    ) -> None:
        self._cls = cls
        self._defaults = defaults
        self._optional = frozenset(optional)
        self._required = tuple(name for name in defaults if name not in self._optional)
        self._storage = Storage(cls, defaults)
        self._cached_hash = cached_hash
        self._described = [name for name in defaults if is_described(cls, name)]

    def take(self, value: Any) -> list[Any]:
        """Return the map of fields; an optional one that is not set is left out."""
        fields = self._storage.read(value)
        if len(fields) != len(self._defaults):
            check_set(fields, self._required)
        if self._described:
            self._check_described(value, fields)
        return [fields]

    def _check_described(self, value: Any, fields: dict[str, Any]) -> None:
        """Refuse a *value* that shows what it does not keep itself: a property or descriptor may keep it elsewhere."""
        back = self.build([fields])
        for name in self._described:
            shown, again = (getattr(each, name, _UNSET) for each in (value, back))
            if shown is not again and not shown == again:  # noqa: SIM201 - of arrays, say, that has no answer
                msg = f"its field {name!r} is kept elsewhere, by its property or descriptor; {_PAIR}"
                raise RefusedError(msg)

    def build(self, stored: list[Any]) -> Any:
        """Return an object with the stored fields, and defaults for the ones that are missing."""
        (fields,) = stored
        value: Any = object.__new__(self._cls)
        if self._cached_hash:
            object.__setattr__(value, "_attrs_cached_hash", None)
        self._storage.write(value, want(dict, fields))
        if fields.keys() != self._defaults.keys():
            check_known(self._cls, fields, self._defaults)
            self._complete(value, fields)
        return value

    def _complete(self, value: Any, fields: dict[str, Any]) -> None:
        for name, default in self._defaults.items():
            if name in fields or name in self._optional:
                continue
            if default is None:
                raise _no_default(self._cls, name)
            self._storage.write(value, {name: default(value)})


class NamedTupleKind:
    """A NamedTuple, or what ``collections.namedtuple`` made."""

    __slots__ = ("_cls",)

    def __init__(self, cls: Any) -> None:
        self._cls = cls

    def take(self, value: Any) -> list[Any]:
        """Return the map of fields."""
        names = self._cls._fields
        if hasattr(value, "__dict__"):
            refuse_attributes(value)
        if tuple.__len__(value) != len(names):
            msg = f"it has {tuple.__len__(value)} members, and its class {len(names)} fields"
            raise RefusedError(msg)
        return [dict(zip(names, tuple.__iter__(value), strict=True))]

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

    __slots__ = ("_cls", "_defined", "_is_flag", "_members")

    def __init__(self, cls: Any) -> None:
        self._cls = cls
        self._is_flag = issubclass(cls, Flag)
        self._members: dict[str, Any] = dict(cls.__members__)
        # What the class makes of a name or number: a member that was made at run time is not there in other workers.
        self._defined: dict[Any, Any] = (
            cls._value2member_map_ if self._is_flag else {name: self._members[name] for name in cls._member_names_}
        )

    def take(self, value: Any) -> list[Any]:
        """Return the name of the member, or the number of the flags."""
        key = value._value_ if self._is_flag else value._name_
        if self._defined.get(key) is not value:
            msg = (
                f"the class defines no such {'flags' if self._is_flag else 'member'}, so other workers may not have it; "
                f"store its value, or {_PAIR}"
            )
            raise RefusedError(msg)
        return [key]

    def build(self, stored: list[Any]) -> Any:
        """Return the member of that name or number."""
        (key,) = stored
        member = self._flags(want(int, key)) if self._is_flag else self._members.get(want(str, key))
        if type(member) is not self._cls:
            kind = f"{self._cls.__module__}.{self._cls.__qualname__}"
            msg = f"the stored {kind} is {spell(key)}, which the class no longer has"
            raise SerializationError(msg)
        return member

    def _flags(self, number: int) -> Any:
        """Return the flags of a number, None if the class has none."""
        try:
            flags = self._cls(number)
        except ValueError:
            return None
        return flags if getattr(flags, "_value_", None) == number else None
