"""ZeroGraph's own types, registered in every serializer under names of its own."""

from __future__ import annotations

from typing import Any, Final

from zerograph.channels.messages import RemoveMessage
from zerograph.checkpoint import CheckpointTuple
from zerograph.store import StoreItem
from zerograph.types import Command, Interrupt, Overwrite, PregelTask, Send, StateSnapshot, TimeoutPolicy

from zerograph_redis.serde.kinds import FieldsKind, Kind, kind_of


def _kind(cls: Any) -> Kind:
    return kind_of(cls) or FieldsKind(cls, dict.fromkeys(cls.__slots__))


ENGINE_TYPES: Final[dict[str, tuple[type, Kind]]] = {
    f"zerograph.{cls.__name__}": (cls, _kind(cls))
    for cls in (
        *(Interrupt, Send, Command, Overwrite, TimeoutPolicy, PregelTask, StateSnapshot),
        *(RemoveMessage, StoreItem, CheckpointTuple),
    )
}
