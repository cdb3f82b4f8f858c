"""Tables that fit the terminal: numbers to the right, long ids cut in their middle, and quick for thousands of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from zerograph_redis.display import visible

from .text import cut

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment
    from rich.text import Text


_NARROWEST = 12  # characters that a column keeps
_GAP = "  "


def shown(text: str, style: str = "") -> Text:
    """Make an id, or other text of a user, fit for the terminal: never read as markup or as control characters."""
    from rich.text import Text

    return Text(visible(text), style)


def phrase(*parts: tuple[str, str]) -> Text:
    """Make a line of texts and their styles, as `shown` does of one."""
    from rich.text import Text

    return Text.assemble(*((visible(text), style) for text, style in parts))


class Cut:
    """An id, or other text of a user: if it must be shortened, then in its middle, since ids often differ at both ends."""

    def __init__(self, text: str, style: str = "") -> None:
        """Show *text* in *style*."""
        self.text = visible(text)
        self.style = style


Cell: TypeAlias = "str | Text | Cut"


def table(**columns: str) -> Table:
    """Make a table with the columns named; an underscore in a name is shown as a space.

    Each is ``left``, ``right`` for numbers, or ``cut``: such a column is shortened when the table would be too wide.
    """
    return Table(columns)


class Table:
    """Rows to be printed on a console of rich, which it never makes wider than it is."""

    def __init__(self, columns: dict[str, str]) -> None:
        """Begin with the heads of *columns*."""
        self._heads = [name.replace("_", " ") for name in columns]
        self._kinds = list(columns.values())
        self._rows: list[list[Text]] = []
        self._cuts: list[set[int]] = []

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def add_row(self, *cells: Cell) -> None:
        """Add a row; cells that are missing at its end are empty."""
        from rich.text import Text

        cells += ("",) * (len(self._heads) - len(cells))
        self._cuts.append({place for place, cell in enumerate(cells) if isinstance(cell, Cut)})
        self._rows.append(
            [
                Text(cell.text, cell.style) if isinstance(cell, Cut) else shown(cell) if isinstance(cell, str) else cell
                for cell in cells
            ]
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Write the heads, a line, and the rows."""
        from rich.segment import Segment
        from rich.text import Text

        widths = self._widths(options.max_width)
        yield from self._line(console, [Text(head, "bold") for head in self._heads], set(), widths)
        rule = "-" if options.ascii_only else "─"
        yield Segment(rule * min(sum(widths) + len(_GAP) * (len(widths) - 1), options.max_width))
        yield Segment.line()
        for row, cuts in zip(self._rows, self._cuts, strict=True):
            yield from self._line(console, row, cuts, widths)

    def _widths(self, most: int) -> list[int]:
        widths = [len(head) for head in self._heads]
        for row in self._rows:
            widths = [max(width, cell.cell_len) for width, cell in zip(widths, row, strict=True)]
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - most
        while excess > 0:
            place = max(
                (width, place) for place, width in enumerate(widths) if self._kinds[place] == "cut" or not place
            )[1]
            spare = min(excess, widths[place] - _NARROWEST)
            others = [width for other, width in enumerate(widths) if other != place and self._kinds[other] == "cut"]
            if spare <= 0:
                break
            # The widest gives way first, until it is no wider than the next.
            step = max(1, min(spare, widths[place] - max(others, default=_NARROWEST)))
            widths[place] -= step
            excess -= step
        return widths

    def _line(self, console: Console, row: list[Text], cuts: set[int], widths: list[int]) -> Iterator[Segment]:
        from rich.segment import Segment

        last = max((place for place, cell in enumerate(row) if cell.plain), default=0)
        for place, (cell, width) in enumerate(zip(row[: last + 1], widths, strict=False)):
            if cell.cell_len > width:
                cell = _shortened(cell, width, middle=place in cuts)  # noqa: PLW2901 - the same cell, as it fits
            blank = " " * (width - cell.cell_len)
            if self._kinds[place] == "right" and blank:
                yield Segment(blank)
            yield from Segment.apply_style(cell.render(console, end=""), console.get_style(cell.style))
            if place < last:
                yield Segment((blank if self._kinds[place] != "right" else "") + _GAP)
        yield Segment.line()


def _shortened(cell: Text, width: int, *, middle: bool) -> Text:
    from rich.text import Text

    if middle and cell.cell_len == len(cell.plain):
        return Text(cut(cell.plain, width), cell.style)
    cell = cell.copy()
    cell.truncate(width, overflow="ellipsis")
    return cell
