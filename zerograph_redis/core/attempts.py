"""What is asked of a store at this moment, and how often it had to be asked again: told to the log, and counted."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from zerograph_redis.display import about, visible

from .refusals import asked_for
from .requests import Request

_log = logging.getLogger(__name__)

REPEATS: ContextVar[int] = ContextVar("zerograph_redis_repeats", default=0)
"""How many repeats this context has seen so far: who wants to know them of one operation, looks before and after."""


def note_repeat(asked: Request[Any] | str, failed: int, error: Exception) -> None:
    """Note that what failed with *error*, for the so-manieth time, is about to be tried again."""
    REPEATS.set(REPEATS.get() + 1)
    # Once for each request: an outage would fill the log with the rest.
    _log.log(
        logging.WARNING if failed == 1 else logging.DEBUG,
        "%s failed and is tried again: %s: %s",
        visible(asked if isinstance(asked, str) else asked_for(asked)),
        type(error).__name__,
        visible(str(error)),
        extra=about(getattr(asked, "thread", None)),
    )
