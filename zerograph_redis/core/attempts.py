"""What is asked of a store at this moment, and how often it had to be asked again: told to the log, and counted."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from zerograph_redis.display import about, visible

from .refusals import asked_for
from .requests import Request

__all__ = ("REPEATS", "Attempt")

_log = logging.getLogger(__name__)

REPEATS: ContextVar[int] = ContextVar("zerograph_redis_repeats", default=0)
"""How many repeats this context has seen so far: who wants to know them of one operation, looks before and after."""


class Attempt:
    """A request, or what else is asked for, and how often it was repeated so far."""

    __slots__ = ("_asked", "repeats")

    def __init__(self, asked: Request[Any] | str) -> None:
        """Begin with no repeats."""
        self._asked = asked
        self.repeats = 0

    def note_repeat(self, error: Exception) -> None:
        """Note that what failed with *error* is about to be tried again."""
        REPEATS.set(REPEATS.get() + 1)
        # Once for each request: an outage would fill the log with the rest.
        level = logging.WARNING if self.repeats == 0 else logging.DEBUG
        self.repeats += 1
        _log.log(
            level,
            "%s failed and is tried again: %s: %s",
            visible(self._asked if isinstance(self._asked, str) else asked_for(self._asked)),
            type(error).__name__,
            visible(str(error)),
            extra=about(getattr(self._asked, "thread", None)),
        )
