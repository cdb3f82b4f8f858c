"""What differs between two states, down to the value that does."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Literal

from .values import fields_of, key_of

Kind = Literal["added", "removed", "changed", "appended"]

_DEEPEST = 30


@dataclass(slots=True)
class Difference:
    """Something that differs. Of a list, ``before`` and ``after`` have the members that do."""

    channel: str
    path: list[Any]
    """The keys, places and names of fields that lead there within the channel."""
    kind: Kind
    before: Any = None
    after: Any = None
    members: bool = False
    """Whether ``before`` or ``after`` are members of the list at the path, from ``place`` on."""
    place: int = field(default=0)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Compare two states channel by channel, in the order of the newer one."""
    found: list[Difference] = []
    for name, value in after.items():
        if name in before:
            found += _compare(str(name), [], before[name], value)
        else:
            found.append(Difference(str(name), [], "added", after=value))
    found += [Difference(str(name), [], "removed", before=before[name]) for name in before if name not in after]
    return found


def _compare(channel: str, path: list[Any], before: Any, after: Any) -> Iterator[Difference]:
    if key_of(before) == key_of(after):
        return
    if type(before) is type(after) and len(path) < _DEEPEST:
        if isinstance(before, Mapping):
            yield from _compare_entries(channel, path, before, after)
            return
        old, new = fields_of(before), fields_of(after)
        if old is not None and new is not None and old[0] == new[0]:
            yield from _compare_entries(channel, path, old[1], new[1])
            return
        if isinstance(before, list | tuple | deque):
            yield from _compare_members(channel, path, list(before), list(after))
            return
    yield Difference(channel, path, "changed", before, after)


def _compare_entries(
    channel: str, path: list[Any], before: Mapping[Any, Any], after: Mapping[Any, Any]
) -> Iterator[Difference]:
    found: list[Difference] = []
    for key, value in after.items():
        if key in before:
            found += _compare(channel, [*path, key], before[key], value)
        else:
            found.append(Difference(channel, [*path, key], "added", after=value))
    found += [Difference(channel, [*path, key], "removed", before=before[key]) for key in before if key not in after]
    if found:
        yield from found
    else:  # the same entries in another order, or keys that are equal and of other types
        yield Difference(channel, path, "changed", before, after)


def _compare_members(channel: str, path: list[Any], before: list[Any], after: list[Any]) -> Iterator[Difference]:
    for old, new in _edits([key_of(each) for each in before], [key_of(each) for each in after]):
        pairs = 0
        while pairs < min(len(old), len(new)) and _is_edited(
            before[old[pairs]], after[new[pairs]], len(old) == len(new)
        ):
            yield from _compare(channel, [*path, new[pairs]], before[old[pairs]], after[new[pairs]])
            pairs += 1
        old, new = old[pairs:], new[pairs:]  # noqa: PLW2901 - the rest of both
        if old:
            gone = [before[place] for place in old]
            yield Difference(channel, path, "removed", gone, members=True, place=old.start)
        if new:
            kind: Kind = "appended" if not old and new.stop == len(after) else "added"
            come = [after[place] for place in new]
            yield Difference(channel, path, kind, after=come, members=True, place=new.start)


def _is_edited(before: Any, after: Any, same_count: bool) -> bool:  # noqa: FBT001 - a pure question
    """Tell whether a member is rather an earlier one that was edited than another: half of its entries are the same."""
    old, new = (each if isinstance(each, Mapping) else (fields_of(each) or ("", None))[1] for each in (before, after))
    if old is None or new is None:
        return same_count and type(before) is type(after)
    same = sum(1 for key, value in new.items() if key in old and key_of(old[key]) == key_of(value))
    return same * 2 >= max(len(old), len(new))


def _edits(before: Sequence[Any], after: Sequence[Any]) -> Iterator[tuple[range, range]]:
    """Find the stretches in which two lists differ."""
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
