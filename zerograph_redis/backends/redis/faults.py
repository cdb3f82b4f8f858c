"""What redis-py raises, said in this package's errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from redis.exceptions import (
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from zerograph_redis.core.refusals import asked_for, conflict, lease_held, lease_lost
from zerograph_redis.core.requests import Request
from zerograph_redis.errors import BackendUnavailableError, CheckpointError, CorruptCheckpointError, ReplicationError
from zerograph_redis.ids import unescape

from .retries import Tries

_LEFT_BEHIND = (
    "WAIT cannot be used with replica",  # it was demoted before the WAIT came
    "UNBLOCKED",  # while the WAIT waited
    "NOREPLICAS",  # its replicas may follow another primary already
)


def is_left_behind(error: object) -> bool:
    """Tell whether *error* is what a server says that a failover may have left behind, but for READONLY and MOVED.

    The request may go again to whichever is the primary then, as every request may run twice.
    """
    return isinstance(error, MasterDownError) or (
        isinstance(error, ResponseError) and str(error).startswith(_LEFT_BEHIND)
    )


def translate(error: Exception, request: Request[Any], tries: Tries | None = None) -> CheckpointError:
    """Return the error to raise from *error*: the server's word, what was asked, and of which thread; how it was tried."""
    thread = getattr(request, "thread", None) or next(iter(getattr(request, "threads", ())), None)
    asked = asked_for(request)
    text = str(error)
    if isinstance(error, ResponseError):
        # What a script answers begins with a code of ours; what it raises, with its place.
        code, _, said = text.partition(" ")
        if code == "HELD":
            left, _, owner = said.partition(" ")
            return lease_held(str(thread), unescape(owner), int(left) / 1_000_000)
        if code == "LOST":
            return lease_lost(str(thread), unescape(said))
        if code == "CONFLICT":
            return conflict(request, unescape(said))
        if code != "DAMAGED" and ": DAMAGED " in text:
            code, said = "DAMAGED", text.partition(": DAMAGED ")[2]
        if code != "DAMAGED" and _OF_CONTENT.search(text):
            # What a script is passed is ours: what it stumbles over is stored.
            code, said = "DAMAGED", f"what is stored is not what a saver stores: {text}"
        if code == "DAMAGED":
            said = said.partition(" script:")[0].partition("\n")[0]
            return CorruptCheckpointError(
                f"{asked}: {said}. Most likely the server evicted keys of the thread (set maxmemory-policy to noeviction) "
                f"or something else changed them; delete_thread clears the rest."
            )
    if isinstance(error, ResponseError) and "WRONGTYPE" in text:
        return CorruptCheckpointError(
            f"{asked}: a key of the thread holds another type of value, so something else writes under this prefix: {text}"
        )
    code = _code_of(error)
    mend = _MENDS.get(code, "")
    if code in _REFUSING_WRITES and getattr(request, "refresh", False):
        mend += ", or read with refresh_on_read=False: a read that begins a thread's ttl anew is a write too"
    tried = f"; {tries}" if tries is not None and tries.failed else ""
    return BackendUnavailableError(
        f"{asked}: Redis did not do it: {type(error).__name__}: {text}{tried}{mend and f'. {code}: {mend}'}"
    )


_OF_CONTENT = re.compile(
    r"user_script:\d+: (?:attempt to|bad argument|Lua redis)|hash value is not an? |value is not an? |invalid expire time|"
    r"would overflow|not valid string range|not a valid float|min or max is not|offset is out of range|"
    r"string exceeds maximum"
)

_CODES: Mapping[type[RedisError], str] = {
    NoPermissionError: "NOPERM",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
}
"""The server's codes that redis-py takes out of the messages."""

_REFUSING_WRITES = frozenset({"MISCONF", "NOREPLICAS", "READONLY"})
_MENDS = {
    "MISCONF": "the server cannot save what it holds: look at its log and its disk",
    "NOPERM": "the user lacks a right, or its keys begin otherwise: the documentation names the rights that a saver needs",
    "NOREPLICAS": "fewer replicas are in step than min-replicas-to-write asks for: bring one back",
    "OOM": "the server has all the memory that it may take: prune or delete threads, or raise its maxmemory",
    "READONLY": "this is a replica: write to its primary, as redis+sentinel:// does by itself",
}


def _code_of(error: Exception) -> str:
    if "user executing the script can't" in str(error):
        return "NOPERM"  # servers give it no code of its own
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), str(error).partition(" ")[0])


def unconfirmed(request: Request[Any], confirmed: int, wanted: int, timeout: int) -> ReplicationError:
    """Return the error for a write that too few replicas confirmed."""
    return ReplicationError(
        f"{asked_for(request)}: stored, but {confirmed} of {wanted} replicas confirmed it within {timeout} ms: a failover "
        f"now may lose it. Doing it again is harmless"
    )
