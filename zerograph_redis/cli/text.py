"""Text for the terminal: safe to show; sizes, durations, ages and counts; and tables that fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from zerograph_redis.display import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment
    from rich.text import Text


_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_NARROWEST = 8  # columns of the terminal that a shortened column keeps
_GAP = "  "


def shown(text: str, style: str = "") -> Text:
    """Make a text safe for the terminal: nothing in it is read as markup or as a control character."""
    from rich.text import Text

    return Text(visible(text), style)


def phrase(*parts: tuple[str, str]) -> Text:
    """Join texts, each with its style, in one line as safe as that of `shown`."""
    from rich.text import Text

    return Text.assemble(*((visible(text), style) for text, style in parts))


def cut(text: str, width: int) -> str:
    """Shorten *text* to *width* columns of a terminal, with an ellipsis for its middle."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    head = (width - 1) * 2 // 3
    return f"{set_cell_size(text, head)}…{set_cell_size(text[::-1], width - 1 - head)[::-1]}"


def size(count: int) -> str:
    """Format a number of bytes: ``512 B``, ``1.2 kB``, ``35.0 MB``."""
    from rich.filesize import decimal

    return f"{count} B" if count < 1000 else decimal(count)


def duration(seconds: float) -> str:
    """Format a duration in its largest unit: ``4 s``, ``3 min``, ``26 h``, ``12 d``."""
    for length, unit in _UNITS:
        if seconds >= (2 * length if length > 60 else length):
            return f"{int(seconds / length)} {unit}"
    return "< 1 s"


def age(moment: datetime) -> str:
    """Format how long ago *moment* was: ``3 min ago``. Clocks differ a little, so the future counts as now."""
    passed = (datetime.now(UTC) - moment).total_seconds()
    return "now" if passed < 1 else f"{duration(passed)} ago"


def count(number: int, what: str) -> str:
    """Format a number of things: ``1 thread``, ``2,000 threads``."""
    return f"{number:,} {what}{'' if abs(number) == 1 else 's'}"


Cell: TypeAlias = "str | Text"


class Table:
    """Rows to be printed on a console of rich. They are never wrapped.

    Rich's own tables take five times as long for thousands of rows, cannot cut an id in its middle, and pad every line to
    the widest one, also in a pipe.
    """

    def __init__(self, **columns: str) -> None:
        """Begin with the columns named; an underscore in a name is shown as a space.

        Each is ``left``, ``right`` for numbers, or ``cut``. Of a table that is too wide, the first column and those that
        are ``cut`` are shortened.
        """
        self._heads = [shown(name.replace("_", " "), "bold") for name in columns]
        self._kinds = list(columns.values())
        self._rows: list[list[Cell]] = []

    def add_row(self, *cells: Cell) -> None:
        """Add a row. A str, such as an id, is shortened in its middle, a text with a style at its end."""
        self._rows.append([visible(each) if isinstance(each, str) else each for each in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Render the heads, a rule, and the rows."""
        from rich.text import Text

        widths = self._widths(options.max_width)
        rule = ("-" if options.ascii_only else "─") * min(_total(widths), options.max_width)
        yield from self._line(self._heads, widths).render(console, "\n")
        yield from Text(rule).render(console, "\n")
        for row in self._rows:
            yield from self._line(row, widths).render(console, "\n")

    def _widths(self, most: int) -> list[int]:
        from rich.cells import cell_len

        widths = [each.cell_len for each in self._heads]
        for row in self._rows:
            for place, cell in enumerate(row):
                widths[place] = max(widths[place], cell_len(cell) if isinstance(cell, str) else cell.cell_len)
        shortened = [place for place, kind in enumerate(self._kinds) if kind == "cut" or not place]
        for _ in range(_total(widths) - most):
            widest = max(shortened, key=widths.__getitem__)
            if widths[widest] <= _NARROWEST:
                break
            widths[widest] -= 1
        return widths

    def _line(self, row: Sequence[Cell], widths: list[int]) -> Text:
        from rich.text import Text

        line = Text()
        for cell, kind, width in zip(row, self._kinds, widths, strict=False):
            text = Text(cut(cell, width)) if isinstance(cell, str) else cell.copy()
            text.overflow = "ellipsis"
            text.align("right" if kind == "right" else "left", width)
            line.append_text(text).append(_GAP)
        line.rstrip()
        return line


def _total(widths: list[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)
