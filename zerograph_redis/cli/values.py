"""Values and differences of them, as a person reads them: long ones truncated, so that a state of megabytes fits a screen.

rich lays the text out. Its own limits keep the beginning alone; these keep the end too, which matters in a conversation.
"""

from __future__ import annotations

import sys
import textwrap
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from zerograph_redis.display import visible
from zerograph_redis.serde.reprs import has_digits, safe_repr
from zerograph_redis.tools.inspect.values import DEEPEST, array_of, fields_of

from .text import shown

if TYPE_CHECKING:
    from rich.pretty import Node
    from rich.text import Text


class Limits(NamedTuple):
    """How much of a value is shown; None for all of it."""

    characters: int | None = 160
    """Of a string, or of what any other value without members is shown as."""
    first: int | None = 2
    """Members of a list, from its beginning."""
    last: int = 4
    """Members of a list, from its end."""
    entries: int | None = 20
    """Entries of a dict, and fields of an object."""
    depth: int = 8


SHORT = Limits()
ALL = Limits(None, None, 0, None, DEEPEST)

_LISTS = (list, tuple, set, frozenset, deque)
_NARROWEST = 24  # columns of a value
_SCALARS = (type(None), bool, int, float, str)
_SPARE = 40  # characters beyond a limit that take no more room than what would replace them
_SURROUNDING = 24  # characters shown around what changed in a text


def pretty(value: Any, width: int, *, full: bool, style: str = "", indent: str = "", first: str | None = None) -> Text:
    """Show a value over as many lines as it needs, indented; *first* replaces the indent of its first line."""
    from rich.highlighter import ReprHighlighter
    from rich.text import Text

    width = max(width - len(indent), _NARROWEST)
    lines = to_node(value, ALL if full else SHORT).render(max_width=width, indent_size=2).split("\n")
    if not full:
        lines = [part for line in lines for part in _wrapped(line, width)]
    text = Text(indent if first is None else first, style)
    for place, line in enumerate(lines):
        text.append(f"\n{indent}" if place else "")
        content = Text(visible(line))
        if not style:
            ReprHighlighter().highlight(content)
        text.append_text(content)
    return text


def brief(value: Any) -> str:
    """Show a value on one line, truncated if it is long."""
    return visible(str(to_node(value)))


def brief_change(before: Any, after: Any, width: int) -> str | None:
    """Show a change as ``1 → 2``; None if that takes more than *width* columns, or there is more to see."""
    if not isinstance(before, _SCALARS) or not isinstance(after, _SCALARS):
        return None
    text = visible(f"{to_node(before, ALL)} → {to_node(after, ALL)}")
    return text if len(text) <= width else None


def excerpts(before: str, after: str, width: int) -> tuple[Text, Text]:
    """Show two texts where they differ, with a little of what surrounds it."""
    from rich.text import Text

    start = _common(zip(before, after, strict=False))
    end = _common(zip(reversed(before[start:]), reversed(after[start:]), strict=False))

    def excerpt(text: str, sign: str, style: str) -> Text:
        first, last = max(start - _SURROUNDING, 0), min(len(text) - end + _SURROUNDING, len(text))
        changed = to_node(text[first:last])
        line = f"  {sign} {'…' if first else ''}{changed}{'…' if last < len(text) else ''}"
        return Text("\n").join(shown(part, style) for part in _wrapped(line, width))

    return excerpt(before, "-", "red"), excerpt(after, "+", "green")


def path_text(channel: str, path: Iterable[Any]) -> str:
    """Show where a value is: ``profile['languages'][0]``."""
    return visible(channel + "".join(f"[{to_node(key)}]" for key in path))


def summary(value: Any) -> str:
    """Describe a value in a few words: ``list of 2,000``."""
    if (found := fields_of(value)) is not None:
        return found[0]
    if array_of(value) is not None:
        return f"array of {' x '.join(map(str, value.shape)) or 'no dimensions'}, {value.dtype}"
    kind = type(value).__name__
    if isinstance(value, (str, bytes, bytearray, Mapping, *_LISTS)):
        return f"{kind} of {len(value):,}"
    return "" if value is None else kind


def to_node(value: Any, limits: Limits = SHORT, depth: int = 0) -> Node:
    """Return a value for rich to lay out: objects by their fields, and without what is beyond *limits*."""
    if isinstance(value, str | bytes | bytearray):
        return _node(_string(value, limits))
    if type(value) is int:
        text = safe_repr(value)
        size = f"{len(text.lstrip('-')):,} digits" if has_digits(value) else f"{value.bit_length():,} bits"
        return _node(_truncated(text, limits, size))
    if isinstance(value, _SCALARS):
        return _node(safe_repr(value))
    if depth >= limits.depth:
        return _node("…")
    name = type(value).__name__
    if (found := fields_of(value)) is not None:
        return _container(f"{_bare(found[0])}(", _entries(found[1], limits, depth, is_object=True), ")")
    if isinstance(value, Mapping):
        made = _container("{", _entries(value, limits, depth), "}")
        return made if type(value) is dict else _container(f"{_bare(name)}(", [made], ")")
    if isinstance(value, _LISTS):
        members = _members(list(value), limits, depth)
        if type(value) is tuple:
            made = _container("(", members, ")")
            made.is_tuple = True
            return made
        made = _container("[", members, "]")
        return made if type(value) is list else _container(f"{_bare(name)}(", [made], ")")
    if array_of(value) is not None:
        return _node(_array(value, limits))
    text = safe_repr(value)
    return _node(_truncated(text, limits, f"{len(text):,} characters"))


def _node(text: str) -> Node:
    from rich.pretty import Node

    return Node(value_repr=text)


def _container(opening: str, children: Iterable[Node], closing: str) -> Node:
    from rich.pretty import Node

    made = Node(open_brace=opening, close_brace=closing, empty=opening + closing, children=list(children))
    if made.children:
        made.children[-1].last = True
    return made


def _entries(entries: Mapping[Any, Any], limits: Limits, depth: int, *, is_object: bool = False) -> Iterator[Node]:
    most = limits.entries
    for place, (key, value) in enumerate(entries.items()):
        if most is not None and place == most and len(entries) > most + 1:
            node = _node(f"{len(entries) - most:,} more")
            node.key_repr = "…"
            yield node
            return
        node = to_node(value, limits, depth + 1)
        node.key_repr = _bare(str(key)) if is_object else str(to_node(key, limits, depth + 1))
        node.key_separator = "=" if is_object else ": "
        yield node


def _members(members: list[Any], limits: Limits, depth: int) -> Iterator[Node]:
    most = len(members) if limits.first is None else limits.first + limits.last
    # One member more takes no more room than the words that replace it.
    head = members if len(members) <= most + 1 else members[: limits.first]
    yield from (to_node(each, limits, depth + 1) for each in head)
    if len(head) < len(members):
        yield _node(f"… {len(members) - most:,} more …")
        yield from (to_node(each, limits, depth + 1) for each in members[len(members) - limits.last :])


def _bare(name: str) -> str:
    return visible(name) or "?"


def _string(value: Any, limits: Limits) -> str:
    is_text = isinstance(value, str)
    most = limits.characters
    if most is not None and not is_text:
        most //= 4  # a byte may take four characters
    if most is None or len(value) <= most + _SPARE:
        return safe_repr(value)
    head, tail = value[: most * 3 // 4], value[-(most // 4) :]
    if is_text:
        return f"{head!r}…{tail!r} ({len(value):,} characters)"
    return f"{bytes(head)!r}…{bytes(tail)!r} ({len(value):,} bytes)"


def _truncated(text: str, limits: Limits, size: str) -> str:
    most = limits.characters
    if most is None or len(text) <= most + _SPARE:
        return text
    return f"{text[: most * 3 // 4]}…{text[-(most // 4) :]} ({size})"


def _array(value: Any, limits: Limits) -> str:
    import numpy as np

    threshold = sys.maxsize if limits.first is None else 10
    content = np.array2string(value, threshold=threshold, edgeitems=3, separator=", ", max_line_width=sys.maxsize)
    return f"array({' '.join(content.split())}, {value.dtype}, {value.shape})"


def _wrapped(line: str, width: int) -> list[str]:
    """Break a line that is too long, so that it goes on under itself and not at the edge of the terminal."""
    deeper = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, width, subsequent_indent=deeper, break_on_hyphens=False) or [line]


def _common(pairs: Iterable[tuple[str, str]]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
