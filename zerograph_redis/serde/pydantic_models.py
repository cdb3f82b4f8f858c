"""Models of pydantic v2, by their state: nothing is validated, and pydantic is not imported."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from zerograph_redis.errors import SerializationError
from zerograph_redis.serde.kinds import check_known, check_set
from zerograph_redis.serde.storage import Storage, is_open
from zerograph_redis.serde.table import RefusedError, want

_BESIDE: Final = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")


class PydanticKind:
    """A model: its fields, then which of them were set, its extras and its private attributes."""

    __slots__ = ("_cls", "_fields", "_private", "_storage")

    def __init__(self, cls: Any) -> None:
        self._cls = cls
        self._fields = frozenset(cls.model_fields)
        self._storage = Storage(cls, self._fields, beside=_BESIDE)
        self._private = tuple(
            name for name, each in cls.__private_attributes__.items() if each.default_factory or _has_default(each)
        )

    @classmethod
    def of(cls, model: Any) -> PydanticKind | None:
        """Return how to store *model*, or None if it is no pydantic v2 model."""
        named = {"__pydantic_core_schema__", "__pydantic_private__", "model_fields", "__private_attributes__"}
        is_model = all(any(name in vars(base) for base in model.__mro__) or hasattr(model, name) for name in named)
        return cls(model) if is_model and is_open(model) else None

    def take(self, value: Any) -> list[Any]:
        """Return the map of fields, the names of the fields set, the extras and the private attributes."""
        fields = self._storage.read(value)
        if len(fields) != len(self._fields):
            check_set(fields, self._cls.model_fields)
        names, extra, private = (_state(value, name) for name in _BESIDE)
        if type(names) is not set or not {str}.issuperset(map(type, names)):
            _refuse("set of fields that were given is no set of names")
        if extra is not None and type(extra) is not dict:
            _refuse("extra fields are no dict")
        if private is not None:
            if type(private) is not dict or not private.keys() <= self._cls.__private_attributes__.keys():
                _refuse("private attributes are not those of the class")
            check_set(private, self._private)
        return [fields, sorted(names), extra, private]

    def build(self, stored: list[Any]) -> Any:
        """Return a model with the stored state, and defaults for fields and private attributes that are missing."""
        fields, names, extra, private = stored
        check_known(self._cls, want(dict, fields), self._cls.model_fields)
        model = object.__new__(self._cls)
        self._storage.write(model, fields if fields.keys() == self._fields else self._completed(fields))
        beside = (
            {want(str, name) for name in want(list, names)},
            extra if extra is None else want(dict, extra),
            self._build_private(private if private is None else want(dict, private)),
        )
        for name, member in zip(_BESIDE, beside, strict=True):
            object.__setattr__(model, name, member)
        return model

    def _completed(self, stored: dict[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name, info in self._cls.model_fields.items():
            if name in stored:
                fields[name] = stored[name]
            elif info.is_required():
                msg = (
                    f"the stored {self._cls.__module__}.{self._cls.__qualname__} lacks the field {name!r}, "
                    "which has no default in the class"
                )
                raise SerializationError(msg)
            else:
                fields[name] = info.get_default(call_default_factory=True, validated_data=dict(fields))
        return fields

    def _build_private(self, stored: dict[str, Any] | None) -> dict[str, Any] | None:
        attributes = self._cls.__private_attributes__
        check_known(self._cls, stored or {}, attributes)
        if stored is None:
            return None
        private: dict[str, Any] = {}
        for name, attribute in attributes.items():
            if name in stored:
                private[name] = stored[name]
            elif attribute.default_factory is not None:
                private[name] = attribute.default_factory()
            elif _has_default(attribute):
                private[name] = attribute.get_default()
        return private


def _has_default(attribute: Any) -> bool:
    return type(attribute.default).__name__ != "PydanticUndefinedType"


def _state(value: Any, name: str) -> Any:
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        _refuse(f"{name} is not set")


def _refuse(why: str) -> NoReturn:
    msg = f"its {why}; make it with its class, or by model_construct"
    raise RefusedError(msg)
