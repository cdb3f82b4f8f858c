"""Models of pydantic v2, by their state: nothing is validated, and pydantic is not imported."""

from __future__ import annotations

from typing import Any

from zerograph_redis.errors import SerializationError
from zerograph_redis.serde.kinds import check_known, check_whole
from zerograph_redis.serde.table import want

__all__ = ("PydanticKind",)


class PydanticKind:
    """A model: its fields, then which of them were set, its extras and its private attributes."""

    __slots__ = ("_cls",)

    def __init__(self, cls: Any) -> None:
        self._cls = cls

    @classmethod
    def of(cls, model: Any) -> PydanticKind | None:
        """Return how to store *model*, or None if it is no pydantic v2 model."""
        named = {"__pydantic_core_schema__", "__pydantic_private__", "model_fields", "__private_attributes__"}
        is_model = all(any(name in vars(base) for base in model.__mro__) or hasattr(model, name) for name in named)
        return cls(model) if is_model else None

    def take(self, value: Any) -> list[Any]:
        """Return the map of fields, the names of the fields set, the extras and the private attributes."""
        fields = self._cls.model_fields
        check_whole(value, fields)
        present = {name: value.__dict__[name] for name in fields if name in value.__dict__}
        return [
            present,
            sorted(value.__pydantic_fields_set__),
            value.__pydantic_extra__,
            value.__pydantic_private__,
        ]

    def build(self, stored: list[Any]) -> Any:
        """Return a model with the stored state, and defaults for fields and private attributes that are missing."""
        fields, names, extra, private = stored
        check_known(self._cls, want(dict, fields), self._cls.model_fields)
        model = object.__new__(self._cls)
        state = {
            "__dict__": self._fields(fields),
            "__pydantic_fields_set__": {want(str, name) for name in want(list, names)},
            "__pydantic_extra__": extra if extra is None else want(dict, extra),
            "__pydantic_private__": self._private(private if private is None else want(dict, private)),
        }
        for name, member in state.items():
            object.__setattr__(model, name, member)
        return model

    def _fields(self, stored: dict[str, Any]) -> dict[str, Any]:
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

    def _private(self, stored: dict[str, Any] | None) -> dict[str, Any] | None:
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
            elif type(attribute.default).__name__ != "PydanticUndefinedType":
                private[name] = attribute.get_default()
        return private
