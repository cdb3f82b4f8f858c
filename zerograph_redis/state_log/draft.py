"""Draft what is stored of a state, and read its parts back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .codec import Codec
from .cut import Cut
from .diff import Run, diff
from .log import BaseCheckpoint, Content, Logs
from .segments import Segment, Segments, joined, sliced

_MOST_SEGMENTS = 128  # of a part: every record has them, and every reader fetches them

MOST_BYTES = 1 << 30
"""How many bytes a state may have by default: more than a log can have that is not compressed."""


class Draft(NamedTuple):
    """What a put sends of a state."""

    segments: list[Segments]
    """The segments of each part."""
    appended: bytes
    needed: int
    """How many bytes of the log the state takes."""
    base: BaseCheckpoint | None
    """The checkpoint whose segments it uses, if it uses any."""


def draft(state: Cut, base: BaseCheckpoint | None, codec: Codec) -> Draft:
    """Compare *state* with the state of *base*; without one, all is new."""
    packed = state.packed
    earlier = _NOTHING if base is None else base.state
    known = memoryview(earlier.packed)
    numbers = {part[0]: number for number, part in enumerate(earlier.parts)}
    appended = bytearray()
    found: list[Segments] = []
    used = False
    needed = 0
    for path, start, stop, _ in state.parts:
        segments: Segments | None = None
        number = numbers.get(path)
        if number is not None and base is not None:
            _, first, last, _ = earlier.parts[number]
            segments = base.segments[number]
            more = stop - start - last + first
            # Most parts are the same, or grown at the end: these need no copy of either version.
            if more < 0 or not packed.startswith(known[first:last], start):
                segments = _edited(packed[start:stop], known[first:last].tobytes(), segments, appended, codec)
            elif more > 0.8 * (stop - start) or (more and len(segments.each) >= _most_segments(stop - start)):
                segments = None
            elif more:
                segments = segments.and_fresh(*_append(packed[stop - more : stop], appended, codec))
        if segments is None:
            segments = _EMPTY.and_fresh(*_append(packed[start:stop], appended, codec))
        else:
            used = True
        needed += segments[2]
        found.append(segments)
    return Draft(found, bytes(appended), needed, base if used else None)


_NOTHING = Cut(b"", ())
_EMPTY = Segments((), "", 0)


def read_parts(
    parts: Sequence[Sequence[Segment]], logs: Logs, generation: str, codec: Codec, most: int
) -> list[Content] | None:
    """Return the contents of parts; None if *logs* do not have all of them.

    ValueError for a damaged block, and, before anything is decoded, for more than *most* bytes.
    """
    shared = _shared(parts, most)
    unpacked: dict[Segment, bytes] = {}
    found: list[Content] = []
    for segments in parts:
        content: list[Content] = []
        for segment in segments:
            data = logs.read(generation, segment.offset, segment.stored or segment.length)
            if data is None:
                return None
            if not segment.stored:
                content.append(data)
            elif (block := _whole(segment)) in shared:
                if block not in unpacked:
                    unpacked[block] = codec.unpack(bytes(data), block)
                content.append(unpacked[block][segment.skip : segment.skip + segment.length])
            else:
                content.append(codec.unpack(bytes(data), segment))
        found.append(content[0] if len(content) == 1 else b"".join(content))
    return found


def _shared(parts: Sequence[Sequence[Segment]], most: int) -> set[Segment]:
    """Find the blocks that have several segments: these are decoded once. ValueError for more than *most* bytes."""
    size = 0
    seen: set[Segment] = set()
    shared: set[Segment] = set()
    for segments in parts:
        for segment in segments:
            size += segment.length
            if segment.stored:
                block = _whole(segment)
                (shared if block in seen else seen).add(block)
    if size > most or sum(block.whole for block in seen) > most:
        raise ValueError(f"it unpacks to more than the {most:,} bytes that max_state_bytes leaves")
    return shared


def _whole(segment: Segment) -> Segment:
    return segment._replace(skip=0, length=segment.whole)


def _edited(new: bytes, old: bytes, known: Segments, appended: bytearray, codec: Codec) -> Segments | None:
    """Express a part as segments of its previous version and new ones; None if storing it whole is cheaper."""
    runs: Sequence[Run] = diff(old, new)
    if sum(len(run) for run in runs if not isinstance(run, tuple)) > 0.8 * len(new):
        return None
    begin = len(appended)
    segments: list[Segment] = []
    for run in runs:
        if isinstance(run, tuple):
            segments += sliced(known.each, *run)
        else:
            segments += _EMPTY.and_fresh(*_append(run, appended, codec)).each
    segments = joined(segments)
    if len(segments) > _most_segments(len(new)):
        del appended[begin:]
        return None
    return Segments.of(segments)


def _most_segments(size: int) -> int:
    # Segments cost space in every record from now on, a part that is sent whole only once: about equal at this many.
    return min(_MOST_SEGMENTS, 4 + math.isqrt(size // 3))


def _append(data: bytes | memoryview, appended: bytearray, codec: Codec) -> tuple[int, int, int]:
    """Append *data*, encoded; returns its offset, its length, and its encoded length, 0 if it is stored as it is."""
    offset = len(appended)
    packed = codec.pack(data) if codec.packs else None
    appended += data if packed is None else packed
    return offset, len(data), 0 if packed is None else len(packed)
