"""When a request that failed is tried again, and for how long: one rule for both faces and all kinds of clients."""

from __future__ import annotations

from time import monotonic
from typing import Any, NamedTuple

from redis import exceptions
from redis.backoff import ExponentialWithJitterBackoff

from zerograph_redis.core.refusals import note_repeat
from zerograph_redis.core.requests import Request

TIMEOUT = 15.0
"""Seconds for a request. A failover takes about twelve: five until a primary counts as gone, as Sentinels and clusters are
usually told, a few for the election, and the time-out of the connection to the old primary runs beside both."""


class OutOfTime(exceptions.TimeoutError):
    """There is no time left, which says less than what a try before it was told."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("there was no reply in time")


class Policy(NamedTuple):
    """Which errors are tried again, how often, and after which pauses."""

    retries: int
    backoff: ExponentialWithJitterBackoff
    errors: tuple[type[Exception], ...]


def _pauses(base: float) -> ExponentialWithJitterBackoff:
    """Pause for *base* seconds first, at most; each next may be twice as long, but no longer than a second."""
    return ExponentialWithJitterBackoff(cap=1.0, base=base)


_LOST: tuple[type[Exception], ...] = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
_OF_A_CLUSTER: tuple[type[Exception], ...] = (
    *_LOST,
    exceptions.ClusterError,  # also for a slot that moves: a script's keys are on both nodes then
    exceptions.ClusterDownError,
    exceptions.RedisClusterException,  # no node answers, or none has the slot
    exceptions.TryAgainError,
)
NEVER = Policy(0, _pauses(0.0), _LOST)
PLAIN = Policy(10, _pauses(0.01), _LOST)
"""About three seconds of pauses: a server that restarts."""
SENTINEL = Policy(16, _pauses(0.05), _LOST)
"""About twelve seconds of pauses: a failover."""
CLUSTER = SENTINEL._replace(errors=_OF_A_CLUSTER)


class Tries:
    """The tries of one request, which share one budget of time."""

    __slots__ = ("_asked", "_policy", "_seconds", "_told", "deadline", "failed")

    def __init__(self, asked: Request[Any] | str, policy: Policy, seconds: float, deadline: float) -> None:
        """Have so many *seconds* in all, until the *deadline* by the clock of `monotonic`."""
        self._asked = asked
        self._policy = policy
        self._seconds = seconds
        self._told: Exception | None = None
        self.deadline = deadline
        self.failed = 0

    def pause(self, error: Exception) -> float:
        """Return for how many seconds to wait before the next try; raise *error* if there is none."""
        self.failed += 1
        if self._told is None or not isinstance(error, OutOfTime):
            self._told = error
        pause = self._policy.backoff.compute(self.failed)
        if self.failed > self._policy.retries or monotonic() + pause >= self.deadline:
            raise self._told
        note_repeat(self._asked, self.failed, error)
        return pause

    def left(self) -> float:
        """Return for how many seconds it may go on."""
        return max(self.deadline - monotonic(), 0.0)

    def __str__(self) -> str:
        """Say how often and for how long it was tried."""
        times = "once" if self.failed <= 1 else f"{self.failed} times"
        return f"tried {times} in {monotonic() - self.deadline + self._seconds:.1f} s"
