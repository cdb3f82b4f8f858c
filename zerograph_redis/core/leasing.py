"""Leases: one worker at a time, and no zombie.

A lease is stored in the thread's own keys. Its token fences every write: the store refuses a write with an old token, and
a write without a token while anyone holds the thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from time import monotonic
from typing import Any, Protocol
from uuid import uuid4

from zerograph_redis.errors import LeaseError
from zerograph_redis.threads import LeaseInfo

from .configs import read_id
from .refusals import lease_held, lease_lost
from .requests import Fence, Leased, LeaseThread, Operation, Pause
from .settings import Settings

_SHORTEST, _LONGEST = 0.02, 0.5  # seconds between two attempts, while another worker holds the lease


class Held(Protocol):
    """A lease that a block of code holds."""

    token: int | None

    def fencing(self) -> Held | None:
        """Return the lease whose token to use now: this one, or the one of a block around it, or None."""


HELD_HERE: ContextVar[Mapping[tuple[Settings, str], Held]] = ContextVar("zerograph_redis_leases", default={})  # noqa: B039 - never changed
"""The leases whose blocks this context is in, by saver and thread: for writes whose config names no token.

Leases, and not their tokens: an exception may keep a block from removing its lease at its end.
"""


def fence(thread: str, token: int | None, settings: Settings) -> Fence:
    """Return the token to write under: the given one, or that of the lease whose block this is."""
    if token is None and (here := HELD_HERE.get().get((settings, thread))) and (fencing := here.fencing()):
        token = fencing.token
    if token is None and settings.require_lease:
        raise LeaseError(
            f"thread {thread!r} may only be written under a lease: with saver.lease({thread!r}) as lease: … lease.config()"
        )
    return token


def take_lease(
    thread: str, attempt: str, owner: str, ttl: int, wait: float = 0.0, *, goes_on: Callable[[], bool] = lambda: True
) -> Operation[Leased]:
    """Take the lease of a thread; LeaseHeldError if another worker still holds it after *wait* seconds.

    Stops waiting once *goes_on* returns False.
    """
    end = monotonic() + wait
    pause = _SHORTEST
    while True:
        found = yield from LeaseThread(thread, "take", None, attempt, owner, ttl)
        if found.attempt == attempt:
            return found
        left = end - monotonic()
        if left <= 0 or not goes_on():
            raise lease_held(thread, found.owner, found.left / 1000)
        yield from Pause(min(pause, left))
        pause = min(pause * 1.5, _LONGEST)


def renew_lease(thread: str, token: int, ttl: int) -> Operation[None]:
    """Hold a lease for longer; LeaseLostError if it is not the current one."""
    found = yield from LeaseThread(thread, "renew", token, "-", "", ttl)
    if found.token != token or not found.left:
        raise lease_lost(thread, found.owner if found.left else "")


def end_lease(thread: str, attempt: str) -> Operation[None]:
    """Give back the lease that *attempt* took, if it is still held."""
    yield from LeaseThread(thread, "release", None, attempt, "", 0)


def break_lease(thread: Any) -> Operation[str | None]:
    """End the current lease of a thread. Returns its owner, None if nobody held the thread."""
    thread, attempt = read_id("thread_id", thread), new_attempt()
    found = yield from LeaseThread(thread, "break", None, attempt, "", 0)
    return found.owner if found.attempt == attempt else None


def read_lease(thread: Any) -> Operation[LeaseInfo | None]:
    """Return the lease of a thread, which need not exist otherwise; None if nobody holds it."""
    found = yield from LeaseThread(read_id("thread_id", thread), "read", None, "-", "", 0)
    return LeaseInfo(found.owner, found.left / 1000) if found.left else None


def new_attempt() -> str:
    """Return a name for an attempt to take a lease; a retry keeps it."""
    return uuid4().hex
