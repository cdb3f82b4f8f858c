"""Long values cut, so that a state of megabytes fits a screen: what is left shows its beginning and its end."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from zerograph_redis.display import visible
from zerograph_redis.serde.reprs import has_digits
from zerograph_redis.serde.reprs import safe_repr as spell

from .values import DEEPEST, array_of, fields_of


class Limits(NamedTuple):
    """How much of a value is shown; None for all."""

    characters: int | None = 160
    """Of a string, or bytes."""
    first: int | None = 2
    """Members of a list, from its beginning."""
    last: int = 4
    """Members of a list, from its end: in a conversation those that matter."""
    entries: int | None = 20
    """Entries of a dict, and fields."""
    depth: int = 8


SHORT = Limits()
ALL = Limits(None, None, 0, None, DEEPEST)


class Words:
    """Stands for what was left out."""

    def __init__(self, words: str) -> None:
        """Say *words*."""
        self._words = words

    def __repr__(self) -> str:
        """Say them bare."""
        return self._words


def abridge(value: Any, limits: Limits = SHORT, depth: int = 0) -> Any:
    """Return a copy of *value* for rich's pretty printer, with objects by their fields, and without what is too long."""
    if isinstance(value, str):
        return _text(value, limits, "character")
    if isinstance(value, bytes | bytearray):
        return _text(value, limits, "byte")
    if type(value) is int:
        return _int(value, limits)
    if value is None or isinstance(value, bool | int | float):
        return value if type(value) in {type(None), bool, float} else Words(spell(value))
    if depth >= limits.depth:
        return Words("…")
    if (found := fields_of(value)) is not None:
        name, fields = found
        return _shape(name)(_entries(fields, limits, depth))
    if isinstance(value, Mapping):
        made = dict(_entries(value, limits, depth))
        return made if type(value) is dict else _shape(type(value).__name__)([("", made)])
    if isinstance(value, list | tuple | set | frozenset | deque):
        members = _members(value, limits, depth)
        if type(value) in {list, tuple}:
            return type(value)(members)
        return _shape(type(value).__name__)([("", members)])
    if array_of(value) is not None:
        return Words(_array(value, limits))
    text = spell(value)
    return Words(_cut(text, limits, f"{len(text):,} characters"))


def summary(value: Any) -> str:
    """Say in a few words what a value is: ``list of 2,000``."""
    kind = type(value).__name__
    found = fields_of(value)
    if found is not None:
        return found[0]
    if array_of(value) is not None:
        return f"array of {' x '.join(map(str, value.shape)) or 'no dimensions'}, {value.dtype}"
    if isinstance(value, str | bytes | bytearray | list | tuple | set | frozenset | deque | Mapping):
        return f"{kind} of {len(value):,}"
    return "" if value is None else kind


def _text(value: Any, limits: Limits, unit: str) -> Any:
    most = limits.characters
    if most is None or len(value) <= most // (4 if unit == "byte" else 1):
        return value if type(value) in {str, bytes} else Words(spell(value))
    if unit == "byte":
        most //= 4  # a byte is spelled with four characters
    head, tail = most * 3 // 4, most // 4
    shown = (
        f"{bytes(value[:head])!r}…{bytes(value[-tail:])!r}" if unit == "byte" else f"{value[:head]!r}…{value[-tail:]!r}"
    )
    return Words(f"{shown} ({len(value):,} {unit}s)")


def _int(value: int, limits: Limits) -> Any:
    text = spell(value)
    count = f"{len(text.lstrip('-')):,} digits" if has_digits(value) else f"{value.bit_length():,} bits"
    return Words(_cut(text, limits, count))


def _cut(text: str, limits: Limits, count: str) -> str:
    most = limits.characters
    return text if most is None or len(text) <= most else f"{text[: most * 3 // 4]}…{text[-(most // 4) :]} ({count})"


def _members(value: Any, limits: Limits, depth: int) -> list[Any]:
    members = list(value)
    most = len(members) if limits.first is None else limits.first + limits.last
    if len(members) <= most + 1:  # one more takes no more room than to say that it is left out
        return [abridge(each, limits, depth + 1) for each in members]
    left_out = Words(f"… {len(members) - most:,} more …")
    head, tail = members[: limits.first], members[len(members) - limits.last :]
    return [
        *(abridge(each, limits, depth + 1) for each in head),
        left_out,
        *(abridge(each, limits, depth + 1) for each in tail),
    ]


def _entries(fields: Mapping[Any, Any], limits: Limits, depth: int) -> Iterator[tuple[Any, Any]]:
    most = limits.entries
    for place, (key, value) in enumerate(fields.items()):
        if most is not None and place == most and len(fields) > most + 1:
            yield Words("…"), Words(f"{len(fields) - most:,} more")
            return
        yield abridge(key, limits, depth + 1) if not isinstance(key, str) else key, abridge(value, limits, depth + 1)


def _array(value: Any, limits: Limits) -> str:
    import numpy as np

    threshold = sys.maxsize if limits.first is None else 10
    content = np.array2string(value, threshold=threshold, edgeitems=3, separator=", ", max_line_width=sys.maxsize)
    content = " ".join(content.split())
    return f"array({content}, {value.dtype}, {value.shape})"


class _Shape:
    """What rich prints as a call with keywords."""

    def __init__(self, entries: Any) -> None:
        self._entries = list(entries)

    def __rich_repr__(self) -> Iterator[Any]:
        for name, value in self._entries:
            yield (str(name), value) if name else value

    def __repr__(self) -> str:
        spelled = (f"{name}={value!r}" if name else repr(value) for name, value in self._entries)
        return f"{type(self).__name__}({', '.join(spelled)})"


@lru_cache(maxsize=256)
def _shape(name: str) -> type[_Shape]:
    """A class of that name, which rich prints."""
    return type(visible(name) or "?", (_Shape,), {})
