"""What a command writes: tables for people, one JSON document for scripts, notes on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .text import cut, printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

__all__ = ("Cut", "console", "iso", "note", "notes", "plain", "print_json", "shown", "table")


def console() -> Console:
    """Where results go. Colours are off when this is no terminal, and tables are as wide as they need to be then."""
    from rich.console import Console

    return _quiet(Console)(highlight=False, markup=False, emoji=False, soft_wrap=False, width=_width())


def notes() -> Console:
    """Where progress bars and notes go: stderr, so that stdout has the result alone."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def note(text: str) -> None:
    """Say something beside the result."""
    notes().print(printable(text), style="dim", soft_wrap=True)


def print_json(document: Any, *, line: bool = False) -> None:
    """Write a document: times as ISO 8601 in UTC, durations in seconds, odd values as text. *line*: on one line."""
    text = json.dumps(plain(document), ensure_ascii=False, indent=None if line else 2)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:  # lone surrogates, or a terminal of few characters
        text = json.dumps(plain(document), indent=None if line else 2)
    sys.stdout.write(text + "\n")
    if line:
        sys.stdout.flush()


def plain(value: Any) -> Any:
    """Make what JSON can say of *value*; what it cannot becomes text, never an error."""
    if value is None or isinstance(value, bool | str) or type(value) is int:
        return value
    if isinstance(value, float):
        return value if value - value == 0 else repr(value)  # JSON has neither nan nor inf
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {key if isinstance(key, str) else repr(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return repr(value)


def iso(moment: datetime) -> str:
    """Spell a moment in ISO 8601, in UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def shown(text: str, style: str = "") -> Text:
    """Make an id, or other text of a user, fit for the terminal: never read as markup or as control characters."""
    from rich.text import Text

    return Text(printable(text), style)


class Cut:
    """An id, or other text of a user, in a table: shortened in its middle when the table would be too wide."""

    def __init__(self, text: str, style: str = "") -> None:
        """Show *text* in *style*."""
        self._text = printable(text)
        self._style = style

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Fill the column."""
        from rich.text import Text

        text = Text(self._text, self._style, no_wrap=True, overflow="ellipsis")
        if text.cell_len == len(self._text):
            text = Text(cut(self._text, options.max_width), self._style, no_wrap=True)
        yield text

    def __rich_measure__(self, _: Console, options: ConsoleOptions) -> Measurement:
        """Want all of the text, do with a little."""
        from rich.cells import cell_len
        from rich.measure import Measurement

        width = cell_len(self._text)
        return Measurement(min(_NARROWEST, width), width).with_maximum(options.max_width)


_NARROWEST = 12


def table(**columns: str) -> Table:
    """Make a table of columns that are ``left``, ``right`` (numbers), or of `Cut` cells (``cut``): those alone shrink."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False, padding=(0, 1, 0, 0))
    for name, kind in columns.items():
        made.add_column(name.replace("_", " "), justify="right" if kind == "right" else "left", no_wrap=kind != "cut")
    return made


def _width() -> int | None:
    """Piped output is not cut to the width of a terminal that it does not go to."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200


def _quiet(kind: type[Console]) -> type[Console]:
    class Quiet(kind):  # type: ignore[valid-type, misc]  # rich itself is imported when it is needed
        """A console that leaves a closed pipe to whoever runs the command."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Quiet
