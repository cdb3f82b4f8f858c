"""Numbers as people read them."""

from __future__ import annotations

from typing import Any

__all__ = ("count", "micros", "ratio", "size")


def size(value: float) -> str:
    """Bytes, in thousands and millions."""
    for unit, most in (("MB", 1e6), ("KB", 1e3)):
        if abs(value) >= most * 0.9995:
            return f"{value / most:.{_decimals(value / most)}f} {unit}"
    return f"{value:.0f} B"


def micros(value: float) -> str:
    """Microseconds."""
    if value >= 999.5:
        return f"{value / 1000:.{_decimals(value / 1000)}f} ms"
    return f"{value:.{0 if value >= 99.5 else 1}f} µs"


def count(value: float) -> str:
    """Things."""
    return f"{value:,.0f}"


def ratio(value: Any) -> str:
    """A factor."""
    if value is None:
        return ""
    return f"{value:.3f}x" if value < 0.0995 else f"{value:.2f}x"


def _decimals(value: float) -> int:
    return 0 if value >= 99.5 else 1 if value >= 9.95 else 2
