"""Words for people: sizes, ages, durations."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ("kB", "MB", "GB", "TB")
_SPANS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def cut(text: str, width: int) -> str:
    """Shorten *text* to *width* characters; what stands in for the middle is an ellipsis."""
    if len(text) <= width:
        return text
    head = (width - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def size(count: int) -> str:
    """Spell a number of bytes: ``512 B``, ``1.2 kB``, ``35 MB``."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in _UNITS:
        value /= 1000
        if value < 999.5 or unit == _UNITS[-1]:
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def duration(seconds: float) -> str:
    """Spell a duration by its largest unit: ``4 s``, ``3 min``, ``26 h``, ``12 d``."""
    for length, unit in _SPANS:
        if seconds >= (2 * length if length > 60 else length):
            return f"{int(seconds / length)} {unit}"
    return "< 1 s"


def age(moment: datetime, now: datetime | None = None) -> str:
    """Spell how long ago *moment* was: ``3 min ago``. Clocks differ a little, so the future counts as now."""
    passed = ((now or datetime.now(UTC)) - moment).total_seconds()
    return "now" if passed < 1 else f"{duration(passed)} ago"


def count(number: int, what: str) -> str:
    """Spell a number of things: ``1 thread``, ``2,000 threads``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
