"""From a state to what is stored of it, and back."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from xxhash import xxh3_128

from .coding import Coding
from .cut import Cut, Part
from .diff import Run, compare
from .log import Latest, Logs, Print
from .segments import Segment, joined, sliced

__all__ = ("Draft", "assemble", "draft")

_MOST_SEGMENTS = 128  # of a part: every record spells them, and every reader follows them

_SEED = secrets.randbits(64)


class Draft(NamedTuple):
    """What is to be stored of a state."""

    parts: list[tuple[int, list[Segment]]]
    """The place of each part, and its segments."""
    appended: bytes
    basis: Latest | None
    """The checkpoint whose segments it uses."""
    prints: dict[int, Print]
    """Of the parts in pieces that are not stored as they are."""

    @property
    def segments(self) -> list[Segment]:
        """The segments of all parts."""
        return [segment for _, segments in self.parts for segment in segments]


def draft(pieces: Cut, logs: Logs, latest: Latest | None, coding: Coding) -> Draft:
    """Compare *pieces* with the state of *latest*, as far as *logs* know it; without one, all is new."""
    appended = bytearray()
    parts = []
    prints = {}
    used = False
    for part in pieces.parts:
        segments = None if latest is None else _reuse(part, logs, latest, appended, coding)
        used = used or segments is not None
        segments = segments or [_append(part.payload, appended, coding)]
        parts.append((part.place, segments))
        if any(segment.stored for segment in segments):
            prints[part.place] = _print(part.payload)
    return Draft(parts, bytes(appended), latest if used else None, prints)


def assemble(
    literals: Sequence[bytes], parts: Sequence[Sequence[Segment]], logs: Logs, generation: str, coding: Coding
) -> list[bytes] | None:
    """Return the bytes of a state, in pieces; None if *logs* lack some. ValueError for a damaged piece."""
    found = [literals[0]]
    for segments, literal in zip(parts, literals[1:], strict=True):
        for segment in segments:
            data = logs.read(generation, segment.offset, segment.stored or segment.length)
            if data is None:
                return None
            found.append(coding.unpack(data, segment) if segment.stored else data)
        found.append(literal)
    return found


def _reuse(part: Part, logs: Logs, latest: Latest, appended: bytearray, coding: Coding) -> list[Segment] | None:
    """Say a part in the segments of its earlier self and new ones; None if it is better said anew."""
    known = latest.parts.get(part.place)
    if not known:
        return None
    runs = _grown(part, logs, latest, known) or _runs(part.payload, logs, latest.generation, known, coding)
    new = sum(len(run) for run in runs if not isinstance(run, tuple))
    if new > 0.8 * len(part.payload):
        return None
    size = len(appended)
    segments: list[Segment] = []
    for run in runs:
        if isinstance(run, tuple):
            segments += sliced(known, *run)
        else:
            segments.append(_append(run, appended, coding))
    segments = joined(segments)
    # Segments cost in every record from here on, sending the part anew costs once: about equal at this many.
    if len(segments) > min(_MOST_SEGMENTS, 4 + math.isqrt(len(part.payload) // 3)):
        del appended[size:]
        return None
    return segments


def _grown(part: Part, logs: Logs, latest: Latest, known: Sequence[Segment]) -> Sequence[Run]:
    """Say a part that is the same or grown, the common case, without a copy of either; nothing for any other."""
    payload = part.payload
    if part.place in latest.prints:
        length = latest.prints[part.place][0]
        same = length <= len(payload) and _print(payload[:length]) == latest.prints[part.place]
    else:
        length = known[0].length
        same = (
            len(known) == 1
            and not known[0].stored
            and length <= len(payload)
            and logs.matches(latest.generation, known[0].offset, payload[:length])
        )
    if not same:
        return ()
    return [(0, length), payload[length:]] if length < len(payload) else [(0, length)]


def _print(payload: memoryview) -> Print:
    return len(payload), xxh3_128(payload, _SEED).digest()


def _runs(payload: memoryview, logs: Logs, generation: str, known: Sequence[Segment], coding: Coding) -> Sequence[Run]:
    old = assemble([b"", b""], [known], logs, generation, coding)
    return [payload] if old is None else compare(b"".join(old), bytes(payload))


def _append(data: bytes | memoryview, appended: bytearray, coding: Coding) -> Segment:
    offset = len(appended)
    packed = coding.pack(data)
    appended += data if packed is None else packed
    if packed is None:
        return Segment(offset, len(data), fresh=True)
    return Segment(offset, len(data), fresh=True, stored=len(packed), skip=0, whole=len(data))
