"""Waiting for a condition, never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

LONG = 90.0  # seconds: enough also on a machine with much else to do


def until(condition, *, seconds: float = 10.0, pause: float = 0.005):
    """Return the first true result of *condition*; fail if there is none in time."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"the condition did not come true within {seconds} s"
        time.sleep(pause)


def until_after(moment: float) -> None:
    """Wait until the clock of `time.time` has passed *moment*."""
    until(lambda: time.time() > moment)


def repeat_for(seconds: float, enough: Callable[[], bool]) -> Iterator[None]:
    """Repeat a loop for so many *seconds*, and on a slow machine longer, until *enough* is true."""
    start = time.monotonic()
    while (passed := time.monotonic() - start) < seconds or (passed < seconds + LONG and not enough()):
        yield
