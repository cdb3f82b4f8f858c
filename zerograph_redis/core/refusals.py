"""What backends say of a request that failed, and the errors for writes that a lease or a condition refuses."""

from __future__ import annotations

from typing import Any

from zerograph_redis.core.requests import Request
from zerograph_redis.display import quoted
from zerograph_redis.errors import ConflictError, LeaseHeldError, LeaseLostError


def asked_for(request: Request[Any]) -> str:
    """Say what was asked: the request, and the checkpoint and thread that it names."""
    thread = getattr(request, "thread", None) or next(iter(getattr(request, "threads", ())), None)
    names = {"checkpoint": getattr(request, "checkpoint_id", None), "thread": thread}
    return type(request).__name__ + "".join(
        f" of {what} {quoted(name)}" for what, name in names.items() if name is not None
    )


def lease_held(thread: str, owner: str, seconds_left: float) -> LeaseHeldError:
    """A write without a token, while another worker holds the thread; or an attempt to take its lease."""
    return LeaseHeldError(
        f"thread {quoted(thread)} is held by {quoted(owner)} for another {seconds_left:.1f} s, unless it renews: "
        f"wait for it, or write under its lease",
        owner,
        seconds_left,
    )


def lease_lost(thread: str, owner: str) -> LeaseLostError:
    """A write under a token that is not the current one."""
    by = f", and {quoted(owner)} holds it now" if owner else ""
    return LeaseLostError(
        f"the lease of thread {quoted(thread)} was lost{by}: it expired before it was renewed, or was broken. "
        f"Nothing was stored; read the thread anew under a new lease"
    )


def conflict(request: Any, newest: str) -> ConflictError:
    """A conditional put that found another newest checkpoint."""
    expected = request.expected.checkpoint_id
    return ConflictError(
        f"thread {quoted(request.thread)}, namespace {quoted(request.namespace)}: the newest checkpoint is "
        f"{newest or None!r}, not {quoted(expected)} as expected: another worker wrote since. Nothing was stored"
    )
