"""How long scenarios go on, and how long they wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

__all__ = ("PATIENCE", "going_on")

PATIENCE = 90.0  # seconds in which what must come has come, also on a machine that has much else to do


def going_on(seconds: float, enough: Callable[[], bool]) -> Iterator[None]:
    """Go on for so many *seconds*, and longer while it was not *enough*, as on a slow machine."""
    begin = time.monotonic()
    while (past := time.monotonic() - begin) < seconds or (past < seconds + PATIENCE and not enough()):
        yield
