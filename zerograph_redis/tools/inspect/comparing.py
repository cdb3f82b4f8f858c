"""What became of a channel from one checkpoint to the next, as far as outlines tell."""

from __future__ import annotations

from typing import Literal, NamedTuple

from zerograph_redis.state_log.headers import header_of
from zerograph_redis.state_log.segments import joined, sliced

from .outline import Piece, ReadPiece, StateOutline, Value


class Change(NamedTuple):
    """What became of a channel; *members* is how many members a list got at its end."""

    channel: str
    kind: Literal["added", "removed", "changed", "appended"]
    members: int | None = None


def compare(before: StateOutline, after: StateOutline, read: ReadPiece) -> list[Change]:
    """Find the channels that differ, in the order of the newer state.

    Raises:
        NotAtHandError: The outlines do not tell, and bytes that would are not at hand.
    """
    changes = []
    for name, value in after.channels.items():
        earlier = before.channels.get(name)
        if earlier is None:
            changes.append(Change(name, "added"))
        elif not _is_same(earlier, value, read):
            grown = _grown(earlier, value, read)
            changes.append(Change(name, "changed") if grown is None else Change(name, "appended", grown))
    changes += [Change(name, "removed") for name in before.channels if name not in after.channels]
    return changes


def _is_same(before: Value, after: Value, read: ReadPiece) -> bool:
    if before == after:
        return True
    if _size(before) != _size(after):
        return False
    return _bytes(before, read) == _bytes(after, read)


def _grown(before: Value, after: Value, read: ReadPiece) -> int | None:
    """Tell by how many members a list has grown at its end; None if it is no list, or more than that happened."""
    counts = _members(before), _members(after)
    if counts[0] is None or counts[1] is None or counts[1] <= counts[0]:
        return None
    return counts[1] - counts[0] if counts[0] == 0 or _begins_with(_content(after), _content(before), read) else None


def _begins_with(whole: Value, head: Value, read: ReadPiece) -> bool:
    size = _size(head)
    match whole, head:
        case ((Piece() as one,), (Piece() as other,)) if one.generation == other.generation:
            if tuple(joined(sliced(one.segments, 0, size))) == other.segments:
                return True
    return _bytes(whole, read)[:size] == _bytes(head, read)


def _members(value: Value) -> int | None:
    """How many members a list has, None for anything else."""
    first = value[0]
    if isinstance(first, Piece) or not (0x90 <= first[0] < 0xA0 or first[0] in {0xDC, 0xDD}):
        return None
    return header_of(first)[1]


def _content(value: Value) -> Value:
    """A list without its header."""
    first, *rest = value
    assert isinstance(first, bytes)
    start = first[header_of(first)[0] :]
    return (start, *rest) if start else tuple(rest)


def _size(value: Value) -> int:
    return sum(chunk.size if isinstance(chunk, Piece) else len(chunk) for chunk in value)


def _bytes(value: Value, read: ReadPiece) -> bytes:
    return b"".join(read(chunk) if isinstance(chunk, Piece) else chunk for chunk in value)
