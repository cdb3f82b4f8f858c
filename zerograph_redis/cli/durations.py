"""Durations as they are typed: ``90s``, ``15m``, ``12h``, ``30d``, ``1d12h``."""

from __future__ import annotations

import re
from datetime import timedelta

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_PART = re.compile(r"([\d.]+)([smhdw])")
_LONGEST = timedelta(days=36_500)


def read_duration(text: str) -> timedelta:
    """Return what a duration means, more than nothing and up to a hundred years."""
    found = timedelta()
    if _WHOLE.fullmatch(text):
        try:
            for number, unit in _PART.findall(text):
                found += timedelta(**{_UNITS[unit]: float(number)})
        except OverflowError:
            found = timedelta.max
    if not timedelta() < found <= _LONGEST:
        raise typer.BadParameter(f"{text!r} is no duration: write 90s, 15m, 12h, 30d or 1d12h, for example")
    return found
