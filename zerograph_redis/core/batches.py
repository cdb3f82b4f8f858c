"""Several writes to one thread that are stored at once: each state is compared with the one before it in the batch.

The store decides where in the log the bytes of the batch go. Until then, what one put appends and the next one uses has
offsets that are ahead of any log; in the records these offsets count back from what the put itself appends.
"""

from __future__ import annotations

from collections.abc import Callable

from zerograph_redis.state_log import BaseCheckpoint, KnownLogs, draft
from zerograph_redis.state_log.segments import Segments, joined

from .records import digest_of
from .requests import Placed, PlacedBatch, PutCheckpoint
from .settings import Settings
from .states import PreparedPut, base_of, request_of

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
        self._latest: dict[str, Callable[[PlacedBatch], BaseCheckpoint]] = {}
        """By namespace: what is known of its last checkpoint once the batch is stored."""
        self.size = 0
        """How many bytes the batch appends to the log."""

    def put(self, prepared: PreparedPut) -> PutCheckpoint:
        """Draft the next put."""
        address, _, state, _, _ = prepared
        namespace, codec = address.namespace, self._settings.codec(self._thread)
        digest = digest_of(state.packed)
        earlier = self._bases.get(namespace)
        drafted = draft(state, earlier or self._logs.base(namespace), codec)
        if earlier is not None:
            drafted = drafted._replace(segments=[*map(self._counted_back, drafted.segments)], base=None)
        request = request_of(prepared, self._settings, digest, drafted)
        number, offset = self._puts, self.size

        def base_at(batch: PlacedBatch) -> BaseCheckpoint:
            placed = Placed(batch.orders[number], batch.generation, batch.base + offset)
            return base_of(prepared, request, digest, drafted, placed)

        self._bases[namespace] = base_of(prepared, request, digest, drafted, Placed("", "", _AHEAD + offset))
        self._latest[namespace] = base_at
        self._puts += 1
        self.size += len(drafted.appended)
        return request

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
        for namespace, base_at in self._latest.items():
            self._logs.note(namespace, base_at(placed))
        self._known.weigh(self._thread)
