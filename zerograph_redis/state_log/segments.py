"""Segments: where a part's bytes are in the log, and how a record encodes that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple


class Segment(NamedTuple):
    """*length* bytes of a part, stored at *offset* of the log; or within a block that is compressed or encrypted.

    Such a block has *stored* bytes at *offset* and *whole* bytes when it is decoded; the segment begins at *skip* of these.
    Otherwise ``stored`` is 0.
    """

    offset: int
    length: int
    fresh: bool = False
    """Whether *offset* counts from where the put appends: below 0 are the bytes of puts before it in its batch."""
    stored: int = 0
    skip: int = 0
    whole: int = 0

    def placed(self, base: int) -> Segment:
        """Return the segment by its offset in the log, to which its put appended at *base*."""
        if not self.fresh:
            return self
        return _made((self.offset + base, self.length, False, self.stored, self.skip, self.whole))


_made = partial(tuple.__new__, Segment)
"""Makes a segment in one step of C: every part of every put has several."""


class Segments(NamedTuple):
    """The segments of a part, encoded and counted once for all records that have them."""

    each: Sequence[Segment]
    text: str
    """Encoded as in a record."""
    stored: int
    """How many bytes of the log they take."""

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> Segments:
        """Encode and count *segments*."""
        return cls(segments, encode_segments(segments), sum([segment[3] or segment[1] for segment in segments]))

    def and_fresh(self, offset: int, length: int, stored: int) -> Segments:
        """Return these and a segment of appended bytes; *stored* is their length in the log if they are encoded, else 0."""
        fresh = _made((offset, length, True, stored, 0, length if stored else 0))
        text = f"+{offset}:{stored}:0:{length}:{length}" if stored else f"+{offset}:{length}"
        return Segments(
            [*self.each, fresh], f"{self.text},{text}" if self.text else text, self.stored + (stored or length)
        )

    def placed_at(self, base: int) -> Segments:
        """Return these by their offsets in the log, to which their put appended at *base*, joined."""
        if "+" not in self.text and "-" not in self.text:
            return self
        found: list[Segment] = []
        last: Segment | None = None
        for each in self.each:
            offset, length, fresh, stored, skip, whole = each
            if fresh:
                offset += base
            if last and last[0] + last[1] == offset and not (last[3] or stored):
                found[-1] = last = _made((last[0], last[1] + length, False, 0, 0, 0))
            else:
                last = _made((offset, length, False, stored, skip, whole)) if fresh else each
                found.append(last)
        return Segments(found, encode_segments(found), self.stored)


def joined(segments: Iterable[Segment]) -> list[Segment]:
    """Join segments that follow one another in the log."""
    found: list[Segment] = []
    last: Segment | None = None
    for each in segments:
        if last and last[0] + last[1] == each[0] and last[2] == each[2] and not (last[3] or each[3]):
            found[-1] = last = _made((last[0], last[1] + each[1], last[2], 0, 0, 0))
        else:
            found.append(each)
            last = each
    return found


def sliced(segments: Sequence[Segment], start: int, stop: int) -> list[Segment]:
    """Return the segments of the bytes from *start* to *stop* of a part."""
    found = []
    position = 0
    for segment in segments:
        first, last = max(start - position, 0), min(stop - position, segment.length)
        if first < last:
            if segment.stored:
                found.append(segment._replace(length=last - first, skip=segment.skip + first))
            else:
                found.append(segment._replace(offset=segment.offset + first, length=last - first))
        position += segment.length
    return found


def encode_segments(segments: Iterable[Segment]) -> str:
    """Encode segments: ``<offset>:<length>``, or within a block ``<offset>:<stored>:<skip>:<length>:<whole>``.

    An offset with a sign counts from where the put appends.
    """
    return ",".join(
        [
            f"{'+' if fresh and offset >= 0 else ''}{offset}:{stored}:{skip}:{length}:{whole}"
            if stored
            else f"{'+' if fresh and offset >= 0 else ''}{offset}:{length}"
            for offset, length, fresh, stored, skip, whole in segments
        ]
    )


def decode_segments(text: str) -> list[Segment]:
    """Decode what `encode_segments` returns; ValueError for anything else."""
    if text and _SEGMENTS.fullmatch(text) is None:
        raise ValueError("the segments of a record are damaged")
    found = []
    for word in text.split(",") if text else ():
        offset, first, *more = word.split(":")
        fresh = offset[0] in "+-"
        if not more:
            found.append(_made((int(offset), int(first), fresh, 0, 0, 0)))
        else:
            skip, length, whole = map(int, more)
            if skip + length > whole:
                raise ValueError("a segment is longer than its block")
            found.append(Segment(int(offset), length, fresh, int(first), skip, whole))
    return found


_OFFSET, _LENGTH = "(?:0|[1-9][0-9]{0,11})", "[1-9][0-9]{0,11}"
_WORD = rf"(?:\+?{_OFFSET}|-{_LENGTH}):{_LENGTH}(?::{_OFFSET}:{_LENGTH}:{_LENGTH})?"
_SEGMENTS = re.compile(f"{_WORD}(?:,{_WORD})*", re.ASCII)
