"""Sizes, durations, ages and counts for people."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


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
