"""Comparing a part with its previous version: which of its bytes are old, and where they were."""

from __future__ import annotations

from collections.abc import Callable

Run = tuple[int, int] | bytes | memoryview
"""Bytes of the old part, from and to; or new bytes."""

SHORTEST = 48  # bytes of a run; a shorter one costs more as a segment than as new bytes
_ANCHOR = 64  # bytes that are searched for, to find where an edit ends
_DEPTH = 6  # how deep edits are searched for within edits


def diff(old: bytes, new: bytes) -> list[Run]:
    """Express *new* as runs of *old* and new bytes.

    Finds what is equal, grown at the end, the same at head and tail around an edit, an edit and growth at once, and a
    window that moved. Anything else is new bytes.
    """
    if new.startswith(old):
        runs: list[Run] = [(0, len(old))] if old else []
        return [*runs, new[len(old) :]] if len(new) > len(old) else runs
    return _tidy(_compare(old, 0, len(old), new, 0, len(new), _DEPTH), new)


Match = tuple[int, int, int]
"""Where a run of *old* is in *new*, and its start and stop in *old*."""


def _compare(old: bytes, o1: int, o2: int, new: bytes, n1: int, n2: int, depth: int) -> list[Match]:
    """Find runs of ``old[o1:o2]`` in ``new[n1:n2]``, in the order of both."""
    spans: list[Match] = []
    head = _common_head(old, o1, o2, new, n1, n2)
    if head >= SHORTEST or (head and head == n2 - n1):
        spans.append((n1, o1, o1 + head))
        o1, n1 = o1 + head, n1 + head
    tail = _common_tail(old, o1, o2, new, n1, n2)
    after: list[Match] = []
    if tail >= SHORTEST:
        after.append((n2 - tail, o2 - tail, o2))
        o2, n2 = o2 - tail, n2 - tail
    if depth and o2 - o1 >= SHORTEST and n2 - n1 >= SHORTEST:
        spans += _resume(old, o1, o2, new, n1, n2, depth - 1)
    return spans + after


def _resume(old: bytes, o1: int, o2: int, new: bytes, n1: int, n2: int, depth: int) -> list[Match]:
    """Search for where both continue alike: an edit before growth, a window that moved, or an edit in the middle."""
    size = min(_ANCHOR, o2 - o1, n2 - n1)
    # The new contains the end of the old: something was edited, and then something was added.
    place = new.rfind(old[o2 - size : o2], n1, n2)
    if place >= 0:
        stop = place + size
        length = _common_tail(old, o1, o2, new, n1, stop)
        return [
            *_compare(old, o1, o2 - length, new, n1, stop - length, depth),
            (stop - length, o2 - length, o2),
        ]
    # The old contains the beginning of the new: the oldest was dropped.
    place = old.find(new[n1 : n1 + size], o1, o2)
    if place >= 0:
        length = _common_head(old, place, o2, new, n1, n2)
        return [
            (n1, place, place + length),
            *_compare(old, place + length, o2, new, n1 + length, n2, depth),
        ]
    # Both differ at their ends, but the new may contain the middle of the old.
    middle = (o1 + o2 - size) // 2
    place = new.find(old[middle : middle + size], n1, n2)
    if place < 0:
        return []
    before = _common_tail(old, o1, middle, new, n1, place)
    length = _common_head(old, middle, o2, new, place, n2)
    return [
        *_compare(old, o1, middle - before, new, n1, place - before, depth),
        (place - before, middle - before, middle + length),
        *_compare(old, middle + length, o2, new, place + length, n2, depth),
    ]


def _tidy(spans: list[Match], new: bytes) -> list[Run]:
    runs: list[Run] = []
    position = 0
    for start, first, last in spans:
        if last - first < SHORTEST:
            continue
        if start > position:
            runs.append(new[position:start])
        runs.append((first, last))
        position = start + last - first
    if position < len(new):
        runs.append(new[position:])
    return runs


def _common_head(old: bytes, o1: int, o2: int, new: bytes, n1: int, n2: int) -> int:
    """Count the bytes that ``old[o1:o2]`` and ``new[n1:n2]`` have in common at their beginning."""
    return _gallop(min(o2 - o1, n2 - n1), lambda known, to: old[o1 + known : o1 + to] == new[n1 + known : n1 + to])


def _common_tail(old: bytes, o1: int, o2: int, new: bytes, n1: int, n2: int) -> int:
    """Count the bytes that ``old[o1:o2]`` and ``new[n1:n2]`` have in common at their end."""
    return _gallop(min(o2 - o1, n2 - n1), lambda known, to: old[o2 - to : o2 - known] == new[n2 - to : n2 - known])


def _gallop(longest: int, same: Callable[[int, int], bool]) -> int:
    """Find how far two things are the same, at most *longest*: in steps that double until they differ, and then halve."""
    known, size = 0, 64
    while known < longest:
        step = min(size, longest - known)
        if same(known, known + step):
            known, size = known + step, size * 2
        elif step == 1:
            break
        else:
            longest, size = known + step, step // 2
    return known
