"""What goes wrong with Redis: which errors are tried again and for how long, and what a saver raises for the others."""

from __future__ import annotations

import re
from time import monotonic
from typing import Any, NamedTuple

from redis import exceptions
from redis.backoff import ExponentialWithJitterBackoff

from zerograph_redis.core.refusals import conflict, describe_request, lease_held, lease_lost, note_repeat
from zerograph_redis.core.requests import Request
from zerograph_redis.errors import BackendUnavailableError, CheckpointError, CorruptCheckpointError, ReplicationError
from zerograph_redis.ids import unescape

TIMEOUT = 15.0
"""Seconds for a request. A failover takes about twelve: five until a primary counts as down, as Sentinels and clusters are
usually configured, and a few for the election. The time-out of the connection to the old primary runs beside both."""

DRIVER_ERRORS = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
"""All that redis-py raises about a server: errors about a cluster as a whole are no `RedisError`."""


class OutOfTime(exceptions.TimeoutError):
    """No time is left, which explains less than the error of the try before."""

    def __init__(self) -> None:
        """Explain it."""
        super().__init__("there was no reply in time")


class Policy(NamedTuple):
    """Which errors are tried again, how often, and after which pauses."""

    retries: int
    backoff: ExponentialWithJitterBackoff
    errors: tuple[type[Exception], ...]


def _pauses(base: float) -> ExponentialWithJitterBackoff:
    """Pause for at most *base* seconds at first; each next pause may be twice as long, up to a second."""
    return ExponentialWithJitterBackoff(cap=1.0, base=base)


_CONNECTION: tuple[type[Exception], ...] = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
_CLUSTER: tuple[type[Exception], ...] = (
    *_CONNECTION,
    exceptions.ClusterError,  # also for a slot that moves: a script's keys are on both nodes then
    exceptions.ClusterDownError,
    exceptions.RedisClusterException,  # no node answers, or none has the slot
    exceptions.TryAgainError,
)
NEVER = Policy(0, _pauses(0.0), _CONNECTION)
PLAIN = Policy(10, _pauses(0.01), _CONNECTION)
"""About three seconds of pauses: a server that restarts."""
SENTINEL = Policy(16, _pauses(0.05), _CONNECTION)
"""About twelve seconds of pauses: a failover."""
CLUSTER = SENTINEL._replace(errors=_CLUSTER)


class Tries:
    """The tries of one request, which share one budget of time."""

    __slots__ = ("_asked", "_cause", "_seconds", "deadline", "failed", "policy")

    def __init__(self, asked: Request[Any] | str, policy: Policy, seconds: float, deadline: float) -> None:
        """Allow *seconds* in all, until the *deadline* by the clock of `monotonic`."""
        self._asked = asked
        self._seconds = seconds
        self._cause: Exception | None = None
        self.policy = policy
        self.deadline = deadline
        self.failed = 0

    def pause(self, error: Exception) -> float:
        """Return how many seconds to wait before the next try; raise *error* if no try is left."""
        self.failed += 1
        if self._cause is None or not isinstance(error, OutOfTime):
            self._cause = error
        pause = self.policy.backoff.compute(self.failed)
        if self.failed > self.policy.retries or monotonic() + pause >= self.deadline:
            raise self._cause
        note_repeat(self._asked, self.failed, error)
        return pause

    def left(self) -> float:
        """Return how many seconds are left."""
        return max(self.deadline - monotonic(), 0.0)

    def __str__(self) -> str:
        times = "once" if self.failed <= 1 else f"{self.failed} times"
        return f"tried {times} in {monotonic() - self.deadline + self._seconds:.1f} s"


_FROM_OLD_PRIMARY = (
    "WAIT cannot be used with replica",  # it was demoted before the WAIT came
    "UNBLOCKED",  # while the WAIT waited
    "NOREPLICAS",  # its replicas may follow another primary already
)


def is_from_old_primary(error: object) -> bool:
    """Whether *error* may come from the old primary of a failover; READONLY and MOVED are recognized elsewhere.

    The request may go to the new primary then, as every request may run twice.
    """
    return isinstance(error, exceptions.MasterDownError) or (
        isinstance(error, exceptions.ResponseError) and str(error).startswith(_FROM_OLD_PRIMARY)
    )


def translate(error: Exception, request: Request[Any], server: str, tries: Tries | None = None) -> CheckpointError:
    """Return the error to raise for *error*; *server* names the server, and *tries* how often it was tried."""
    refused = _refusal(error, request) or damage(error, request)
    if refused is not None:
        return refused
    tried = f"; {tries}" if tries is not None and tries.failed else ""
    headline, code = _headline_and_code(error)
    fix = _FIXES.get(code, "")
    if code in _REFUSING_WRITES and getattr(request, "refresh", False):
        fix += ", or read with refresh_on_read=False: a read that renews a thread's TTL is a write too"
    # Without the position in a script, and the representations of the Sentinels' clients.
    text = re.split(" script: | : <redis", str(error), maxsplit=1)[0].rstrip(".")
    asked = describe_request(request)
    return BackendUnavailableError(
        f"{headline.format(server)} ({asked}): {type(error).__name__}: {text}{tried}{fix and f'. {code}: {fix}'}"
    )


def _refusal(error: Exception, request: Request[Any]) -> CheckpointError | None:
    """What a script answers to a write that a lease or a condition refuses."""
    code, _, text = str(error).partition(" ")
    if not isinstance(error, exceptions.ResponseError):
        return None
    thread = str(getattr(request, "thread", ""))
    if code == "HELD":
        left, _, owner = text.partition(" ")
        return lease_held(thread, unescape(owner), int(left) / 1_000_000)
    if code == "LOST":
        return lease_lost(thread, unescape(text))
    if code == "CONFLICT":
        return conflict(request, unescape(text))
    return None


def damage(error: Exception, request: Request[Any]) -> CorruptCheckpointError | None:
    """What a script answers or raises about a thread that is not as a saver stored it; None for other errors."""
    if not isinstance(error, exceptions.ResponseError):
        return None
    text = str(error)
    if "WRONGTYPE" in text:
        return CorruptCheckpointError(
            f"{describe_request(request)}: a key of the thread holds another type of value, so something else writes "
            f"under this prefix: {text}"
        )
    # What a script returns begins with the code; what it raises has Lua's position before it.
    found = re.search(r"^DAMAGED (.*)", text) or re.search(r": DAMAGED (.*)", text)
    if found is not None:
        what = found[1].partition(" script:")[0]
    elif _OF_CONTENT.search(text):
        # A script's arguments come from this package, so what it fails at is stored.
        what = f"the stored bytes are not what a saver stores: {text}"
    else:
        return None
    return CorruptCheckpointError(
        f"{describe_request(request)}: {what}. Most likely the server evicted keys of the thread (set "
        f"maxmemory-policy to noeviction) or something else changed them; delete_thread clears the rest."
    )


_OF_CONTENT = re.compile(
    r"user_script:\d+: (?:attempt to|bad argument|Lua redis)|hash value is not an? |value is not an? |invalid expire time|"
    r"would overflow|not valid string range|not a valid float|min or max is not|offset is out of range|"
    r"string exceeds maximum"
)

_KINDS = (
    (exceptions.BusyLoadingError, "{} is still loading its data", ""),
    (exceptions.AuthenticationError, "{} refuses the user or the password", ""),
    (exceptions.TimeoutError, "{} did not answer in time", ""),
    (exceptions.ReadOnlyError, "{} accepts no writes", "READONLY"),
    (exceptions.OutOfMemoryError, "{} is out of memory", "OOM"),
    (exceptions.NoPermissionError, "{} denies permission", "NOPERM"),
    (exceptions.MasterDownError, "{} is a replica without its primary", "MASTERDOWN"),
    (exceptions.ClusterDownError, "{} is down", "CLUSTERDOWN"),
    (exceptions.ResponseError, "{} refused the command", ""),
    (Exception, "cannot reach {}", ""),
)
"""What each kind of error means, and its code at the server if redis-py removes that from the message. The first applies."""

_REFUSING_WRITES = frozenset({"MISCONF", "NOREPLICAS", "READONLY"})
_FIXES = {
    "CLUSTERDOWN": "a slot has no primary: check the nodes of the cluster",
    "MISCONF": "the server cannot save its data: check its log and its disk",
    "NOPERM": "the user lacks a right, or its keys begin otherwise: the documentation names the rights that a saver needs",
    "NOREPLICAS": "fewer replicas are in step than min-replicas-to-write requires: restart one",
    "OOM": "the server uses all the memory that it may: prune or delete threads, or raise its maxmemory",
    "READONLY": "this is a replica: write to its primary, which a redis+sentinel:// URL finds",
}


def _headline_and_code(error: Exception) -> tuple[str, str]:
    headline, code = next((headline, code) for kind, headline, code in _KINDS if isinstance(error, kind))
    if "user executing the script can't" in str(error):
        code = "NOPERM"  # servers send this error without a code
    return headline, code or str(error).partition(" ")[0]


def unconfirmed(request: Request[Any], confirmed: int, wanted: int, timeout: int) -> ReplicationError:
    """Return the error for a write that too few replicas confirmed."""
    return ReplicationError(
        f"{describe_request(request)}: stored, but {confirmed} of {wanted} replicas confirmed it within {timeout} ms: "
        f"a failover now may lose it. Storing it again is harmless"
    )
