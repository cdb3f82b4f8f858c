"""The writes that a run of the engine may stop at: stored before the call returns, also with ``durability="async"``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sized
from contextlib import suppress
from typing import Any

from zerograph.constants import INTERRUPT

from zerograph_redis.core.checkpoint_operations import PreparedWrites
from zerograph_redis.core.states import PreparedPut
from zerograph_redis.ids import IDENTITY_SEPARATOR

_REMEMBERED = 10_000  # namespaces
_LAST = ("interrupt", "previous")  # what a functional workflow returned is put as "previous"


class Runs:
    """Recognizes the checkpoints that a run may stop at.

    A run ends if no node is next. It waits for a person after a checkpoint of an interrupt, and where the engine stores the
    same step again, as it does before a node of ``interrupt_before`` and after one of ``interrupt_after``.
    """

    def __init__(self) -> None:
        self._steps: OrderedDict[tuple[str, str], tuple[str, Any]] = OrderedDict()
        """The last checkpoint of each namespace, and its step."""

    def stops_at(self, prepared: PreparedPut | PreparedWrites, checkpoint: Any, metadata: Any) -> bool:
        """Whether a run may stop at a checkpoint, or, as at an interrupt, at pending writes: then the rest is ignored."""
        if isinstance(prepared, PreparedWrites):
            return any(identity.endswith(IDENTITY_SEPARATOR + INTERRUPT) for identity in prepared.packed)
        address, step = prepared.address, checkpoint.get("_step")
        key = (address.thread, address.namespace)
        known = self._steps.pop(key, None)
        self._steps[key] = (prepared.checkpoint_id, step)
        if len(self._steps) > _REMEMBERED:
            with suppress(KeyError):  # another OS thread was faster
                self._steps.popitem(last=False)
        following = checkpoint.get("_next_nodes", ...)
        if following is None or (isinstance(following, Sized) and not len(following)):
            return True
        source = metadata.get("source") if isinstance(metadata, Mapping) else None
        if isinstance(source, str) and source in _LAST:
            return True
        if not isinstance(step, int):
            return False
        if known is None or address.checkpoint_id not in {None, known[0]}:
            # Another run, or one that began elsewhere: only its first step is surely not its last.
            return step != 0
        return bool(step == known[1])
