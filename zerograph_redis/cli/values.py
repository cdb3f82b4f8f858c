"""Values and differences of them, as a person reads them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from zerograph_redis.display import visible
from zerograph_redis.tools.inspect.abridging import ALL, SHORT, abridge

from .tables import shown

if TYPE_CHECKING:
    from rich.text import Text


_NARROWEST = 24  # characters of a line
_SHORT = (type(None), bool, int, float, str)
_SURROUNDING = 24  # characters that are shown around what changed in a text


def pretty(value: Any, width: int, *, full: bool, style: str = "", indent: str = "", first: str | None = None) -> Text:
    """Spell a value over as many lines as it needs, indented; *first* stands before its first line instead."""
    from rich.highlighter import ReprHighlighter
    from rich.text import Text

    text = Text(style=style)
    for place, line in enumerate(_lines(value, max(width - len(indent), _NARROWEST), full=full)):
        text.append(("\n" if place else "") + (first if first is not None and not place else indent))
        content = Text(visible(line))
        if not style:
            ReprHighlighter().highlight(content)
        text.append_text(content)
    return text


def on_one_line(before: Any, after: Any, width: int) -> str | None:
    """Spell a change as ``1 → 2``; None if that takes more than *width*."""
    spelled = [_lines(each, width, full=True) for each in (before, after) if isinstance(each, _SHORT)]
    told = " → ".join(visible(lines[0]) for lines in spelled if len(lines) == 1)
    return told if len(spelled) == 2 and "→" in told and len(told) <= width else None


def brief(value: Any) -> str:
    """Spell a value on one line, cut if it is long."""
    return visible(repr(abridge(value, SHORT)))


def excerpts(before: str, after: str, width: int) -> tuple[Text, Text]:
    """Spell two texts by where they differ, with a little of what surrounds it."""
    start = _common(zip(before, after, strict=False))
    end = _common(zip(reversed(before[start:]), reversed(after[start:]), strict=False))

    from rich.text import Text

    def excerpt(text: str, sign: str, style: str) -> Text:
        first, last = max(start - _SURROUNDING, 0), min(len(text) - end + _SURROUNDING, len(text))
        changed = repr(abridge(text[first:last], SHORT))
        spelled = f"  {sign} {'…' if first else ''}{changed}{'…' if last < len(text) else ''}"
        return Text("\n").join(shown(line, style) for line in _wrapped(spelled, width))

    return excerpt(before, "-", "red"), excerpt(after, "+", "green")


def _lines(value: Any, width: int, *, full: bool) -> list[str]:
    from rich.pretty import pretty_repr

    spelled = pretty_repr(abridge(value, ALL if full else SHORT), max_width=width, indent_size=2).split("\n")
    if full:
        return spelled
    return [part for line in spelled for part in _wrapped(line, width)]


def _wrapped(line: str, width: int) -> list[str]:
    """Break a line that is too long, so that it goes on under itself and not at the edge of the terminal."""
    deeper = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, width, subsequent_indent=deeper, break_on_hyphens=False) or [line]


def spell_path(channel: str, path: Iterable[Any]) -> str:
    """Spell where something is: ``profile['languages'][0].name``."""
    return visible(channel + "".join(f"[{abridge(key)!r}]" for key in path))


def _common(pairs: Iterable[tuple[str, str]]) -> int:
    count = 0
    for one, other in pairs:
        if one != other:
            break
        count += 1
    return count
