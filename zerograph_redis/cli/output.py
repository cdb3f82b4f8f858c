"""What a command writes: tables for people, one JSON document for scripts, notes on stderr."""

from __future__ import annotations

import json
import os
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from zerograph_redis.display import visible
from zerograph_redis.tools.inspect.values import plain

if TYPE_CHECKING:
    from rich.console import Console


def console() -> Console:
    """Where results go. Colours are off when this is no terminal, and tables are as wide as they need to be then."""
    from rich.console import Console

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal of few characters shows the others as question marks
    return _quiet(Console)(highlight=False, markup=False, emoji=False, soft_wrap=False, width=_width())


def notes() -> Console:
    """Where progress bars and notes go: stderr, so that stdout has the result alone."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def note(text: str) -> None:
    """Say something beside the result."""
    out = notes()
    out.print(visible(text), style="dim", soft_wrap=not out.is_terminal)


def print_json(document: Any, *, line: bool = False) -> None:
    """Write a document: times as ISO 8601 in UTC, durations in seconds, odd values as text. *line*: on one line."""
    text = json.dumps(plain(document), ensure_ascii=False, indent=None if line else 2)
    text = "\n".join(map(_escaped, text.split("\n")))
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:  # a terminal of few characters
        text = json.dumps(plain(document), indent=None if line else 2)
    sys.stdout.write(text + "\n")
    if line:
        sys.stdout.flush()


def _escaped(line: str) -> str:
    """Escape, within the strings of a line of JSON, what would not be visible."""
    if line == visible(line):
        return line
    return "".join(each if each == visible(each) else json.dumps(each)[1:-1] for each in line)


def _width() -> int | None:
    """Piped output is not cut to the width of a terminal that it does not go to."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200


def _quiet(kind: type[Console]) -> type[Console]:
    class Quiet(kind):  # type: ignore[valid-type, misc]  # rich itself is imported when it is needed
        """A console that leaves a closed pipe to whoever runs the command."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Quiet
