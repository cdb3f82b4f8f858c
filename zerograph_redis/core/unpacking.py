"""Unpacking many states of one thread, which are nearly equal.

The large lists of a state mostly begin like those of the next state. So their members are unpacked once, and copied for
every other state. Many states then take a fraction of the time and memory, and no two of them share a mutable object.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

import msgspec

from zerograph_redis.errors import CheckpointError
from zerograph_redis.serde import MsgpackSerializer, Serializer
from zerograph_redis.serde.stdlib import PATTERNS
from zerograph_redis.state_log.cut import Cut, Part
from zerograph_redis.state_log.headers import LAYOUTS, array_header

_SMALLEST = 2048
"""Bytes of a part; a smaller one is unpacked with the rest."""
_HEADERS = (1, 3, 5)
"""How many bytes the header of a list may have."""
_FIXED = frozenset({str, int, float, bool, bytes, type(None)})
"""Types of values that cannot be changed."""
_MEMBERS = msgspec.msgpack.Decoder(list[msgspec.Raw])


class StateUnpacker:
    """Unpacks the states of one namespace, the newest first."""

    def __init__(self, serializer: Serializer) -> None:
        self._serializer = serializer
        self._lists: dict[int, _List] = {}

    def unpack(self, state: Cut) -> Any:
        """Unpack a state; errors are those of the serializer."""
        if type(self._serializer) is MsgpackSerializer:
            with PATTERNS.hold():
                found = [
                    each
                    for part in state.parts
                    if part.stop - part.start >= _SMALLEST and (each := self._list_of(state.packed, part)) is not None
                ]
                if found:
                    return self._serializer.unpack_around(state.packed, found)
        return self._serializer.unpack(state.packed)

    def _list_of(self, packed: bytes, part: Part) -> tuple[int, int, list[Any]] | None:
        """Return where a list begins and ends in a state, and its members; None if the part is no list."""
        path, start, stop, _ = part
        known = self._lists.get(path)
        if known is not None:
            members = known.beginning(packed, part)
            if members is not None:
                return start - len(array_header(len(members))), stop, members
        for size in _HEADERS:
            layout = LAYOUTS.get(packed[start - size])
            if layout is None or layout[0] != size or layout[2] != 1:
                continue
            try:
                members = self._serializer.unpack(packed[start - size : stop])
            except CheckpointError:
                continue
            if known is None or known.can_be_copied:
                self._lists[path] = _List(packed, part, members)
            return start - size, stop, members
        return None


class _List:
    """An unpacked list, and its packed content."""

    def __init__(self, packed: bytes, part: Part, members: list[Any]) -> None:
        self._packed = packed
        self._part = part
        self._members = members
        self._ends: Sequence[int] | None = None
        self._are_dicts = False

    @property
    def can_be_copied(self) -> bool:
        """Whether its members can be copied, as far as is known."""
        return self._ends is None or len(self._ends) > 0

    def beginning(self, packed: bytes, part: Part) -> list[Any] | None:
        """Copy the members of a part, if this list begins with them, and if they can be copied."""
        _, start, stop, _ = part
        if not self.can_be_copied or not self._packed.startswith(
            memoryview(packed)[start:stop], self._part.start, self._part.stop
        ):
            return None
        if self._ends is None:
            self._ends = self._member_ends()
        count = bisect_left(self._ends, stop - start) + 1
        header = array_header(count)
        if self._ends[count - 1 : count] != [stop - start] or packed[start - len(header) : start] != header:
            return None
        members = self._members[:count]
        return [*map(dict.copy, members)] if self._are_dicts else members

    def _member_ends(self) -> Sequence[int]:
        """Find where the packed members end; empty if they are neither fixed values nor dicts of those."""
        members, (_, start, stop, _) = self._members, self._part
        kinds = set(map(type, members))
        if kinds == {dict}:
            self._are_dicts = True
            kinds = {
                *map(type, chain.from_iterable(members)),
                *map(type, chain.from_iterable(map(dict.values, members))),
            }
        if not kinds <= _FIXED:
            return []
        raw = _MEMBERS.decode(b"%b%b" % (array_header(len(members)), self._packed[start:stop]))
        return [*accumulate(map(len, raw))]
