"""One checkpoint with its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zerograph.constants import INTERRUPT

from zerograph_redis.core.checkpoint_operations import unpack_map, unpack_named
from zerograph_redis.core.configs import Address
from zerograph_redis.core.records import read_header
from zerograph_redis.core.requests import GetCheckpoint, Operation
from zerograph_redis.core.settings import Settings
from zerograph_redis.core.states import States
from zerograph_redis.core.thread_operations import moment
from zerograph_redis.core.writes import decode_writes

from .abridging import abridge


@dataclass(slots=True)
class State:
    """A checkpoint with its state."""

    namespace: str
    checkpoint_id: str
    parent: str | None
    stored: datetime
    """When it was stored first, by the store's clock."""
    bytes: int
    """What its record, what it added to the log, and its pending writes take."""
    metadata: Mapping[str, Any]
    checkpoint: Mapping[str, Any]
    writes: list[tuple[str, str, Any]]
    """Task, channel and value of each pending write."""

    @property
    def channels(self) -> Mapping[str, Any]:
        """The values of the channels."""
        values = self.checkpoint.get("channel_values")
        return values if isinstance(values, Mapping) else {}

    @property
    def interrupts(self) -> list[Any]:
        """The values that wait, or waited, for an answer."""
        return [getattr(value, "value", value) for _, channel, value in self.writes if channel == INTERRUPT]

    @property
    def step(self) -> int | None:
        """Which step of a run it was, as the engine counts."""
        step = self.checkpoint.get("_step", self.metadata.get("step"))
        return step if isinstance(step, int) else None

    @property
    def next(self) -> list[str]:
        """The nodes that come next."""
        following = self.checkpoint.get("_next_nodes")
        return (
            [each if isinstance(each, str) else repr(abridge(each)) for each in following]
            if isinstance(following, list | tuple)
            else []
        )


def read_state(settings: Settings, thread: str, namespace: str, checkpoint_id: str) -> Operation[State | None]:
    """Read a checkpoint; None if it is not stored."""
    address = Address(thread, namespace, checkpoint_id, None)
    request = GetCheckpoint(thread, namespace, checkpoint_id, refresh=False, known=())
    found = yield from States(settings).read(address, request, lambda found: found)
    if not found:
        return None
    ((stored, record, state),) = found
    of = (thread, namespace, checkpoint_id)
    writes = [
        (task, channel, unpack_named(settings.serializer, packed, "a pending write of", of))
        for task, channel, packed in decode_writes(*of, stored.writes, settings.cipher(thread))
    ]
    size = read_header("a record", stored.record or b"").appended + len(stored.record or b"")
    return State(
        namespace,
        checkpoint_id,
        record.parent,
        moment(int(record.order, 16)),
        size + sum(len(write.record or b"") for write in stored.writes),
        unpack_map(settings.serializer, record.metadata, "the metadata of", of),
        unpack_map(settings.serializer, state.packed, "the state of", of),
        writes,
    )
