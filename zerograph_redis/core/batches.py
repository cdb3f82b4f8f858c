"""Several writes to one thread that are stored at once: each state is compared with the one before it in the batch.

The store decides where in the log the bytes of the batch go. Until then, the bytes that one put appends and the next one
uses have offsets ahead of any log; in the records these offsets count back from where the put itself appends.
"""

from __future__ import annotations

from zerograph_redis.state_log.log import BaseCheckpoint, KnownLogs
from zerograph_redis.state_log.segments import Segments, joined

from .requests import Placed, PlacedBatch, PutCheckpoint
from .settings import Settings
from .states import DraftedPut, PreparedPut, draft_put

_AHEAD = 1 << 40
"""The first offset of bytes that are not in the log yet. No log is as long."""


class Batch:
    """Puts of one thread that are stored at once, each compared with the one before it in its namespace."""

    def __init__(self, thread: str, settings: Settings, known: KnownLogs) -> None:
        self._thread = thread
        self._settings = settings
        self._known = known
        self._logs = known.of(thread)
        self._puts = 0
        self._bases: dict[str, BaseCheckpoint] = {}
        self._latest: dict[str, tuple[DraftedPut, int, int]] = {}
        """By namespace: its last put, the number of that, and where its bytes begin in those of the batch."""
        self.size = 0
        """How many bytes the batch appends to the log."""

    def put(self, prepared: PreparedPut) -> PutCheckpoint:
        """Draft the next put."""
        namespace = prepared.address.namespace
        earlier = self._bases.get(namespace)
        if earlier is None:
            put = draft_put(prepared, self._logs.base(namespace), self._settings)
        else:
            put = draft_put(prepared, earlier, self._settings, counted=self._counted_back)
        self._bases[namespace] = put.base_at(Placed("", "", _AHEAD + self.size))
        self._latest[namespace] = (put, self._puts, self.size)
        self._puts += 1
        self.size += len(put.request.appended)
        return put.request

    def _counted_back(self, segments: Segments) -> Segments:
        """Count offsets ahead of the log from where the next put appends."""
        end = _AHEAD + self.size
        return Segments.of(
            joined(
                segment._replace(offset=segment.offset - end, fresh=True) if segment.offset >= _AHEAD else segment
                for segment in segments.each
            )
        )

    def note(self, placed: PlacedBatch) -> None:
        """Note where the batch was stored."""
        for namespace, (put, number, offset) in self._latest.items():
            at = Placed(placed.orders[number], placed.generation, placed.base + offset)
            self._logs.note(namespace, put.base_at(at))
        self._known.weigh(self._thread)
