"""Waiting before a repeat, by the clock of redis-py's retries: the one place that sees each of them, in both faces."""

from __future__ import annotations

import sys

from redis.backoff import ExponentialWithJitterBackoff

from zerograph_redis.core.attempts import note_repeat

__all__ = ("NotingBackoff",)


class NotingBackoff(ExponentialWithJitterBackoff):
    """Notes each repeat. redis-py asks for the time to wait exactly once before each, while it handles the error."""

    def compute(self, failures: int) -> float:
        """Return the seconds to wait after so many failures."""
        note_repeat(sys.exception())
        return super().compute(failures)
