"""How objects of classes with fields, and Enum members, are encoded and decoded, without calling ``__init__``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum, Flag
from types import MemberDescriptorType
from typing import Any, Final, Protocol

from zerograph_redis.errors import SerializationError

from .attributes import CACHED_HASH, Attributes, is_described, is_open, raw_attribute, refuse_attributes
from .codes import RefusedError, expect
from .reprs import describe, safe_repr


class ClassCodec(Protocol):
    """Encodes and decodes the objects of one class."""

    def encode(self, value: Any) -> list[Any]:
        """Return the storable parts of *value*; the first is the map of its fields, if it has fields."""

    def decode(self, stored: list[Any]) -> Any:
        """Return an object from its stored parts."""


_UNSET: Final = object()
_PAIR: Final = "give the class an encode and a decode function"
_BESIDE: Final = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")


def codec_of(cls: type) -> ClassCodec | None:
    """Return the codec of a dataclass, attrs class, pydantic v2 model, NamedTuple or Enum; None for any other class."""
    if issubclass(cls, Enum):
        return EnumCodec(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return NamedTupleCodec(cls)
    if not is_open(cls):
        return None
    if hasattr(cls, "__attrs_attrs__"):
        return _attrs_codec(cls)
    if dataclasses.is_dataclass(cls):
        return _dataclass_codec(cls)
    return PydanticCodec(cls) if _is_model(cls) else None


def _refuse_unset(fields: Collection[str], names: Iterable[str]) -> None:
    for name in names:
        if name not in fields:
            raise RefusedError(
                f"its field {name!r} is not set, so it would come back with a default, or not at all; set it, or {_PAIR}"
            )


Default = Callable[[dict[str, Any]], Any]
"""Makes the default of a field, given the fields before it."""


def _completed(
    cls: type, stored: dict[str, Any], defaults: Mapping[str, Default | None], optional: Collection[str] = ()
) -> dict[str, Any]:
    """Return the *stored* fields, and the defaults of missing ones, in the order of the class."""
    for name in stored:
        if name not in defaults:
            raise SerializationError(
                f"the stored {describe(cls)} has a field {name!r}, which the class no longer has; keep the field, with a "
                f"default, while stored objects have it"
            )
    fields: dict[str, Any] = {}
    for name, default in defaults.items():
        if name in stored:
            fields[name] = stored[name]
        elif name in optional:
            continue
        elif default is None:
            raise SerializationError(
                f"the stored {describe(cls)} lacks the field {name!r}, which has no default in the class; give it one"
            )
        else:
            fields[name] = default(fields)
    return fields


def _constant(value: Any) -> Default:
    return lambda _: value


def _calling(factory: Callable[[], Any]) -> Default:
    return lambda _: factory()


def _calling_with_object(cls: type, factory: Callable[[Any], Any]) -> Default:
    def default(fields: dict[str, Any]) -> Any:
        value: Any = object.__new__(cls)
        Attributes(cls, fields).write(value, fields)
        return factory(value)

    return default


def _dataclass_codec(cls: Any) -> FieldsCodec:
    defaults: dict[str, Default | None] = {}
    optional = []
    for each in dataclasses.fields(cls):
        if each.default_factory is not dataclasses.MISSING:
            defaults[each.name] = _calling(each.default_factory)
            continue
        defaults[each.name] = None if each.default is dataclasses.MISSING else _constant(each.default)
        # Without a place in __init__, an object has no such field, or that of the class.
        is_slot = isinstance(raw_attribute(cls, each.name), MemberDescriptorType)
        may_lack = each.default is dataclasses.MISSING if is_slot else not is_described(cls, each.name)
        if may_lack and not each.init:
            optional.append(each.name)
    return FieldsCodec(cls, defaults, optional)


def _attrs_codec(cls: Any) -> FieldsCodec:
    import attr

    defaults: dict[str, Default | None] = {}
    for each in cls.__attrs_attrs__:
        if each.default is attr.NOTHING:
            defaults[each.name] = None
        elif isinstance(each.default, attr.Factory):  # type: ignore[arg-type]  # typed as a function, is a class
            factory = each.default.factory
            defaults[each.name] = _calling_with_object(cls, factory) if each.default.takes_self else _calling(factory)
        else:
            defaults[each.name] = _constant(each.default)
    optional = [each.name for each in cls.__attrs_attrs__ if not each.init and each.default is attr.NOTHING]
    return FieldsCodec(cls, defaults, optional, cached_hash=_caches_hash(cls))


def _caches_hash(cls: Any) -> bool:
    hashability = getattr(getattr(cls, "__attrs_props__", None), "hashability", None)
    slots = getattr(cls, "__slots__", ())
    return getattr(hashability, "name", "") == "HASHABLE_CACHED" or CACHED_HASH in slots


class FieldsCodec:
    """For classes whose objects are their attributes: dataclasses, attrs classes, and ZeroGraph's own."""

    def __init__(
        self,
        cls: type,
        defaults: dict[str, Default | None],
        optional: Collection[str] = (),
        *,
        cached_hash: bool = False,
    ) -> None:
        self._cls = cls
        self._defaults = defaults
        self._optional = frozenset(optional)
        self._required = tuple(name for name in defaults if name not in self._optional)
        self._attributes = Attributes(cls, defaults)
        self._cached_hash = cached_hash
        self._described = [name for name in defaults if is_described(cls, name)]

    def encode(self, value: Any) -> list[Any]:
        """Return the map of fields, without the optional ones that are not set."""
        fields = self._attributes.read(value)
        if len(fields) != len(self._defaults):
            _refuse_unset(fields, self._required)
        if self._described:
            self._check_described(value, fields)
        return [fields]

    def _check_described(self, value: Any, fields: dict[str, Any]) -> None:
        """Refuse a *value* whose properties or descriptors do not return the same once it is decoded."""
        back = self.decode([fields])
        for name in self._described:
            before, after = (getattr(each, name, _UNSET) for each in (value, back))
            if before is not after and not before == after:
                raise RefusedError(
                    f"its field {name!r} is a property or descriptor, which keeps the value under another name; {_PAIR}"
                )

    def decode(self, stored: list[Any]) -> Any:
        """Return an object with the stored fields, and defaults for missing ones."""
        (fields,) = stored
        value: Any = object.__new__(self._cls)
        if self._cached_hash:
            object.__setattr__(value, CACHED_HASH, None)
        if expect(dict, fields).keys() != self._defaults.keys():
            fields = _completed(self._cls, fields, self._defaults, self._optional)
        self._attributes.write(value, fields)
        return value


class NamedTupleCodec:
    """For NamedTuples, and classes of ``collections.namedtuple``."""

    def __init__(self, cls: Any) -> None:
        self._cls = cls
        constants = {name: _constant(value) for name, value in cls._field_defaults.items()}
        self._defaults: dict[str, Default | None] = {name: constants.get(name) for name in cls._fields}

    def encode(self, value: Any) -> list[Any]:
        """Return the map of fields."""
        names = self._cls._fields
        if hasattr(value, "__dict__"):
            refuse_attributes(value)
        if tuple.__len__(value) != len(names):
            raise RefusedError(
                f"it has {tuple.__len__(value)} members, and its class {len(names)} fields; make it with its class"
            )
        return [dict(zip(names, tuple.__iter__(value), strict=True))]

    def decode(self, stored: list[Any]) -> Any:
        """Return a tuple of the stored fields, and defaults for missing ones."""
        (fields,) = stored
        if expect(dict, fields).keys() != self._defaults.keys():
            fields = _completed(self._cls, fields, self._defaults)
        return tuple.__new__(self._cls, [fields[name] for name in self._defaults])


class EnumCodec:
    """For Enums: a member is stored by its name, flags by their number, since they may combine members."""

    def __init__(self, cls: Any) -> None:
        self._cls = cls
        self._is_flag = issubclass(cls, Flag)
        self._members: dict[str, Any] = dict(cls.__members__)
        # By name or number, the members of the class definition: other workers lack members that were made at run time.
        self._defined: dict[Any, Any] = (
            cls._value2member_map_ if self._is_flag else {name: self._members[name] for name in cls._member_names_}
        )

    def encode(self, value: Any) -> list[Any]:
        """Return the name of the member, or the number of the flags."""
        key = value._value_ if self._is_flag else value._name_
        if self._defined.get(key) is not value:
            raise RefusedError(
                f"the class defines no such {'flags' if self._is_flag else 'member'}, so other workers may not have it; "
                f"store its value, or {_PAIR}"
            )
        return [key]

    def decode(self, stored: list[Any]) -> Any:
        """Return the member with this name, or the flags with this number."""
        (key,) = stored
        member = self._flags(expect(int, key)) if self._is_flag else self._members.get(expect(str, key))
        if type(member) is not self._cls:
            raise SerializationError(
                f"the stored {describe(self._cls)} is {safe_repr(key)}, which the class no longer has; keep the member "
                f"while stored objects have it"
            )
        return member

    def _flags(self, number: int) -> Any:
        try:
            flags = self._cls(number)
        except ValueError:
            return None
        return flags if getattr(flags, "_value_", None) == number else None


class PydanticCodec:
    """For models of pydantic v2, by their state: nothing is validated, and pydantic is not imported."""

    def __init__(self, cls: Any) -> None:
        self._cls = cls
        self._defaults = {name: _model_default(info) for name, info in cls.model_fields.items()}
        self._attributes = Attributes(cls, self._defaults, beside=_BESIDE)
        self._private = {
            name: _calling(each.get_default) if each.default_factory or _has_default(each) else None
            for name, each in cls.__private_attributes__.items()
        }
        self._optional = [name for name, default in self._private.items() if default is None]

    def encode(self, value: Any) -> list[Any]:
        """Return the map of fields, the names of the fields set, the extras and the private attributes."""
        fields = self._attributes.read(value)
        if len(fields) != len(self._defaults):
            _refuse_unset(fields, self._defaults)
        names, extra, private = (_state(value, name) for name in _BESIDE)
        if type(names) is not set or not {str}.issuperset(map(type, names)):
            raise _odd_model("__pydantic_fields_set__ is not a set of names")
        if extra is not None and type(extra) is not dict:
            raise _odd_model("extra fields are not a dict")
        if private is not None:
            if type(private) is not dict or not private.keys() <= self._private.keys():
                raise _odd_model("private attributes are not those of the class")
            _refuse_unset(private, (name for name in self._private if name not in self._optional))
        return [fields, sorted(names), extra, private]

    def decode(self, stored: list[Any]) -> Any:
        """Return a model with the stored state, and defaults for missing fields and private attributes."""
        fields, names, extra, private = stored
        if expect(dict, fields).keys() != self._defaults.keys():
            fields = _completed(self._cls, fields, self._defaults)
        if private is not None:
            private = _completed(self._cls, expect(dict, private), self._private, self._optional)
        model = object.__new__(self._cls)
        self._attributes.write(model, fields)
        beside = (
            {expect(str, name) for name in expect(list, names)},
            extra if extra is None else expect(dict, extra),
            private,
        )
        for name, member in zip(_BESIDE, beside, strict=True):
            object.__setattr__(model, name, member)
        return model


def _model_default(info: Any) -> Default | None:
    if info.is_required():
        return None
    return lambda fields: info.get_default(call_default_factory=True, validated_data=dict(fields))


def _is_model(cls: type) -> bool:
    named = {"__pydantic_core_schema__", "__pydantic_private__", "model_fields", "__private_attributes__"}
    return all(any(name in vars(base) for base in cls.__mro__) or hasattr(cls, name) for name in named)


def _has_default(attribute: Any) -> bool:
    return type(attribute.default).__name__ != "PydanticUndefinedType"


def _state(value: Any, name: str) -> Any:
    try:
        return object.__getattribute__(value, name)
    except AttributeError as error:
        raise _odd_model(f"{name} is not set") from error


def _odd_model(why: str) -> RefusedError:
    return RefusedError(f"its {why}; make it with its class, or with model_construct")
