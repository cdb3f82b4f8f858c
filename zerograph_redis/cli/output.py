"""What a command writes: tables for people, one JSON document for scripts, notes on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from zerograph_redis.display import visible
from zerograph_redis.tools.inspect.values import plain

if TYPE_CHECKING:
    from rich.console import Console

_PIPED = 200  # columns that long values are wrapped to, off a terminal
_UNLIMITED = 1_000_000
SHOWN = 30  # rows of a table, or threads in a note
NOTHING_CHANGED = "Nothing was changed: add --yes to do it."


def console() -> Console:
    """Return the console for results. Off a terminal it has no colours, and cuts nothing, so that ids can be copied."""
    from rich.console import Console, ConsoleOptions

    limited = sys.stdout.isatty() or "COLUMNS" in os.environ

    class Output(Console):
        """A console that lets the command handle a closed pipe."""

        @property
        def options(self) -> ConsoleOptions:
            options = super().options
            return options if limited else options.update(max_width=_UNLIMITED)

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # question marks for characters that the encoding lacks
    width = None if limited else _PIPED
    return Output(highlight=False, markup=False, emoji=False, soft_wrap=not limited, width=width)


def notes() -> Console:
    """Return the console for progress bars and notes: stderr, so that stdout has the result alone."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def note(text: str) -> None:
    """Write a line beside the result."""
    out = notes()
    out.print(visible(text), style="dim", soft_wrap=not out.is_terminal)


def note_more(hidden: int) -> None:
    """Note that a table leaves out *hidden* rows, if any."""
    if hidden > 0:
        note(f"… and {hidden:,} more; --json has all.")


def note_missing(threads: Sequence[str]) -> None:
    """Note the given ids that are not stored, if any."""
    if threads:
        note(f"Not found: {', '.join(map(repr, threads[:SHOWN]))}{' …' if len(threads) > SHOWN else ''}.")


def print_json(document: Any, *, line: bool = False) -> None:
    """Write a document: times as ISO 8601 in UTC, durations in seconds, other values as text.

    Args:
        document: What to write.
        line: Whether it goes on one line, and out at once.
    """
    indent = None if line else 2
    text = json.dumps(plain(document), ensure_ascii=False, indent=indent)
    text = "\n".join(map(_escape, text.split("\n")))
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(plain(document), indent=indent)
    sys.stdout.write(text + "\n")
    if line:
        sys.stdout.flush()


def _escape(line: str) -> str:
    """Escape what a terminal would not show, within the strings of a line of JSON."""
    if line == visible(line):
        return line
    return "".join(each if each == visible(each) else json.dumps(each)[1:-1] for each in line)
