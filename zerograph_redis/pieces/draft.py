"""From a state to what is stored of it, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .compression import Compression, unpack
from .cut import Cut, Part
from .diff import Run, compare
from .log import Latest, ThreadLogs
from .segments import Segment, joined, sliced

__all__ = ("Draft", "assemble", "draft")

_MOST_SEGMENTS = 128  # of a part: every record spells them, and every reader follows them


class Draft(NamedTuple):
    """What is to be stored of a state."""

    parts: list[tuple[int, list[Segment]]]
    """The place of each part, and its segments."""
    appended: bytes
    basis: Latest | None
    """The checkpoint whose segments it uses."""

    @property
    def segments(self) -> list[Segment]:
        """The segments of all parts."""
        return [segment for _, segments in self.parts for segment in segments]


def draft(pieces: Cut, logs: ThreadLogs, latest: Latest | None, compression: Compression | None) -> Draft:
    """Compare *pieces* with the state of *latest*, as far as *logs* know it; without one, all is new."""
    appended = bytearray()
    parts = []
    used = False
    for part in pieces.parts:
        known = None if latest is None else latest.parts.get(part.place)
        segments = None
        if latest is not None and known:
            segments = _reuse(part, logs, latest.generation, known, appended, compression)
        used = used or segments is not None
        parts.append((part.place, segments or [_append(part.payload, appended, compression)]))
    return Draft(parts, bytes(appended), latest if used else None)


def assemble(
    literals: Sequence[bytes], parts: Sequence[Sequence[Segment]], logs: ThreadLogs, generation: str
) -> list[bytes] | None:
    """Return the bytes of a state, in pieces; None if *logs* lack some. ValueError for a damaged compressed piece."""
    found = [literals[0]]
    for segments, literal in zip(parts, literals[1:], strict=True):
        for segment in segments:
            data = logs.read(generation, segment.offset, segment.stored or segment.length)
            if data is None:
                return None
            found.append(unpack(data, segment) if segment.stored else data)
        found.append(literal)
    return found


def _reuse(
    part: Part,
    logs: ThreadLogs,
    generation: str,
    known: Sequence[Segment],
    appended: bytearray,
    compression: Compression | None,
) -> list[Segment] | None:
    """Say a part in the segments of its earlier self and new ones; None if it is better said anew."""
    runs = _runs(part.payload, logs, generation, known)
    new = sum(len(run) for run in runs if not isinstance(run, tuple))
    if new > 0.8 * len(part.payload):
        return None
    size = len(appended)
    segments: list[Segment] = []
    for run in runs:
        if isinstance(run, tuple):
            segments += sliced(known, *run)
        else:
            segments.append(_append(run, appended, compression))
    segments = joined(segments)
    # Segments cost in every record from here on, sending the part anew costs once: about equal at this many.
    if len(segments) > min(_MOST_SEGMENTS, 4 + math.isqrt(len(part.payload) // 3)):
        del appended[size:]
        return None
    return segments


def _runs(payload: memoryview, logs: ThreadLogs, generation: str, known: Sequence[Segment]) -> Sequence[Run]:
    if len(known) == 1 and not known[0].stored:
        # The common case, a part that is the same or grown, without a copy of either.
        length = known[0].length
        if length <= len(payload) and logs.matches(generation, known[0].offset, payload[:length]):
            return [(0, length), payload[length:]] if length < len(payload) else [(0, length)]
    old = assemble([b"", b""], [known], logs, generation)
    return [payload] if old is None else compare(b"".join(old), bytes(payload))


def _append(data: bytes | memoryview, appended: bytearray, compression: Compression | None) -> Segment:
    offset = len(appended)
    packed = None if compression is None else compression.pack(data)
    appended += data if packed is None else packed
    if packed is None:
        return Segment(offset, len(data), fresh=True)
    return Segment(offset, len(data), fresh=True, stored=len(packed), skip=0, whole=len(data))
