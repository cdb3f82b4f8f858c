"""From a state to what is stored of it, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .coding import Coding
from .cut import Cut, Part
from .diff import Run, compare
from .log import BaseCheckpoint, Logs
from .segments import Segment, joined, sliced

__all__ = ("MOST_BYTES", "Draft", "draft", "read_parts")

_MOST_SEGMENTS = 128  # of a part: every record spells them, and every reader follows them

MOST_BYTES = 1 << 30
"""How many bytes a state may have, unless told otherwise: more than any log can hold that is not compressed."""


class Draft(NamedTuple):
    """What is to be stored of a state."""

    parts: list[tuple[Part, list[Segment]]]
    """Each part, and its segments."""
    appended: bytes
    base: BaseCheckpoint | None
    """The checkpoint whose segments it uses."""

    @property
    def needed(self) -> int:
        """How many bytes of the log the state is made of."""
        return sum(segment.stored or segment.length for _, segments in self.parts for segment in segments)

    @property
    def segments(self) -> list[tuple[int, list[Segment]]]:
        """The place of each part, and its segments: what a record says of them."""
        return [(part.place, segments) for part, segments in self.parts]


def draft(pieces: Cut, base: BaseCheckpoint | None, coding: Coding) -> Draft:
    """Compare *pieces* with the state of *base*; without one, all is new."""
    appended = bytearray()
    parts = []
    used = False
    for part in pieces.parts:
        segments = None if base is None else _reuse(part, base, appended, coding)
        used = used or segments is not None
        parts.append((part, segments or [_append(part.payload, appended, coding)]))
    return Draft(parts, bytes(appended), base if used else None)


def read_parts(
    parts: Sequence[Sequence[Segment]], logs: Logs, generation: str, coding: Coding, most: int
) -> list[bytes] | None:
    """Return the contents of parts; None if *logs* lack some of them.

    ValueError for a damaged piece, and, before anything is unpacked, for more than *most* bytes.
    """
    shared = _shared(parts, most)
    unpacked: dict[Segment, bytes] = {}
    found = []
    for segments in parts:
        content = []
        for segment in segments:
            data = logs.read(generation, segment.offset, segment.stored or segment.length)
            if data is None:
                return None
            if not segment.stored:
                content.append(data)
            elif (piece := _whole(segment)) in shared:
                if piece not in unpacked:
                    unpacked[piece] = coding.unpack(data, piece)
                content.append(unpacked[piece][segment.skip : segment.skip + segment.length])
            else:
                content.append(coding.unpack(data, segment))
        found.append(content[0] if len(content) == 1 else b"".join(content))
    return found


def _shared(parts: Sequence[Sequence[Segment]], most: int) -> set[Segment]:
    """Find the pieces that several segments are of: these are unpacked once. ValueError for more than *most* bytes."""
    size = 0
    seen: set[Segment] = set()
    shared: set[Segment] = set()
    for segments in parts:
        for segment in segments:
            size += segment.length
            if segment.stored:
                piece = _whole(segment)
                (shared if piece in seen else seen).add(piece)
    if size > most or sum(piece.whole for piece in seen) > most:
        raise ValueError(f"it unpacks to more than the {most:,} bytes that max_state_bytes leaves")
    return shared


def _whole(segment: Segment) -> Segment:
    return segment._replace(skip=0, length=segment.whole)


def _reuse(part: Part, base: BaseCheckpoint, appended: bytearray, coding: Coding) -> list[Segment] | None:
    """Express a part as segments of its earlier self and new ones; None if storing it whole is cheaper."""
    earlier = base.parts.get(part.place)
    if earlier is None:
        return None
    old, known = earlier
    runs = _compare(old, part)
    new = sum(len(run) for run in runs if not isinstance(run, tuple))
    if new > 0.8 * part.size:
        return None
    size = len(appended)
    segments: list[Segment] = []
    for run in runs:
        if isinstance(run, tuple):
            segments += sliced(known, *run)
        else:
            segments.append(_append(run, appended, coding))
    segments = joined(segments)
    # Segments cost in every record from here on, sending the part whole costs once: about equal at this many.
    if len(segments) > min(_MOST_SEGMENTS, 4 + math.isqrt(part.size // 3)):
        del appended[size:]
        return None
    return segments


def _compare(old: Part, new: Part) -> Sequence[Run]:
    # A part that is the same or grown is the common case: it is found without a copy of either.
    if new.packed.startswith(old.payload, new.start):
        known: list[Run] = [(0, old.size)]
        return [*known, new.payload[old.size :]] if new.size > old.size else known
    return compare(bytes(old.payload), bytes(new.payload))


def _append(data: bytes | memoryview, appended: bytearray, coding: Coding) -> Segment:
    offset = len(appended)
    packed = coding.pack(data)
    appended += data if packed is None else packed
    if packed is None:
        return Segment(offset, len(data), fresh=True)
    return Segment(offset, len(data), fresh=True, stored=len(packed), skip=0, whole=len(data))
