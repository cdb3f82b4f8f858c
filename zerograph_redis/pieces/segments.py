"""Segments: where a part's bytes lie in the log, and how a record spells them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ("Segment", "joined", "parse", "sliced", "spell")


class Segment(NamedTuple):
    """A range of the log: *length* bytes of a part.

    Of a compressed piece, *stored* bytes lie at *offset*; unpacked they are *whole* bytes, of which the segment is those
    from *skip* on. A piece as it is has ``stored`` 0.
    """

    offset: int
    length: int
    fresh: bool = False
    """Whether *offset* counts from where the appended bytes begin."""
    stored: int = 0
    skip: int = 0
    whole: int = 0

    def placed(self, base: int) -> Segment:
        """The segment by its offset in the log, once it is known where the appended bytes begin."""
        return self._replace(offset=self.offset + base, fresh=False) if self.fresh else self


def joined(segments: Iterable[Segment]) -> list[Segment]:
    """Make one of segments that follow one another in the log."""
    found: list[Segment] = []
    for segment in segments:
        last = found[-1] if found else None
        if (
            last is not None
            and not (last.stored or segment.stored)
            and last.fresh == segment.fresh
            and last.offset + last.length == segment.offset
        ):
            found[-1] = last._replace(length=last.length + segment.length)
        else:
            found.append(segment)
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


def spell(segments: Iterable[Segment]) -> str:
    """Spell segments: ``[+]<offset>:<length>``, or of compressed pieces ``[+]<offset>:<stored>:<skip>:<length>:<whole>``."""
    words = []
    for offset, length, fresh, stored, skip, whole in segments:
        sign = "+" if fresh else ""
        words.append(
            f"{sign}{offset}:{stored}:{skip}:{length}:{whole}" if stored else f"{sign}{offset}:{length}",
        )
    return ",".join(words)


def parse(text: str) -> list[Segment]:
    """Read what `spell` wrote; ValueError for anything else."""
    if text and _SEGMENTS.fullmatch(text) is None:
        raise ValueError("what should be segments is none")
    found = []
    for word in text.split(",") if text else ():
        offset, *numbers = word.split(":")
        fresh = offset.startswith("+")
        if len(numbers) == 1:
            found.append(Segment(int(offset), int(numbers[0]), fresh))
        else:
            stored, skip, length, whole = map(int, numbers)
            if skip + length > whole:
                raise ValueError("a segment is longer than its piece")
            found.append(Segment(int(offset), length, fresh, stored, skip, whole))
    return found


_OFFSET, _LENGTH = "(?:0|[1-9][0-9]{0,11})", "[1-9][0-9]{0,11}"
_WORD = rf"\+?{_OFFSET}:{_LENGTH}(?::{_OFFSET}:{_LENGTH}:{_LENGTH})?"
_SEGMENTS = re.compile(f"{_WORD}(?:,{_WORD})*", re.ASCII)
