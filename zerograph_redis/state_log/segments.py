"""Segments: where a part's bytes lie in the log, and how a record spells them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple


class Segment(NamedTuple):
    """A range of the log: *length* bytes of a part.

    Of a compressed piece, *stored* bytes lie at *offset*; unpacked they are *whole* bytes, of which the segment is those
    from *skip* on. A piece as it is has ``stored`` 0.
    """

    offset: int
    length: int
    fresh: bool = False
    """Whether *offset* counts from where the appended bytes begin: below 0 are those of puts before it in its batch."""
    stored: int = 0
    skip: int = 0
    whole: int = 0

    def placed(self, base: int) -> Segment:
        """The segment by its offset in the log, once it is known where the appended bytes begin."""
        if not self.fresh:
            return self
        return _made((self.offset + base, self.length, False, self.stored, self.skip, self.whole))


_made = partial(tuple.__new__, Segment)
"""Makes a segment in one step of C: several come with every part of every put."""


class Segments(NamedTuple):
    """The segments of a part, and what every record that has them says of them."""

    each: Sequence[Segment]
    text: str
    """Spelled as in a record."""
    stored: int
    """How many bytes of the log they are."""

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> Segments:
        """Spell and count *segments*."""
        return cls(segments, encode_segments(segments), sum([segment[3] or segment[1] for segment in segments]))

    def and_fresh(self, offset: int, length: int, stored: int) -> Segments:
        """The same, and behind them bytes that are appended: *stored* of them if they are compressed, else 0."""
        fresh = _made((offset, length, True, stored, 0, length if stored else 0))
        text = f"+{offset}:{stored}:0:{length}:{length}" if stored else f"+{offset}:{length}"
        return Segments(
            [*self.each, fresh], f"{self.text},{text}" if self.text else text, self.stored + (stored or length)
        )

    def placed_at(self, base: int) -> Segments:
        """The same by their offsets in the log, once it is known where the appended bytes begin, joined."""
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
    """Make one of segments that follow one another in the log."""
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
    """The segments of the bytes from *start* to *stop* of what *segments* make."""
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
    """Spell segments: ``<offset>:<length>``, or of compressed pieces ``<offset>:<stored>:<skip>:<length>:<whole>``.

    An offset with a sign counts from where the appended bytes begin.
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
    """Read what `spell` wrote; ValueError for anything else."""
    if text and _SEGMENTS.fullmatch(text) is None:
        raise ValueError("what should be segments is none")
    found = []
    for word in text.split(",") if text else ():
        offset, first, *more = word.split(":")
        fresh = offset[0] in "+-"
        if not more:
            found.append(_made((int(offset), int(first), fresh, 0, 0, 0)))
        else:
            skip, length, whole = map(int, more)
            if skip + length > whole:
                raise ValueError("a segment is longer than its piece")
            found.append(Segment(int(offset), length, fresh, int(first), skip, whole))
    return found


_OFFSET, _LENGTH = "(?:0|[1-9][0-9]{0,11})", "[1-9][0-9]{0,11}"
_WORD = rf"(?:\+?{_OFFSET}|-{_LENGTH}):{_LENGTH}(?::{_OFFSET}:{_LENGTH}:{_LENGTH})?"
_SEGMENTS = re.compile(f"{_WORD}(?:,{_WORD})*", re.ASCII)
