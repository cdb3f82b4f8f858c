"""Reads and writes the attributes of an object without running the properties, descriptors and hooks of its class.

So no code of the class can change a value: reading returns all that an object holds, and writing it to a new object makes
an exact copy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final

from .codes import RefusedError

CACHED_HASH: Final = "_attrs_cached_hash"
_BY_PYTHON: Final = ("__dict__", "__weakref__")


class Attributes:
    """Reads and writes the fields of one class: in the ``__dict__`` of objects, or in slots of the class and its bases."""

    __slots__ = ("_caches", "_dict", "_foreign", "_getters", "_in_dict", "_slots")

    def __init__(self, cls: type, fields: Iterable[str], beside: Iterable[str] = ()) -> None:
        """Find where objects of *cls*, which `is_open`, hold *fields*. Slots named in *beside* are ignored."""
        as_dict: Any = raw_attribute(cls, "__dict__")
        self._dict: Callable[[Any], dict[str, Any]] | None = as_dict and as_dict.__get__
        self._slots = {
            name: found for name in fields if isinstance(found := raw_attribute(cls, name), MemberDescriptorType)
        }
        self._getters = [(name, slot.__get__) for name, slot in self._slots.items()]
        self._in_dict = frozenset(name for name in fields if name not in self._slots) if as_dict else frozenset()
        self._caches = frozenset(_caches(cls))
        left_out = {*beside, *self._caches}
        own = set(self._slots.values())
        self._foreign = [slot for slot in _slots(cls) if slot not in own and slot.__name__ not in left_out]

    def read(self, value: Any) -> dict[str, Any]:
        """Return the fields that are set in *value*. The dict may be the object's own.

        Raises:
            RefusedError: The object holds something besides fields, which would not be stored.
        """
        for slot in self._foreign:
            if _is_set(slot, value):
                raise _not_a_field(slot.__name__)
        found: dict[str, Any] = {}
        if self._slots:
            try:
                found = {name: get(value) for name, get in self._getters}
            except AttributeError:  # one is not set
                found = {name: slot.__get__(value) for name, slot in self._slots.items() if _is_set(slot, value)}
        if self._dict is None:
            return found
        held = self._dict(value)
        if held.keys() != self._in_dict:
            held = self._fields_of(held)
        return found | held if found else held

    def write(self, value: Any, fields: dict[str, Any]) -> None:
        """Set *fields* in *value*, which is a new object."""
        for name, slot in self._slots.items():
            if name in fields:
                slot.__set__(value, fields[name])
        if self._dict is not None:
            if self._slots:
                fields = {name: each for name, each in fields.items() if name in self._in_dict}
            self._dict(value).update(fields)

    def _fields_of(self, held: dict[str, Any]) -> dict[str, Any]:
        for name in held:
            if name not in self._in_dict and name not in self._caches:
                raise _not_a_field(name)
        return {name: each for name, each in held.items() if name in self._in_dict}


def refuse_attributes(value: Any, known: Container[str] = ()) -> None:
    """Raise RefusedError if *value*, whose class stores its content in C, holds attributes besides those *known*."""
    for name in value.__dict__:
        if name not in known and not isinstance(raw_attribute(type(value), name), functools.cached_property):
            raise RefusedError(f"its attribute {name!r} would not be stored with such an object; remove it")


def _not_a_field(name: Any) -> RefusedError:
    return RefusedError(
        f"its attribute {name!r} is not a field of the class, so it would not be stored; make it a field, or give the class "
        f"an encode and a decode function"
    )


def is_open(cls: type) -> bool:
    """Return whether everything that objects of *cls* hold is in a ``__dict__`` and in slots, where it can be read."""
    for base in cls.__mro__[:-1]:
        found = vars(base)
        # Implemented in C, as dict and datetime are: what it holds is not in fields.
        if base.__module__ == "builtins" or isinstance(found.get("__new__"), BuiltinFunctionType):
            return False
        if not isinstance(found.get("__dict__", None), GetSetDescriptorType | None):
            return False
        declared = found.get("__slots__", ())
        for name in (declared,) if isinstance(declared, str) else declared:
            mangled = f"_{base.__name__.lstrip('_')}{name}" if name.startswith("__") and name[-2:] != "__" else name
            if name not in _BY_PYTHON and not isinstance(found.get(mangled), MemberDescriptorType):
                return False  # another attribute hides the slot
    return True


def _slots(cls: type) -> Iterator[MemberDescriptorType]:
    for base in cls.__mro__:
        for found in vars(base).values():
            if isinstance(found, MemberDescriptorType):
                yield found


def raw_attribute(cls: type, name: str) -> Any:
    """Return an attribute of a class without calling its descriptor; None if it has none."""
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)


def is_described(cls: type, name: str) -> bool:
    """Return whether *name* is a property or another descriptor of the class, and not a slot."""
    found = raw_attribute(cls, name)
    return hasattr(type(found), "__set__") and not isinstance(found, MemberDescriptorType)


def _is_set(slot: MemberDescriptorType, value: Any) -> bool:
    try:
        slot.__get__(value)
    except AttributeError:
        return False
    return True


def _caches(cls: type) -> Iterator[str]:
    """Yield the names of cached values, which are computed again if missing: properties, and the hash that attrs caches."""
    yield CACHED_HASH
    for base in cls.__mro__:
        for name, found in vars(base).items():
            if isinstance(found, functools.cached_property) and raw_attribute(cls, name) is found:
                yield name
        getter = vars(base).get("__getattr__")
        if "__attrs_attrs__" in vars(base) and isinstance(getter, FunctionType) and getter.__defaults__:
            # In a class with slots, attrs has its cached properties in a default of the __getattr__ that it generates.
            properties, *_ = getter.__defaults__
            yield from properties if isinstance(properties, dict) else ()
