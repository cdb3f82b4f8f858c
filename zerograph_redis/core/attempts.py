"""What is asked of a store at this moment, and how often it had to be asked again: told to the log, and counted."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from zerograph_redis.display import about, visible

from .refusals import asked_for
from .requests import Request

__all__ = ("REPEATS", "UNDER_WAY", "Attempt", "note_repeat")

_log = logging.getLogger(__name__)


class Attempt:
    """A request, and how often it was repeated so far."""

    __slots__ = ("repeats", "request")

    def __init__(self, request: Request[Any]) -> None:
        """Begin with no repeats."""
        self.request = request
        self.repeats = 0


UNDER_WAY: ContextVar[Attempt | None] = ContextVar("zerograph_redis_attempt", default=None)
"""What this context waits for. A backend that repeats what failed says it here, for whatever repeats it knows no request."""

REPEATS: ContextVar[int] = ContextVar("zerograph_redis_repeats", default=0)
"""How many repeats this context has seen so far: who wants to know them of one operation, looks before and after."""


def note_repeat(error: BaseException | None) -> None:
    """Note that what failed with *error* is about to be tried again."""
    REPEATS.set(REPEATS.get() + 1)
    attempt = UNDER_WAY.get()
    asked, thread, level = "a connection", None, logging.DEBUG
    if attempt is not None:
        asked, thread = asked_for(attempt.request), getattr(attempt.request, "thread", None)
        # Once for each request: an outage would fill the log with the rest.
        level = logging.WARNING if attempt.repeats == 0 else logging.DEBUG
        attempt.repeats += 1
    _log.log(
        level,
        "%s failed and is tried again: %s: %s",
        visible(asked),
        type(error).__name__,
        visible(str(error)),
        extra=about(thread),
    )
