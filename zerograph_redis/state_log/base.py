"""What the next state of a namespace is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .cut import Cut
from .segments import Segments

_SEGMENT_SIZE = 100  # about how many bytes of memory a segment takes


class BaseCheckpoint(NamedTuple):
    """A checkpoint that the worker read or stored, whose state the next one of its namespace is compared with.

    Its content stands here, and not only where it lies in the log: what a worker remembers of the log may be of a history
    that the store has left.
    """

    checkpoint_id: str
    order: str
    generation: str
    proof: str
    """What the header of its record says of its put: where it appended to the log, how much, and its random name."""
    digest: bytes
    """That of its state."""
    state: Cut
    segments: Sequence[Segments]
    """Where each part lies in the log."""
    content: bytes
    """What stands behind the header of its record, …"""
    parent: str | None
    """… and what that says: the id of its parent, …"""
    metadata: bytes
    """… and its metadata, packed."""
    mark: bytes
    """Names its put in a record that is encrypted, if the store confirmed its parent; see `records.Link`."""

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        segments = sum([len(segments.each) for segments in self.segments])
        return len(self.state.packed) + len(self.content) + len(self.metadata) + _SEGMENT_SIZE * segments

    def spans(self) -> list[tuple[int, int]]:
        """From and to of each stretch of the log whose bytes are in its state."""
        found: list[tuple[int, int]] = []
        for start, length in sorted(
            [(each[0], each[1]) for segments in self.segments for each in segments.each if not each[3]]
        ):
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], start + length))
            else:
                found.append((start, start + length))
        return found

    def stretches(self) -> list[tuple[int, bytes]]:
        """Where each of its segments begins in the log, and the bytes that lie there."""
        found = []
        for part, segments in zip(self.state.parts, self.segments, strict=True):
            position = part.start
            for segment in segments.each:
                if not segment.stored:
                    found.append((segment.offset, self.state.packed[position : position + segment.length]))
                position += segment.length
        return found
