"""What differs between two states.

`compare_channels` names the channels that differ, from their packed bytes: quick enough for a whole history.
`find_differences` compares decoded values, down to the value that differs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal, NamedTuple

from zerograph_redis.serde.packing import msgpack
from zerograph_redis.serde.reprs import safe_repr
from zerograph_redis.state_log.headers import LAYOUTS, header_of

from .values import fields_of, key_of

Kind = Literal["added", "removed", "changed", "appended"]

_DEEPEST = 30
_LARGEST = 2**31 - 1


class ChannelChange(NamedTuple):
    """How a channel differs; *members* is how many members were appended to a list."""

    channel: str
    kind: Kind
    members: int | None = None


def compare_channels(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[ChannelChange]:
    """Find the channels whose packed values differ, in the order of the newer state."""
    changes = []
    for name, value in after.items():
        if name not in before:
            changes.append(ChannelChange(name, "added"))
        elif value != before[name]:
            members = _appended(before[name], value)
            changes.append(ChannelChange(name, "appended" if members else "changed", members))
    return changes + [ChannelChange(name, "removed") for name in before if name not in after]


def split_map(packed: bytes) -> dict[str, bytes]:
    """Split a packed map into its packed values.

    Raises:
        ValueError: It is no map.
    """
    unpacker = msgpack.Unpacker(
        max_buffer_size=_LARGEST, strict_map_key=False, unicode_errors="surrogatepass", use_list=False
    )
    unpacker.feed(packed)
    found: dict[str, bytes] = {}
    for _ in range(unpacker.read_map_header()):
        key = unpacker.unpack()
        start = unpacker.tell()
        unpacker.skip()
        found[key if isinstance(key, str) else safe_repr(key)] = packed[start : unpacker.tell()]
    return found


def _appended(before: bytes, after: bytes) -> int | None:
    """How many members were appended to a packed list; None if it is no list, or differs in another way."""
    if not (_is_list(before) and _is_list(after)):
        return None
    (size, count), (new_size, new_count) = header_of(before), header_of(after)
    return new_count - count if new_count > count and after.startswith(before[size:], new_size) else None


def _is_list(packed: bytes) -> bool:
    return packed[0] in LAYOUTS and LAYOUTS[packed[0]][2] == 1


@dataclass(slots=True)
class Difference:
    """A value that differs, or members of a list that were added or removed."""

    channel: str
    path: list[Any]
    """The keys, indexes and names of fields that lead to it within the channel."""
    kind: Kind
    before: Any = None
    after: Any = None
    members: bool = False
    """Whether ``before`` or ``after`` are members of the list at the path, from ``place`` on."""
    place: int = 0


def find_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Compare two states channel by channel, in the order of the newer one."""
    return list(_compare_entries("", [], before, after, is_state=True))


def _compare(channel: str, path: list[Any], before: Any, after: Any) -> Iterator[Difference]:
    if key_of(before) == key_of(after):
        return
    if type(before) is type(after) and len(path) < _DEEPEST:
        old, new = _entries_of(before), _entries_of(after)
        if old is not None and new is not None and old[0] == new[0]:
            found = list(_compare_entries(channel, path, old[1], new[1]))
            # None: the same entries in another order, or keys that are equal and of other types.
            yield from found or [Difference(channel, path, "changed", before, after)]
            return
        if isinstance(before, list | tuple | deque):
            yield from _compare_members(channel, path, list(before), list(after))
            return
    yield Difference(channel, path, "changed", before, after)


def _compare_entries(
    channel: str, path: list[Any], before: Mapping[Any, Any], after: Mapping[Any, Any], *, is_state: bool = False
) -> Iterator[Difference]:
    def at(key: Any) -> tuple[str, list[Any]]:
        return (str(key), []) if is_state else (channel, [*path, key])

    for key, value in after.items():
        if key in before:
            yield from _compare(*at(key), before[key], value)
        else:
            yield Difference(*at(key), "added", after=value)
    for key, value in before.items():
        if key not in after:
            yield Difference(*at(key), "removed", before=value)


def _compare_members(channel: str, path: list[Any], before: list[Any], after: list[Any]) -> Iterator[Difference]:
    for old, new in _edits([key_of(each) for each in before], [key_of(each) for each in after]):
        pairs = 0
        while pairs < min(len(old), len(new)) and _is_edited(
            before[old[pairs]], after[new[pairs]], same_count=len(old) == len(new)
        ):
            yield from _compare(channel, [*path, new[pairs]], before[old[pairs]], after[new[pairs]])
            pairs += 1
        removed, added = old[pairs:], new[pairs:]
        if removed:
            members = [before[place] for place in removed]
            yield Difference(channel, path, "removed", before=members, members=True, place=removed.start)
        if added:
            kind: Kind = "appended" if not removed and added.stop == len(after) else "added"
            members = [after[place] for place in added]
            yield Difference(channel, path, kind, after=members, members=True, place=added.start)


def _is_edited(before: Any, after: Any, *, same_count: bool) -> bool:
    """Whether a member is an edited earlier one, not a new one: half of its entries are the same."""
    old, new = _entries_of(before), _entries_of(after)
    if old is None or new is None:
        return same_count and type(before) is type(after)
    same = sum(1 for key, value in new[1].items() if key in old[1] and key_of(old[1][key]) == key_of(value))
    return same * 2 >= max(len(old[1]), len(new[1]))


def _entries_of(value: Any) -> tuple[str, Mapping[Any, Any]] | None:
    return ("", value) if isinstance(value, Mapping) else fields_of(value)


def _edits(before: Sequence[Any], after: Sequence[Any]) -> Iterator[tuple[range, range]]:
    """Find the ranges in which two lists differ."""
    start = 0
    shorter = min(len(before), len(after))
    while start < shorter and before[start] == after[start]:
        start += 1
    end = 0
    while end < shorter - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    if not old or not new or len(old) == len(new) == 1:
        yield range(start, start + len(old)), range(start, start + len(new))
        return
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield range(start + a, start + b), range(start + c, start + d)
