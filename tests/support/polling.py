"""Waiting for what must come, never for a fixed time."""

from __future__ import annotations

import time


def until(condition, *, seconds: float = 10.0, pause: float = 0.005):
    """Return the first true result of *condition*; fail if it does not come in time."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(pause)


def until_after(moment: float) -> None:
    """Wait until the clock of `time.time` has passed *moment*."""
    until(lambda: time.time() > moment)
