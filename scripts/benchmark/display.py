"""Numbers, tables and the console for people."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def size(value: float) -> str:
    """Bytes, KB or MB."""
    for unit, most in (("MB", 1e6), ("KB", 1e3)):
        if abs(value) >= most * 0.9995:
            return f"{value / most:.{_decimals(value / most)}f} {unit}"
    return f"{value:.0f} B"


def micros(value: float) -> str:
    """Microseconds, or milliseconds."""
    if value >= 999.5:
        return f"{value / 1000:.{_decimals(value / 1000)}f} ms"
    return f"{value:.{0 if value >= 99.5 else 1}f} µs"


def count(value: float) -> str:
    """A count."""
    return f"{value:,.0f}"


def ratio(value: Any) -> str:
    """A factor."""
    if value is None:
        return ""
    return f"{value:.3f}x" if value < 0.0995 else f"{value:.2f}x"


def _decimals(value: float) -> int:
    return 0 if value >= 99.5 else 1 if value >= 9.95 else 2


def make_table(title: str, *columns: str) -> Table:
    """An empty table in the style of all tables; columns with a heading have numbers, those without have labels."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column else "left", no_wrap=not column)
    return table


def make_console(width: int) -> Console:
    """A console, at least so wide; a file has no width of its own."""
    console = Console(highlight=False)
    return console if console.is_terminal and console.width >= width else Console(highlight=False, width=width)
